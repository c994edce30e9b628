"""The gateway's own lock files: which process says that it serves a state directory."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from regrow.host.process import LINUX, identify, uid
from regrow.model.gateway import Process

_CAP = 64 * 1024  # a lock is some 450 bytes; anything much larger is not one
_TOO_BIG = 2**31
_SLACK = 2.0  # seconds between what two clocks say about the same moment


class GatewayLock(Struct, frozen=True):
    """What a gateway wrote about itself.

    Attributes:
        process: Who wrote it. `started` is 0 if the file does not say; `owner` fills it in.
        port: Its port; early 2026 versions do not say.
        state_dir: Its state directory, if it says.
        config_path: Its configuration file.
        created: When it took the lock, epoch seconds, or None.
        path: The lock file.
    """

    process: Process
    port: int | None
    state_dir: Path | None
    config_path: Path | None
    created: float | None
    path: Path


class _Payload(Struct, rename="camel"):
    """The fields we rely on, each checked; a wrong type makes the whole file worthless."""

    pid: int
    start_time: float | None = None
    port: int | None = None
    state_dir: str | None = None
    config_path: str | None = None
    created_at: str | None = None
    role: str | None = None


_DECODER = msgspec.json.Decoder(_Payload)


def read_lock(path: Path) -> GatewayLock | None:
    """A lock file's content, or None if it is absent, half-written, corrupt, oversized or no plain file."""
    raw = _read(path)
    if raw is None:
        return None
    try:
        found = _DECODER.decode(raw.strip(b" \t\r\n\0"))  # the gateway pads its locks with blanks
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if (
        not 1 < found.pid < _TOO_BIG
        or not 0 <= (found.start_time or 0) < _TOO_BIG**2
        or (found.role or "gateway") != "gateway"
    ):
        return None
    return GatewayLock(
        process=Process(pid=found.pid, started=int(found.start_time or 0)),
        port=found.port if found.port is not None and 0 < found.port < 65536 else None,
        state_dir=_path(found.state_dir),
        config_path=_path(found.config_path),
        created=_epoch(found.created_at),
        path=path,
    )


def owner(
    state_dir: Path, config_path: Path | None = None, *, tmp: tuple[Path, ...] | None = None
) -> GatewayLock | None:
    """The live gateway that holds this state directory, proven by pid, start time and the file's owner.

    Args:
        state_dir: The gateway's state directory.
        config_path: Its configuration file, `openclaw.json` in the state directory unless told.
        tmp: Where early 2026 versions may keep their locks; the usual temporary directories unless told.
    """
    config = config_path or state_dir / "openclaw.json"
    for path in lock_paths(state_dir, config, tmp=tmp):
        lock = read_lock(path)
        if lock is not None and _is_about(lock, state_dir, config) and (proven := _prove(lock)) is not None:
            return proven
    return None


def lock_paths(state_dir: Path, config_path: Path, *, tmp: tuple[Path, ...] | None = None) -> Iterator[Path]:
    """Every lock file a gateway of this state directory may have written, the most telling first."""
    home = _locks_below(os.path.join(os.path.realpath(state_dir), "tmp"))  # noqa: PTH118  (before every start)
    yield from (path for path in home if path.name == "gateway.state.lock")
    yield from (path for path in home if path.name != "gateway.state.lock")
    # early 2026: in the temporary directory, named after the configuration file only
    spellings = {str(config_path), os.path.realpath(config_path), os.path.abspath(config_path)}  # noqa: PTH100
    names = {f"gateway.{_digest(path)}.lock" for path in spellings}
    for folder in dict.fromkeys(tmp if tmp is not None else (Path(tempfile.gettempdir()), Path("/tmp"))):  # noqa: S108
        yield from (path for path in _locks_below(str(folder)) if path.name in names)


def _locks_below(folder: str) -> list[Path]:
    """`openclaw*/gateway.*.lock` in a directory; nothing where it cannot be read."""
    found: list[str] = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("openclaw"):
                with suppress(OSError):
                    names = os.listdir(entry.path)  # noqa: PTH208
                    found += [
                        f"{entry.path}/{name}"
                        for name in names
                        if name.startswith("gateway.") and name.endswith(".lock")
                    ]
    return [Path(path) for path in sorted(found)]


def _prove(lock: GatewayLock) -> GatewayLock | None:
    """The same lock with its process's true start time, if that very process lives."""
    found = identify(lock.process.pid)
    if found is None:
        return None
    if LINUX and lock.process.started:
        if found != lock.process:
            return None
    elif not _older_than_lock(found, lock):
        return None
    try:
        wrote = lock.path.stat().st_uid
    except OSError:
        return None
    # in a shared temporary directory anybody can write a file that names anybody's process
    if hasattr(os, "getuid") and wrote != uid(found):
        return None
    return msgspec.structs.replace(lock, process=found)


def _older_than_lock(process: Process, lock: GatewayLock) -> bool:
    """Without a comparable start time: who took the lock began before it was taken; a reused pid began later."""
    import psutil

    if lock.created is None:
        return False
    try:
        return psutil.Process(process.pid).create_time() <= lock.created + _SLACK
    except psutil.Error:
        return False


def _is_about(lock: GatewayLock, state_dir: Path, config: Path) -> bool:
    if lock.state_dir is not None:
        return os.path.realpath(lock.state_dir) == os.path.realpath(state_dir)
    return lock.config_path is not None and os.path.realpath(lock.config_path) == os.path.realpath(config)


def _read(path: Path) -> bytes | None:
    try:
        # a named pipe in its place must not block us
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _CAP:
            return None
        return os.read(handle, _CAP)
    except OSError:
        return None
    finally:
        os.close(handle)


def _path(text: str | None) -> Path | None:
    return Path(text) if text and "\0" not in text else None


def _digest(path: str) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:8]


def _epoch(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
