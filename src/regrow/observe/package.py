"""The installed OpenClaw: its version, a stamp that changes with its files, and whether they are being written."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from regrow.host.launch import package_version
from regrow.model.facts import PackageSeen
from regrow.observe.base import Now, Poller, Post

EVERY = 10.0
SETTLED = 15.0  # seconds without a change after which an update counts as over
_ABANDONED = 600.0  # what an interrupted npm left behind must not hold us for ever
_TEMPORARY = re.compile(r"^\.openclaw-[A-Za-z0-9_-]+$")


class Package:
    """Looks every ten seconds and posts what changed.

    Args:
        post: Takes the facts.
        clock: Tells the time.
        entry: The installation's program file, None while there is none.
        every: Seconds between two looks.
        settled: Seconds without a change after which an update counts as over.
    """

    def __init__(
        self,
        post: Post,
        clock: Now,
        entry: Callable[[], Path | None],
        *,
        every: float = EVERY,
        settled: float = SETTLED,
    ) -> None:
        self._post = post
        self._clock = clock
        self._entry = entry
        self._settled = settled
        self._told: PackageSeen | None = None
        self._changed_at = float("-inf")
        self._stamp = ""
        self._version = ""
        self._poller = Poller("the OpenClaw package", self.look, every)

    def nudge(self) -> None:
        """Look now."""
        self._poller.nudge()

    async def run(self) -> None:
        """Look until cancelled."""
        await self._poller.run()

    async def look(self) -> None:
        """Look once."""
        entry = self._entry()
        if entry is None:
            return
        stamp, written = _stamp(entry.parent)
        now = self._clock.now()
        if stamp != self._stamp:
            # at the first look only the files themselves can tell whether they are fresh
            self._changed_at = now if self._stamp else now - max(0.0, time.time() - written)
            self._stamp = stamp
        self._version = package_version(entry) or self._version
        quiet = bool(stamp) and now - self._changed_at >= self._settled and not _is_written(entry.parent, self._settled)
        seen = PackageSeen(at=now, version=self._version, stamp=stamp, quiet=quiet)
        told = self._told
        if told is None or (told.version, told.stamp, told.quiet) != (seen.version, seen.stamp, seen.quiet):
            self._told = seen
            self._post(seen)


def _stamp(root: Path) -> tuple[str, float]:
    """A text that changes whenever the package is replaced, and when it was last written; "" while it is not whole."""
    try:
        package = (root / "package.json").stat()
        dist = (root / "dist").stat()
    except OSError:
        return "", 0.0
    parts = (package.st_mtime_ns, package.st_ino, package.st_size, dist.st_mtime_ns, dist.st_ino)
    return "-".join(f"{part:x}" for part in parts), max(package.st_ctime, dist.st_ctime)


def _is_written(root: Path, settled: float) -> bool:
    """npm is at work: it unpacks beside the package under a hidden name and writes its lock file last."""
    now = time.time()
    modules = root.parent
    with suppress(OSError):
        if now - (modules / ".package-lock.json").stat().st_mtime < settled:
            return True
    with suppress(OSError):
        for entry in modules.iterdir():
            if _TEMPORARY.match(entry.name) and now - entry.stat().st_mtime < _ABANDONED:
                return True
    return False
