"""Other supervisors of the same gateway: services, known watchdogs, a healing plugin inside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyjson5

from regrow.host import process as processes
from regrow.host.includes import compose
from regrow.host.process import LINUX
from regrow.model.gateway import Process

_CAP = 10 * 1024 * 1024
# Programs that restart or "repair" a gateway on their own, by the names they run under.
_WATCHDOG = re.compile(
    r"(?:^|[/\\])(?:(?:openclaw|clawdbot|claw)[-_.](?:watchdog|guardian|self[-_]?heal\w*|medic|healthcheck|ops)|alphaclaw)"
    r"(?:[-_.]\w+)*(?:[/\\]|$)",
    re.IGNORECASE,
)
_INTERPRETER = re.compile(r"^(?:python[\d.]*|node|bun|deno|bash|sh|zsh|dash|uv|npx|tsx)(?:\.exe)?$")
_UNIT = re.compile(r"^(?:openclaw|clawdbot)[\w@.-]*\.service$")
_HEALING = re.compile(r"self[-_]?heal", re.IGNORECASE)
_PLACES = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def find_rivals(
    state_dir: Path, config_path: Path, *, gateway: Process | None = None, unit: str = "", service: bool = False
) -> tuple[str, ...]:
    """Name everything else that would restart or repair this gateway, one clause each.

    Args:
        state_dir: The gateway's state directory.
        config_path: Its openclaw.json.
        gateway: Its process, which is no rival of itself.
        unit: The service that runs it, if one does: that is its owner, not a rival.
        service: A service runs it by agreement.
    """
    found: list[str] = []
    if LINUX and not service:
        found += [f"the enabled service {name}" for name in _units(state_dir) if name != unit]
    found += [f"{name} (pid {pid})" for name, pid in _watchdogs(state_dir, gateway)]
    found += [f"the plugin {name} inside the gateway" for name in _plugins(config_path)]
    return tuple(dict.fromkeys(found))


def _units(state_dir: Path) -> Iterator[str]:
    """Enabled services that would start a gateway of this state directory."""
    base = os.environ.get("XDG_CONFIG_HOME")
    home = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    for folder in (home / "systemd" / "user", *map(Path, _PLACES)):
        with suppress(OSError):
            for file in sorted(folder.iterdir()):
                if _UNIT.match(file.name) and _is_enabled(folder, file.name) and _starts_ours(file, state_dir):
                    yield file.name


def _is_enabled(folder: Path, name: str) -> bool:
    return any(link.is_symlink() or link.exists() for link in folder.glob(f"*.wants/{name}"))


def _starts_ours(file: Path, state_dir: Path) -> bool:
    text = file.read_text(errors="replace")
    if not re.search(r"^ExecStart=.*\bgateway\b", text, re.MULTILINE):
        return False
    said = re.search(r"OPENCLAW_STATE_DIR=\"?([^\"\s]+)", text)
    theirs = Path(said[1].replace("%h", str(Path.home()))) if said else Path.home() / ".openclaw"
    return theirs.resolve() == state_dir.resolve()


def _watchdogs(state_dir: Path, gateway: Process | None) -> Iterator[tuple[str, int]]:
    me = os.getuid() if hasattr(os, "getuid") else -1
    for pid in _pids():
        if pid == os.getpid() or (gateway is not None and pid == gateway.pid):
            continue
        process = processes.identify(pid)
        if process is None:
            continue
        argv = processes.command(process)
        name = watchdog_name(argv)
        if not name:
            continue
        theirs = processes.environ(process, ("OPENCLAW_STATE_DIR",)).get("OPENCLAW_STATE_DIR")
        if theirs is not None:
            concerned = Path(theirs).resolve() == state_dir.resolve()
        else:
            concerned = processes.uid(process) == me or any(str(state_dir) in word for word in argv)
        if concerned:
            yield name, pid


def watchdog_name(argv: list[str]) -> str:
    """The name of the known watchdog that this command line runs, or "".

    Only the program itself counts: an editor or a search with such a name among its arguments is nobody's watchdog.
    """
    program = argv[:1]
    if program and _INTERPRETER.match(Path(program[0]).name):
        rest = [word for word in argv[1:6] if not word.startswith("-")]
        program = rest[:1]
    for word in program:
        found = _WATCHDOG.search(word)
        if found:
            return found[0].strip("/\\")
    return ""


def _pids() -> list[int]:
    if LINUX:
        with suppress(OSError):
            return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208  (names are enough)
    import psutil

    return psutil.pids()


def _plugins(config_path: Path) -> Iterator[str]:
    """Plugins of the healing kind that are switched on."""
    try:
        if config_path.stat().st_size > _CAP:
            return
        config: Any = pyjson5.decode(config_path.read_text(errors="replace"))
    except (OSError, ValueError, pyjson5.Json5Exception):
        return
    whole = compose(config_path, config).data
    config = config if whole is None else whole
    plugins = config.get("plugins") if isinstance(config, dict) else None
    if not isinstance(plugins, dict) or plugins.get("enabled") is False:
        return
    entries = plugins.get("entries")
    if isinstance(entries, dict):
        for name, entry in entries.items():
            off = entry is False or (isinstance(entry, dict) and entry.get("enabled") is False)
            if _HEALING.search(str(name)) and not off:
                yield str(name)
