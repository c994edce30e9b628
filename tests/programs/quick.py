"""Runs `regrow` with one figure changed: what a test has just written does not look like an update under way."""

from msgspec.structs import replace

from regrow.decide import profiles

profiles.PROFILES["default"] = replace(profiles.DEFAULT, update_settled=0.0)

if __name__ == "__main__":
    from regrow.cli import main

    main()
