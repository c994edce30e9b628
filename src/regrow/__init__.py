"""regrow keeps OpenClaw gateways alive: it sees what went wrong, heals it, and proves it."""

__version__ = "0.1.0"
