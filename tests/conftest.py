"""What every test has: limits, what it may demand of the machine, and gateways real and scripted."""

pytest_plugins = ["rig.limits", "rig.machine", "rig.real", "rig.programs"]
