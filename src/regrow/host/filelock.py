"""A lock between processes that disappears with its holder: one of us at a time installs, keeps or boots."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path


def try_lock(path: Path) -> int | None:
    """Take the lock if nobody holds it.

    Returns:
        A file descriptor that holds the lock until it is closed, or None if another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


@contextlib.asynccontextmanager
async def locked(path: Path, *, every: float = 0.2, waiting: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Hold the lock; wait for it without blocking the loop. `waiting` is called once if it has to be waited for."""
    told = False
    while (fd := try_lock(path)) is None:
        if not told:
            told = True
            waiting()
        await asyncio.sleep(every)
    try:
        yield
    finally:
        os.close(fd)
