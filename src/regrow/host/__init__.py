"""The machine: processes, ports, paths, services, installations."""
