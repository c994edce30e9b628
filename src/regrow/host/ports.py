"""Who listens where on loopback."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from regrow.host.process import LINUX, identify
from regrow.model.gateway import Process

LOOPBACK = "127.0.0.1"
_LISTEN = "0A"


def free_port() -> int:
    """A loopback port nobody uses now. It is not reserved: use it soon, and expect that it may be taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether a gateway could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if sys.platform != "win32":
            # as Node does: connections lingering after a close do not count, listeners do
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


async def accepts(port: int, within: float = 1.0, *, host: str = LOOPBACK) -> bool:
    """Whether a TCP connection is accepted in time. A stopped process accepts too: this proves no life."""
    try:
        async with asyncio.timeout(within):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True


def listener(port: int, likely: Iterable[int] = ()) -> Process | None:
    """The process that listens on this port of loopback or of every address.

    Args:
        port: The TCP port.
        likely: Pids to look at first; looking at every process costs milliseconds.

    Returns:
        None if nobody listens, or if the listener's owner may not be seen by us (`is_free` tells which).
    """
    return _listener_linux(port, likely) if LINUX else _listener_elsewhere(port)


def _listener_linux(port: int, likely: Iterable[int]) -> Process | None:
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    if not sockets:
        return None
    for pid in likely:
        if _holds(pid, sockets):
            return identify(pid)
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit() and _holds(int(entry.name), sockets):
                return identify(int(entry.name))
    return None


def _listening(port: int) -> list[str]:
    """The socket inodes that listen on this port where a loopback client arrives."""
    inodes: list[str] = []
    for table in ("tcp", "tcp6"):
        try:
            rows = [line.split() for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]]
        except OSError:
            continue
        for row in rows:
            address, _, hexport = row[1].rpartition(":")
            if row[3] == _LISTEN and int(hexport, 16) == port and _reaches_loopback(address):
                inodes.append(row[9])
    return inodes


def _reaches_loopback(address: str) -> bool:
    """/proc prints addresses as 32-bit words in host order."""
    words = [bytes.fromhex(address[i : i + 8]) for i in range(0, len(address), 8)]
    raw = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    if len(raw) == 16:
        if raw in {bytes(16), bytes(15) + b"\x01"}:
            return True
        if raw[:12] != bytes(10) + b"\xff\xff":
            return False
        raw = raw[12:]
    return raw == bytes(4) or raw[0] == 127


def _holds(pid: int, sockets: set[str]) -> bool:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with suppress(OSError):
                    if os.readlink(entry.path) in sockets:  # noqa: PTH115  (thousands of these: no object each)
                        return True
    except OSError:
        return False  # gone, or another user's
    return False


def _listener_elsewhere(port: int) -> Process | None:
    import psutil

    with suppress(psutil.Error):
        for entry in psutil.net_connections(kind="tcp"):
            if entry.status == psutil.CONN_LISTEN and entry.laddr and entry.laddr.port == port and entry.pid:
                return identify(entry.pid)
    return None
