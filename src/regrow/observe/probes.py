"""A visit to the gateway's HTTP probes: one fresh connection, so that the port is looked at each time too."""

from __future__ import annotations

import asyncio
import errno
import functools
import ssl
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import Struct

from regrow.link.address import Address

LATE = 0.25  # seconds a deadline may fire late before we blame ourselves for the silence
_HEAD = 64 * 1024
_BODY = 1024 * 1024

# Failures that say something about us or the way there, nothing about the gateway.
OURS = frozenset(
    {
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENETUNREACH,
        errno.EHOSTUNREACH, errno.ENETDOWN, errno.EACCES, errno.EPERM, errno.EAGAIN,
    }
)  # fmt: skip


class Silence(StrEnum):
    """Why there was no answer."""

    REFUSED = "refused"  # nobody listens
    SILENT = "silent"  # the connection was accepted, and nothing or no HTTP came
    UNKNOWN = "unknown"  # the look itself failed


class NoAnswer(Exception):  # noqa: N818  (an observation, not an error)
    """There was no answer, and why."""

    def __init__(self, why: Silence) -> None:
        super().__init__(why.value)
        self.why = why


class Page(Struct, frozen=True):
    """An answer. `body` is the JSON object, or None if the answer was none."""

    status: int
    body: dict[str, Any] | None
    took: float


class Visit:
    """One look at one gateway; an asynchronous context manager. Requests share a connection while it lasts.

    Args:
        address: Where the gateway is.
        within: Seconds for each request, dialling included.
    """

    def __init__(self, address: Address, within: float) -> None:
        self._address = address
        self._within = within
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._drop()

    async def get(self, path: str) -> Page:
        """Ask for one page.

        Raises:
            NoAnswer: There was none in time.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(self._within):
                page = await self._get(path)
        except TimeoutError:
            late = loop.time() - begun - self._within > LATE
            dialled = self._stream is not None or self._address.is_loopback
            self._drop()
            # a dial to this very host that hangs means a listener that no longer accepts
            raise NoAnswer(Silence.UNKNOWN if late or not dialled else Silence.SILENT) from None
        except ConnectionRefusedError:
            raise NoAnswer(Silence.REFUSED) from None
        except ssl.SSLError:
            self._drop()
            raise NoAnswer(Silence.UNKNOWN) from None
        except (OSError, EOFError, ValueError) as error:
            accepted = self._stream is not None
            self._drop()
            ours = isinstance(error, OSError) and (error.errno in OURS or not accepted)
            raise NoAnswer(Silence.UNKNOWN if ours else Silence.SILENT) from None
        return Page(page[0], page[1], loop.time() - begun)

    async def _get(self, path: str) -> tuple[int, dict[str, Any] | None]:
        if self._stream is not None and self._stream[0].at_eof():
            self._drop()
        if self._stream is None:
            tls = _authorities() if self._address.is_encrypted else None
            self._stream = await asyncio.open_connection(self._address.host, self._address.port, ssl=tls, limit=_HEAD)
        reader, writer = self._stream
        host = str(self._address).partition("://")[2]
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n\r\n".encode())
        status, headers = await _head(reader)
        raw = await _body(reader, headers)
        if headers.get("connection", "").lower() == "close" or raw is None:
            self._drop()
        if raw is None or "json" not in headers.get("content-type", ""):
            return status, None
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            body = msgspec.json.decode(raw)
            return status, body if isinstance(body, dict) else None
        return status, None

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream[1].transport.abort()
            self._stream = None


@functools.cache
def _authorities() -> ssl.SSLContext:
    """Reading them takes ten milliseconds: once is enough."""
    return ssl.create_default_context()


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise ValueError("an endless header") from None
    first, *rest = raw.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise ValueError("this is no HTTP")
    pairs = (line.partition(":") for line in rest if line)
    return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes | None:
    """The body, or None if it is too long to be an answer of ours; the connection is of no use then."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunks(reader)
    if "content-length" in headers:
        length = int(headers["content-length"])
        return await reader.readexactly(length) if 0 <= length <= _BODY else None
    raw = await reader.read(_BODY)
    headers["connection"] = "close"
    return raw


async def _chunks(reader: asyncio.StreamReader) -> bytes | None:
    parts: list[bytes] = []
    total = 0
    while True:
        size = int((await reader.readline()).partition(b";")[0].strip() or b"0", 16)
        total += size
        if size < 0 or total > _BODY:
            return None
        part = await reader.readexactly(size + 2)
        if size == 0:
            return b"".join(parts)
        parts.append(part[:-2])
