"""Keeps what can still be seen of a process before it is ended."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from regrow.act.proof import proven
from regrow.act.world import World
from regrow.config.lines import MOST, redact_lines
from regrow.config.redaction import redact
from regrow.host.private import write_private
from regrow.host.process import alive, command, look
from regrow.model.actions import Capture
from regrow.model.errors import Refused
from regrow.model.gateway import Process
from regrow.model.verdicts import Verdict

KEEP = 20
_LINES = 200
_CAP = 64 * 1024


async def capture(world: World, action: Capture) -> Verdict:
    """Write process state, stacks, descriptors and last output to a private file, and tell where it is."""
    process = world.view().process
    if process is None or not alive(process):
        raise Refused("there is no process to look at", by="gone")
    if not proven(world, process):
        raise Refused(f"process {process.pid} is not proven to be our gateway", by="identity")
    seen = _look(process)
    last = redact_lines(world.child.last(_LINES + MOST), _LINES) if world.child is not None else []
    record = {"at": world.clock.now(), "reason": redact(action.reason), "process": seen, "last": last}
    folder = world.folder / "evidence"
    path = folder / f"{int(world.clock.now())}-{process.pid}.json"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, msgspec.json.format(msgspec.json.encode(record), indent=1))
    _prune(folder)
    world.say("evidence", {"file": str(path), "reason": redact(action.reason), **seen, "last": last[-5:]})
    text = f"state {seen['state']}, {seen['cpu']:.1f} s of CPU, {seen['rss'] >> 20} MB; kept in {path}"
    return Verdict(result="done", detail=text)


def _look(process: Process) -> dict[str, Any]:
    state, cpu, rss = look(process) or ("?", 0.0, 0)
    root = Path(f"/proc/{process.pid}")
    threads = {}
    with suppress(OSError):
        for task in sorted((root / "task").iterdir())[:64]:
            threads[task.name] = {"name": _text(task / "comm"), "wchan": _text(task / "wchan")}
    fds = None
    with suppress(OSError):
        fds = len(os.listdir(root / "fd"))  # noqa: PTH208  (only the number is wanted)
    return {
        "pid": process.pid,
        "started": process.started,
        "command": command(process),
        "state": state,
        "cpu": cpu,
        "rss": rss,
        "fds": fds,
        "wchan": _text(root / "wchan"),
        "stack": _text(root / "stack"),  # readable by root only
        "status": _text(root / "status"),
        "threads": threads,
    }


def _text(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        return file.read(_CAP).decode(errors="replace").strip()
    return ""


def _prune(folder: Path) -> None:
    files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
    for old in files[:-KEEP]:
        with suppress(OSError):
            old.unlink()
