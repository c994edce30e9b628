"""The status file, replaced atomically."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import msgspec
import structlog

from regrow.host.private import write_private


class Snapshot:
    """A file that always holds one whole status, readable by this user alone. A failure only warns, once.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._failing = False
        self._writing = asyncio.Lock()

    async def save(self, status: Any) -> bool:
        """Replace the file's content without blocking the loop.

        Args:
            status: Anything with a JSON form.

        Returns:
            Whether it was written.
        """
        text = msgspec.json.format(msgspec.json.encode(status), indent=2) + b"\n"
        async with self._writing:  # two at once could end with the older one
            reason = await asyncio.to_thread(_replace, self.path, text)
        if reason and not self._failing:
            structlog.get_logger("regrow").warning(
                "status file cannot be written", path=str(self.path), reason=reason, next="make room or give access"
            )
        self._failing = bool(reason)
        return not reason

    async def remove(self) -> None:
        """Take the file away: a keeper that ended has no status."""
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self.path.unlink, missing_ok=True)


def _replace(path: Path, text: bytes) -> str:
    """Returns what went wrong, or ""."""
    try:
        write_private(path, text)
    except OSError as error:
        return error.strerror or str(error)
    return ""
