"""A small HTTP server on this machine's loopback that plays somebody else's service: it keeps what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Seen(NamedTuple):
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    """What is answered. `hold`: wait for this first; `cut`: hang up instead."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012
    hold: asyncio.Event | None = None
    cut: bool = False


class Web:
    """The server. `play` is asked for each answer; it may be exchanged at any time."""

    def __init__(self, play: Callable[[Seen], Answer | None]) -> None:
        self.play = play
        self.seen: list[Seen] = []
        self.port = 0
        self._news = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Listen; on the same port as before if it was down."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Be unreachable."""
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def got(self, count: int = 1, within: float = 10.0, **where: Any) -> list[Seen]:
        """The requests so far, once there are so many with this `method` or `path`."""

        def found() -> list[Seen]:
            return [one for one in self.seen if all(getattr(one, k) == v for k, v in where.items())]

        async with asyncio.timeout(within):
            while len(found()) < count:
                self._news.clear()
                await self._news.wait()
        return found()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while line := await reader.readline():
                method, target, _ = line.decode().split()
                headers: dict[str, str] = {}
                while (raw := (await reader.readline()).decode().strip()) != "":
                    name, _, value = raw.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                seen = Seen(method, target, headers, body)
                answer = self.play(seen) or Answer()
                self.seen.append(seen)
                self._news.set()
                if answer.hold is not None:
                    await answer.hold.wait()
                if answer.cut:
                    return
                writer.write(_message(answer))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()


def _message(answer: Answer) -> bytes:
    text = (
        answer.body
        if isinstance(answer.body, bytes)
        else b""
        if answer.body is None
        else json.dumps(answer.body).encode()
    )
    lines = [f"HTTP/1.1 {answer.status} .", f"Content-Length: {len(text)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + text


@contextlib.asynccontextmanager
async def web(play: Callable[[Seen], Answer | None] = lambda _seen: None) -> AsyncIterator[Web]:
    """A server for as long as the block lasts."""
    server = Web(play)
    await server.up()
    try:
        yield server
    finally:
        await server.down()
