"""`regrow service`: has systemd or launchd run regrow, from login or boot on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from regrow.cli.place import Place, json_option, placed
from regrow.cli.words import paint, remark, say, show_json
from regrow.model.errors import Fatal


@click.group("service")
def command() -> None:
    """Have systemd (Linux) or launchd (macOS) run regrow for you.

    With `--name` several keepers run side by side, each with its own configuration and state.
    """


@command.command("install")
@placed
@click.option("--leave-running", is_flag=True, help="The gateway lives on when the service is stopped.")
@json_option
def install(place: Place, *, leave_running: bool, as_json: bool) -> int:
    """Write the service, switch it on and start it. Running it again brings it up to date.

    Exit code: 0, 69 when no service manager answers, 78 when the configuration has problems.
    """
    from msgspec.structs import asdict

    from regrow.host.services import install_service

    place.load()  # a service that would only fail again and again is not installed
    status = install_service(_name(place), _argv(place, leave_running=leave_running), env=_variables())
    if as_json:
        show_json(asdict(status))
        return 0
    say(f"{paint('✓', 'good')} {status.name} is installed ({status.file})")
    for warning in status.warnings:
        remark(warning)
    say(f"see how it is: regrow status{place.option}")
    return 0


@command.command("uninstall")
@placed
def uninstall(place: Place) -> int:
    """Stop the service and remove it. The gateway is stopped with it; nothing else is deleted.

    Exit code: 0 it is gone, 1 there was none, 69 when no service manager answers.
    """
    from regrow.host.services import uninstall_service

    gone = uninstall_service(_name(place))
    say("the service is removed" if gone else "there is no such service")
    return 0 if gone else 1


@command.command("status")
@placed
@json_option
def status(place: Place, *, as_json: bool) -> int:
    """Whether the service is installed and runs. How the gateway is, `regrow status` tells.

    Exit code: 0 it runs, 1 it is installed and does not run, 3 it is not installed, 69 no service manager answers.
    """
    from msgspec.structs import asdict

    from regrow.host.services import service_status

    found = service_status(_name(place))
    if as_json:
        show_json(asdict(found))
    elif not found.installed:
        say(f"{found.name} is not installed; `regrow service install{place.option}` installs it")
    else:
        pid = f", pid {found.pid}" if found.pid else ""
        at_login = "starts by itself" if found.enabled else "does not start by itself"
        say(f"{found.name} is {found.active}{pid}; {at_login} ({found.file})")
    for warning in found.warnings:
        remark(warning)
    if not found.installed:
        return 3
    return 0 if found.active == "active" else 1


def _name(place: Place) -> str:
    return place.name or "default"


def _argv(place: Place, *, leave_running: bool) -> list[str]:
    # -P: the directory a service happens to start in must not lend it modules
    argv = [sys.executable, "-P", "-m", "regrow", "run"]
    if place.config is not None:
        file = place.config.expanduser().absolute()
        if not file.is_file():
            raise Fatal(f"there is no {file}; the service needs its configuration to be where it says")
        argv += ["--config", str(file)]
    return [*argv, "--leave-running"] if leave_running else argv


def _variables() -> dict[str, str]:
    """What leads regrow to its files; settings given as variables are not copied, as some are secret."""
    kept = {}
    for name in ("REGROW_HOME", "REGROW_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        if os.environ.get(name):
            kept[name] = str(Path(os.environ[name]).expanduser().absolute())
    return kept
