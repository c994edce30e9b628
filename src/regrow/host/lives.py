"""What we note about a gateway we start, so that a later life of ours can take it over without a restart."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from regrow.host.private import write_private
from regrow.host.process import LINUX, alive, environ, identify
from regrow.model.gateway import Process

FILE = "gateway.life.json"
MARK = "REGROW_LIFE"  # in the environment of what we spawn: proves it ours even if we died while spawning
_CAP = 64 * 1024


class Life(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One life of a gateway that we started or took over. Holds its token: the file is private.

    Attributes:
        mark: Random; written before the spawn and carried by the process.
        next: The mark of the life that would follow with the same port, token and output, so that nothing has to be
            written between the end of this one and the spawn of that.
        process: Its identity, None while it is being spawned.
        port: Where it listens.
        epoch: Which start of ours it was.
        log: Its output.
        token: Its access token, if we gave it one.
        version: The OpenClaw that was started.
        unit: The service manager's unit that runs it, or "".
        at: When, epoch seconds.
    """

    mark: str = ""
    next: str = ""
    process: Process | None = None
    port: int
    epoch: int = 0
    log: str = ""
    token: str = ""
    version: str = ""
    unit: str = ""
    at: float = 0.0


def remember(folder: Path, life: Life) -> None:
    """Note a life, in place of the one before. Costs no wait for the disk: after a power cut nothing of it lives.

    Raises:
        OSError: The directory cannot be written.
    """
    write_private(folder / FILE, msgspec.json.encode(life))


def recall(folder: Path) -> Life | None:
    """The noted life, whether or not it still runs; None if there is none or the file is damaged."""
    try:
        raw = (folder / FILE).read_bytes()[:_CAP]
        return msgspec.json.decode(raw, type=Life)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def living(folder: Path) -> Life | None:
    """The noted life if its process still runs, or the one that followed it: found by its mark if we died before we
    knew its pid."""
    life = recall(folder)
    if life is None or (life.process is not None and alive(life.process)):
        return life
    mark, epoch = (life.mark, life.epoch) if life.process is None else (life.next, life.epoch + 1)
    found = _by_mark(mark)
    return None if found is None else msgspec.structs.replace(life, mark=mark, next="", process=found, epoch=epoch)


def forget(folder: Path) -> None:
    """Drop the note: the gateway was ended on purpose."""
    with suppress(OSError):
        (folder / FILE).unlink()


def _by_mark(mark: str) -> Process | None:
    """The process that leads its session and carries the mark; what it started inherits the mark, not the lead."""
    if not mark or not LINUX:
        return None
    me = os.getuid()
    with suppress(OSError), os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdigit():
                continue
            pid = int(entry.name)
            with suppress(OSError):
                if os.getsid(pid) != pid or entry.stat().st_uid != me:
                    continue
                process = identify(pid)
                if process is not None and environ(process, (MARK,)).get(MARK) == mark:
                    return process
    return None
