"""Talks to the service manager: installs our own service, and finds which service a gateway belongs to."""

from __future__ import annotations

import getpass
import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from regrow.host import paths, units
from regrow.host.private import write_private
from regrow.model.errors import Fatal
from regrow.model.gateway import Process

_PATIENCE = 30.0  # seconds for one question; starting and stopping are not waited for


class Unit(Struct, frozen=True):
    """A service and who runs it."""

    name: str
    kind: Literal["systemd-user", "systemd", "launchd"]

    def argv(self, verb: Literal["start", "stop", "restart"]) -> list[str]:
        """The command that tells its manager to do this to it, without waiting for the end of it."""
        match self.kind:
            case "systemd-user":
                return ["systemctl", "--user", "--no-block", verb, self.name]
            case "systemd":
                return ["systemctl", "--no-block", verb, self.name]
            case _:
                target = f"gui/{os.getuid()}/{self.name}"
                words = {"start": ["kickstart"], "restart": ["kickstart", "-k"], "stop": ["kill", "SIGTERM"]}
                return ["launchctl", *words[verb], target]


def named(name: str, *, platform: str = sys.platform, system: Path = Path("/etc/systemd/system")) -> Unit:
    """The service a person names in the settings: a launchd label, a system-wide unit if there is one, else a user's.

    Args:
        name: The unit or label; `.service` is added to a systemd unit without a suffix.
        platform: `sys.platform`.
        system: Where system-wide units lie.
    """
    if platform == "darwin":
        return Unit(name, "launchd")
    unit = name if name.endswith(".service") else f"{name}.service"
    return Unit(unit, "systemd" if (system / unit).exists() else "systemd-user")


def was_stopped(unit: Unit) -> bool:
    """Whether its manager says that it was stopped in good order: by a person, not by a failure."""
    if unit.kind == "launchd":
        return False  # launchd does not tell the two apart
    shown = _show(unit.name, "ActiveState", "Result", user=unit.kind == "systemd-user")
    return shown.get("ActiveState") == "inactive" and shown.get("Result") == "success"


class UnitStatus(Struct, frozen=True):
    """How our own service is.

    Attributes:
        active: The manager's word, such as `active`, `failed`, `inactive`.
        pid: Its main process, 0 if there is none.
        file: Where its text lies.
        warnings: What will go wrong later, such as a service that ends with the login session.
    """

    name: str
    installed: bool
    active: str = "inactive"
    enabled: bool = False
    pid: int = 0
    file: str = ""
    warnings: tuple[str, ...] = ()


def install_service(name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> UnitStatus:
    """Write our service, switch it on for every login and start it.

    Args:
        name: The keeper's name.
        argv: The command line, without `--name` and without secrets.
        env: Variables it needs besides PATH, without secrets.

    Raises:
        Fatal: There is no service manager we can talk to, or it refuses.
    """
    paths.checked_name(name)
    given = {"PATH": os.environ.get("PATH", os.defpath), **(env or {})}
    if sys.platform == "darwin":
        return _install_launchd(name, argv, given)
    _need_user_manager()
    file = _systemd_file(name)
    text = units.systemd_unit(argv, env=given, systemd=systemd_version(), template=name != "default")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_private(file, text.encode(), durable=True)
    _systemctl("daemon-reload")
    _systemctl("enable", units.unit_name(name))
    _systemctl("restart", "--no-block", units.unit_name(name))
    return service_status(name)


def uninstall_service(name: str) -> bool:
    """Switch our service off and remove it. Its gateway is stopped by the keeper as on every stop.

    Returns:
        False if there was none.
    """
    paths.checked_name(name)
    if sys.platform == "darwin":
        file = _launchd_file(name)
        if not file.exists():
            return False
        _run(["launchctl", "bootout", f"gui/{os.getuid()}/{units.label(name)}"])
        file.unlink(missing_ok=True)
        return True
    file = _systemd_file(name)
    _need_user_manager()
    if not file.exists():
        return False
    _systemctl("disable", units.unit_name(name))
    _systemctl("stop", "--no-block", units.unit_name(name))
    if name == "default" or not _instances(file):
        file.unlink(missing_ok=True)
    _systemctl("daemon-reload")
    return True


def service_status(name: str) -> UnitStatus:
    """How our service is.

    Raises:
        Fatal: There is no service manager we can talk to.
    """
    paths.checked_name(name)
    if sys.platform == "darwin":
        return _launchd_status(name)
    _need_user_manager()
    unit = units.unit_name(name)
    file = _systemd_file(name)
    shown = _show(unit, "ActiveState", "MainPID", "UnitFileState", user=True)
    warnings = []
    me = getpass.getuser()
    if _run(["loginctl", "show-user", me, "-p", "Linger", "--value"])[1].strip() == "no":
        warnings.append(f"it ends when you log out and does not start at boot: run loginctl enable-linger {me}")
    return UnitStatus(
        unit,
        installed=file.exists(),
        active=shown.get("ActiveState", "inactive"),
        enabled=shown.get("UnitFileState", "") == "enabled",
        pid=int(shown.get("MainPID") or 0),
        file=str(file),
        warnings=tuple(warnings),
    )


def gateway_unit(process: Process) -> Unit | None:
    """The service whose main process this is; None if it only runs inside one, or the manager cannot be asked."""
    if sys.platform == "darwin":
        for line in _run(["launchctl", "list"])[1].splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == str(process.pid):
                return Unit(words[2], "launchd")
        return None
    try:
        text = Path(f"/proc/{process.pid}/cgroup").read_text()
    except OSError:
        return None
    found = unit_of_cgroup(text)
    if found is None:
        return None
    shown = _show(found.name, "MainPID", user=found.kind == "systemd-user")
    return found if shown.get("MainPID") == str(process.pid) else None


def unit_of_cgroup(text: str) -> Unit | None:
    """The innermost service a /proc/PID/cgroup names."""
    for line in text.splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in {"", "name=systemd"}:
            continue
        parts = [part for part in path.split("/") if part]
        services = [part for part in parts if part.endswith(".service")]
        user = any(re.fullmatch(r"user@\d+\.service", part) for part in parts)
        if services and not re.fullmatch(r"user@\d+\.service", services[-1]):
            return Unit(services[-1], "systemd-user" if user else "systemd")
    return None


def systemd_version() -> int:
    """systemd's major version, 0 if it cannot be told."""
    found = re.match(r"systemd (\d+)", _run(["systemctl", "--version"])[1])
    return int(found[1]) if found else 0


def _need_user_manager() -> None:
    if sys.platform == "win32":
        raise Fatal("services are installed on Linux (systemd) and macOS (launchd) only; use the Task Scheduler here")
    if shutil.which("systemctl") is None:
        raise Fatal("this machine has no systemd; run `regrow run` under the service manager you have (s6, runit, …)")
    code, out = _run(["systemctl", "--user", "show-environment"])
    if code:
        why = out.strip().splitlines()[-1] if out.strip() else f"exit {code}"
        raise Fatal(
            f"no systemd user manager answers here ({why}); log in as this user (not by su or sudo), "
            f"or run once: loginctl enable-linger {getpass.getuser()}"
        )


def _systemd_file(name: str) -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    home = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    return home / "systemd" / "user" / units.unit_file(name)


def _instances(template: Path) -> list[Path]:
    return list(template.parent.glob("*.wants/regrow@?*.service"))


def _show(unit: str, *properties: str, user: bool) -> dict[str, str]:
    argv = ["systemctl", *(["--user"] if user else []), "show", unit, "--property", ",".join(properties)]
    return dict(line.split("=", 1) for line in _run(argv)[1].splitlines() if "=" in line)


def _systemctl(*words: str) -> None:
    code, out = _run(["systemctl", "--user", *words])
    if code:
        raise Fatal(f"systemctl --user {' '.join(words)} failed (exit {code}): {out.strip()[-300:]}")


def _run(argv: list[str]) -> tuple[int, str]:
    """Exit code and all it printed; 127 if it is not there, 124 if it did not answer."""
    try:
        done = subprocess.run(  # noqa: S603  (an argument list of our own; no shell)
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return 124, f"{argv[0]} did not answer within {_PATIENCE:.0f} s"
    except OSError as error:
        return 127, f"{argv[0]}: {error.strerror or error}"
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")


def _launchd_file(name: str) -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{units.label(name)}.plist"


def _install_launchd(name: str, argv: Sequence[str], env: Mapping[str, str]) -> UnitStatus:
    file = _launchd_file(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    log = paths.private_dir(paths.state_dir(name)) / "service.log"
    _run(["launchctl", "bootout", f"gui/{os.getuid()}/{units.label(name)}"])  # an older one; fails if there is none
    write_private(file, units.launchd_plist(name, argv, env=env, log=log), durable=True)
    code, out = _run(["launchctl", "bootstrap", f"gui/{os.getuid()}", str(file)])
    if code:
        raise Fatal(f"launchctl bootstrap failed (exit {code}): {out.strip()[-300:]}")
    return _launchd_status(name)


def _launchd_status(name: str) -> UnitStatus:
    file = _launchd_file(name)
    code, out = _run(["launchctl", "list", units.label(name)])
    pid = re.search(r'"PID" = (\d+);', out)
    return UnitStatus(
        units.label(name),
        installed=file.exists(),
        active="active" if pid else ("inactive" if code else "activating"),
        enabled=file.exists() and bool(plistlib.loads(file.read_bytes()).get("RunAtLoad")),
        pid=int(pid[1]) if pid else 0,
        file=str(file),
    )
