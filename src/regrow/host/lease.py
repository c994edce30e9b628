"""Our own claim on a gateway: at most one regrow tends a state directory."""

from __future__ import annotations

import os
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from regrow.host.process import LINUX, alive, identify
from regrow.model.errors import Fatal
from regrow.model.gateway import Process

if sys.platform != "win32":
    import fcntl

FILE = "regrow.lease"
STALE = 30.0  # seconds without a heartbeat after which a holder on another host counts as gone
_CAP = 4096
_SIZE = 512


class Holder(Struct, frozen=True):
    """Who holds a lease.

    Attributes:
        pid: Its process id.
        started: Its start time, as in Process.
        name: The keeper's name.
        at: Its last heartbeat, epoch seconds.
        version: Its version.
        host: Names the host and pid namespace in which `pid` means something.
    """

    pid: int
    started: int
    name: str
    at: float
    version: str = ""
    host: str = ""

    @property
    def process(self) -> Process:
        """Its identity, meaningful on its own host."""
        return Process(pid=self.pid, started=self.started)


class Lease:
    """One keeper per state directory: a locked file with an identity and a heartbeat.

    The kernel's lock decides on one host and ends with its holder, however that dies. Where a file system does not
    share locks (containers, network mounts) the identity, and across hosts the heartbeat, decides.

    Args:
        state_dir: The gateway's state directory, which must exist.
        name: The keeper's name, for people.
        version: Our version, for people.
        now: Epoch seconds.
    """

    def __init__(
        self, state_dir: Path, *, name: str = "", version: str = "", now: Callable[[], float] = time.time
    ) -> None:
        self.path = state_dir / FILE
        self._name = name
        self._version = version
        self._now = now
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether we hold it, as far as we know; `renew` checks."""
        return self._handle is not None

    def take(self) -> bool:
        """Try to become the holder. True if we are, or still are: looking does not beat, for nothing is written.

        Raises:
            Fatal: The state directory does not exist or cannot be written.
        """
        if self._handle is not None:
            return self._still_ours()
        for _ in range(5):
            handle = self._open()
            if handle is None:
                return False
            if not _lock(handle) or self._is_rival(_parse(_content(handle))):
                os.close(handle)
                return False
            if not self._is_ours(handle):
                os.close(handle)  # its holder removed the file between our opening and locking it
                continue
            self._handle = handle
            self._write()
            return True
        return False

    def renew(self) -> bool:
        """Beat. False if the lease is lost: the file was removed or replaced, or is no longer ours."""
        if not self._still_ours():
            return False
        self._write()
        return True

    def holder(self) -> Holder | None:
        """Who holds it now; None if nobody alive does."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            found = _parse(_content(handle))
        finally:
            os.close(handle)
        return found if self._is_taken(found) else None

    def release(self) -> None:
        """Give it up, so that the next keeper need not wonder. Harmless if it is not held."""
        if self._handle is None:
            return
        if self._is_ours(self._handle) and self._names_us():
            with suppress(OSError):
                self.path.unlink()  # while still locked: nobody can be fooled by the old file
        self._drop()

    def _open(self) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK
        try:
            handle = os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            raise Fatal(f"the state directory {self.path.parent} does not exist: start the gateway once") from None
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else "unknown error"
            raise Fatal(f"cannot write {self.path}: {reason}; run regrow as the gateway's user") from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise Fatal(f"{self.path} is not a plain file: remove it")
        with suppress(OSError):
            os.fchmod(handle, 0o600)
        return handle

    def _still_ours(self) -> bool:
        """Whether what we hold is still what lies there; what is lost is let go."""
        if self._handle is None:
            return False
        if self._is_ours(self._handle) and self._names_us():
            return True
        self._drop()
        return False

    def _is_rival(self, holder: Holder | None) -> bool:
        return holder is not None and not _is_us(holder) and self._is_taken(holder)

    def _is_taken(self, holder: Holder | None) -> bool:
        if holder is None:
            return False
        if holder.host == host_key():
            return alive(holder.process)
        # on another host, or in another pid namespace, its pid means nothing to us
        return self._now() - holder.at < STALE

    def _is_ours(self, handle: int) -> bool:
        try:
            ours, there = os.fstat(handle), self.path.stat()
        except OSError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def _names_us(self) -> bool:
        found = None if self._handle is None else _parse(_content(self._handle))
        return found is None or _is_us(found)  # unreadable: we hold the lock, and the next beat repairs it

    def _write(self) -> None:
        assert self._handle is not None  # noqa: S101
        me = _me(os.getpid())
        record = Holder(
            pid=me.pid, started=me.started, name=self._name, at=self._now(), version=self._version, host=host_key()
        )
        text = msgspec.json.encode(record) + b"\n"
        with suppress(OSError):  # a full disk delays a beat; it does not end the lease, the kernel's lock holds
            # padded to one size and written at once: a reader sees the old beat or the new one
            os.pwrite(self._handle, text.ljust(_SIZE), 0)
            os.ftruncate(self._handle, _SIZE)

    def _drop(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


@cache
def _me(pid: int) -> Process:
    return identify(pid) or Process(pid=pid, started=0)


@cache
def host_key() -> str:
    """Names this boot of this host and this pid namespace: where a pid and a start time mean one process."""
    if LINUX:
        with suppress(OSError):
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    return socket.gethostname()


def _is_us(holder: Holder) -> bool:
    return holder.host == host_key() and holder.process == _me(os.getpid())


def _lock(handle: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: identity and heartbeat decide
    return True


def _content(handle: int) -> bytes:
    try:
        return os.pread(handle, _CAP, 0)
    except OSError:
        return b""


def _parse(raw: bytes) -> Holder | None:
    try:
        return msgspec.json.decode(raw.strip(b" \t\r\n\0"), type=Holder)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
