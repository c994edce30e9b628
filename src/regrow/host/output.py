"""What a gateway prints: a file it owns, so that it can go on printing when we are gone."""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

KEEP = 5  # this output and the four before it
CAP = 16 * 1024 * 1024  # a running gateway's file is cut to its last words beyond this
ROOM = 64 * 1024  # with less on the disk a gateway would soon die of a line it cannot print
_LAST_WORDS = 256 * 1024
_CHUNK = 256 * 1024
LINE_CAP = 64 * 1024
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


def create(path: Path, *, keep: int = KEEP) -> int:
    """Move older outputs aside and open a fresh, private file that only ever grows.

    Raises:
        OSError: The directory cannot be written (full disk, wrong owner), or hardly anything fits on the disk.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32" and (disk := os.statvfs(path.parent)).f_bavail * disk.f_frsize < ROOM:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    rotate(path, keep=keep)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    handle = os.open(path, flags, 0o600)
    with suppress(OSError, AttributeError):
        os.fchmod(handle, 0o600)  # a file left by an earlier life may be wider
    return handle


def rotate(path: Path, *, keep: int = KEEP) -> None:
    """Rename `x.log` to `x.log.1` and so on; the oldest goes. A file that cannot be renamed is appended to."""
    if not path.exists():
        return
    names = [str(path), *(f"{path}.{number}" for number in range(1, keep))]
    for younger, older in reversed(list(itertools.pairwise(names))):
        try:
            os.replace(younger, older)  # noqa: PTH105  (between an end and the next start)
        except FileNotFoundError:
            continue
        except OSError:
            return


class Tail:
    """Reads a growing file line by line, through rotation and cutting, without ever blocking for long.

    Args:
        path: The file, which may not exist yet.
        backlog: How many of the bytes already there to read; None reads from the start.
    """

    def __init__(self, path: Path, *, backlog: int | None = None) -> None:
        self.path = path
        self._backlog = backlog
        self._handle: int | None = None
        self._at = 0
        self._rest = b""
        self._skip_partial = False

    def read(self, *, final: bool = False) -> Iterator[str]:
        """The complete lines written since the last call; with `final` an unfinished last one too."""
        while chunk := self._read_chunk():
            lines = (self._rest + chunk).split(b"\n")
            self._rest = lines.pop()
            if self._skip_partial and lines:
                lines = lines[1:]  # we began in the middle of this one
                self._skip_partial = False
            for line in lines:
                yield plain(line)
            if len(self._rest) > LINE_CAP:
                yield plain(self._rest)
                self._rest = b""
        if final and self._rest:
            yield plain(self._rest)
            self._rest = b""

    def cut(self, *, cap: int = CAP) -> bool:
        """Shorten an oversized file that has been read to its end; its last words are kept aside as `.1`."""
        if self._handle is None or self._at <= cap or os.fstat(self._handle).st_size != self._at:
            return False
        with suppress(OSError):
            words = os.pread(self._handle, _LAST_WORDS, max(0, self._at - _LAST_WORDS))
            aside = self.path.with_name(f"{self.path.name}.1")
            handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, words)
            finally:
                os.close(handle)
            # the writer appends, so it goes on at the new end; what it wrote since the read above is lost
            os.truncate(self.path, 0)
            self._at = 0
            return True
        return False

    def close(self) -> None:
        """Let the file go."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _read_chunk(self) -> bytes:
        if self._handle is None and not self._open():
            return b""
        assert self._handle is not None  # noqa: S101
        try:
            size = os.fstat(self._handle).st_size
            if size < self._at:  # cut by somebody: begin again
                self._at, self._rest = 0, b""
            chunk = os.pread(self._handle, _CHUNK, self._at)
        except OSError:
            return b""
        self._at += len(chunk)
        return chunk

    def _open(self) -> bool:
        try:
            self._handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
            size = os.fstat(self._handle).st_size
        except OSError:
            return False
        if self._backlog is not None:
            self._at = max(0, size - self._backlog)
            self._skip_partial = self._at > 0 and os.pread(self._handle, 1, self._at - 1) != b"\n"
            self._backlog = None
        return True


def last_lines(path: Path, count: int = 20) -> tuple[str, ...]:
    """The last lines of an output, or nothing if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ()
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LAST_WORDS))
            raw = file.read(_LAST_WORDS)
    except OSError:
        return ()
    lines = raw.split(b"\n")
    if len(raw) < size:
        lines = lines[1:]
    return tuple(plain(line) for line in lines if line.strip())[-count:]


def plain(line: bytes) -> str:
    """A line as text, without colours and the like; a gateway colours even what it writes into files."""
    return _ANSI.sub("", line[:LINE_CAP].decode(errors="replace")).rstrip("\r")
