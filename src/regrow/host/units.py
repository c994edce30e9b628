"""The text of our own service: a systemd user unit, its template for named keepers, a launchd property list."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_WITHIN = 345  # a gateway drains for up to 325 s; we wait 330 s for it and then end ourselves
_FIRST_WITH_STEPS = 254  # the systemd release that knows RestartSteps
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+,=-]+")


def unit_name(name: str) -> str:
    """The systemd unit of a keeper; named ones are instances of one template."""
    return "regrow.service" if name == "default" else f"regrow@{name}.service"


def unit_file(name: str) -> str:
    """The file that unit is read from."""
    return "regrow.service" if name == "default" else "regrow@.service"


def label(name: str) -> str:
    """The launchd label of a keeper."""
    return "regrow" if name == "default" else f"regrow.{name}"


def systemd_unit(argv: Sequence[str], *, env: Mapping[str, str], systemd: int, template: bool = False) -> str:
    """Write the unit.

    Args:
        argv: The command line of `regrow run`, without secrets; every user can read it.
        env: Variables it needs, without secrets.
        systemd: The major version of systemd, as its keys differ.
        template: True for the template, which appends `--name` with the instance's name.
    """
    if systemd >= _FIRST_WITH_STEPS:
        pace = ["RestartSec=1", "RestartSteps=5", "RestartMaxDelaySec=60"]
    else:
        pace = ["RestartSec=2"]
    command = " ".join([*(_quoted(part) for part in argv), *(["--name", "%i"] if template else [])])
    lines = [
        "[Unit]",
        f"Description=regrow keeps an OpenClaw gateway alive{' (%i)' if template else ''}",
        "Wants=network-online.target",
        "After=network-online.target",
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={command}",
        "ExecReload=/bin/kill -HUP $MAINPID",
        *(f"Environment={_quoted(f'{key}={value}', always=True)}" for key, value in sorted(env.items())),
        "Restart=always",
        *pace,
        "# fed only while the deciding loop decides: a keeper that hangs is replaced",
        "WatchdogSec=30",
        "# the gateway outlives its keeper and is taken over by the next one",
        "KillMode=process",
        f"TimeoutStopSec={STOP_WITHIN}",
        "OOMScoreAdjust=-900",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def launchd_plist(name: str, argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> bytes:
    """Write the property list; the arguments as for `systemd_unit`."""
    return plistlib.dumps(
        {
            "Label": label(name),
            "ProgramArguments": [*argv, *(["--name", name] if name != "default" else [])],
            "EnvironmentVariables": dict(env),
            "RunAtLoad": True,
            "KeepAlive": True,
            "ThrottleInterval": 2,
            "ExitTimeOut": STOP_WITHIN,
            "AbandonProcessGroup": True,  # the gateway outlives its keeper and is taken over by the next one
            "ProcessType": "Interactive",  # anything else is throttled, and then looks at its gateway too late
            "StandardOutPath": str(log),
            "StandardErrorPath": str(log),
        }
    )


def _quoted(text: str, *, always: bool = False) -> str:
    """One word of a unit file: `%` and `$` would be expanded, blanks and quotes would split it."""
    if "\n" in text or "\0" in text:
        raise ValueError("a unit file cannot hold a line break")
    plain = text.replace("%", "%%")
    if always:  # Environment= does not expand $
        return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
    plain = plain.replace("$", "$$")
    return plain if _PLAIN.fullmatch(text) else '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
