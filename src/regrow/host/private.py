"""Writes small files of ours: private, whole or not at all, and on the disk where that matters."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Replace a file at once; only this user may read it.

    Args:
        path: The file.
        content: What it shall hold.
        durable: Return when it would survive a power cut, which costs a wait for the disk.

    Raises:
        OSError: The disk is full, or the directory cannot be written; the old file is still there.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")  # several may write at once
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        try:
            if os.write(handle, content) != len(content):  # what fitted is no file
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have a directory's names on the disk, where the system knows such a thing."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
