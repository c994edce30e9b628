"""What every test has: limits, what it may demand of the machine, and gateways real and scripted."""

pytest_plugins = [
    "rig.limits",
    "rig.loops",
    "rig.machine",
    "rig.real",
    "rig.programs",
    "rig.tended",
    "rig.kept",
    "rig.provider",
    "rig.telegram",
]
