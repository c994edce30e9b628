"""The keeper's socket: one JSON object per line in, answers and streams out, for this user only."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
import stat
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta, Struct

from regrow.decide.domains.base import Reply
from regrow.host.paths import private_dir
from regrow.model.errors import (
    ConfigError,
    Fatal,
    GatewayError,
    HandshakeError,
    Refused,
    RegrowError,
    Retryable,
    TransportError,
)
from regrow.model.facts import Verb

LONGEST = 1024 * 1024  # bytes of one request
ROOT = 0
MOST = 64  # conversations at a time
IDLE = 60.0  # seconds a caller may be silent before it is sent away
SLOW = 20.0  # seconds a caller may leave what it asked for unread

Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class Status(Struct, frozen=True, tag_field="op", tag="status", forbid_unknown_fields=True):
    """What is believed about the gateway now."""


class Wish(Struct, frozen=True, kw_only=True, tag_field="op", tag="ask", forbid_unknown_fields=True):
    """What a person wants; the fields are those of the fact `Asked`."""

    verb: Verb
    by: Annotated[str, Meta(max_length=200)] = "cli"
    reason: Annotated[str, Meta(max_length=2000)] = ""
    force: bool = False
    delay: Seconds = 0.0
    topics: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    channel_type: str = ""
    account_id: str = ""
    subject: Annotated[str, Meta(max_length=500)] = ""
    lasts: Annotated[float, Meta(ge=0, le=31_536_000)] = 0.0


class Rpc(Struct, frozen=True, kw_only=True, tag_field="op", tag="rpc", forbid_unknown_fields=True):
    """A call to the gateway through the keeper's own connection; `timeout` null means no limit."""

    method: Annotated[str, Meta(min_length=1, max_length=200)]
    params: dict[str, Any] | None = None
    timeout: Annotated[float, Meta(gt=0, le=86_400)] | None = 30.0


class Events(Struct, frozen=True, kw_only=True, tag_field="op", tag="events", forbid_unknown_fields=True):
    """Events after an id; with `follow` also those to come. Without `types`, all."""

    after: Annotated[int, Meta(ge=0)] = 0
    follow: bool = False
    types: tuple[str, ...] = ()


class ReloadConfig(Struct, frozen=True, tag_field="op", tag="reload-config", forbid_unknown_fields=True):
    """Read regrow's own configuration again."""


Request = Status | Wish | Rpc | Events | ReloadConfig


class Keeper(Protocol):
    """What the socket needs of the daemon. Errors are raised as `RegrowError` or `TimeoutError`."""

    def status(self) -> dict[str, Any]:
        """The fields of `regrow status --json`."""
        ...

    def ask(self, wish: Wish) -> AsyncIterator[Reply]:
        """Answers until a final one (not `queued`). Closing the iterator leaves the request standing."""
        ...

    async def rpc(self, method: str, params: dict[str, Any] | None, timeout: float | None) -> Any:  # noqa: ASYNC109
        """What the gateway answers."""
        ...

    def events(self, after: int, *, follow: bool, types: tuple[str, ...]) -> AsyncIterator[dict[str, Any]]:
        """Events with `id`, `at`, `type`, `data`. What a slow follower has not taken may be dropped."""
        ...

    async def reload_config(self) -> dict[str, Any]:
        """`changed` and `needRestart`: what differs now, and what of it waits for a restart of regrow."""
        ...


class ControlServer:
    """Answers local callers.

    Args:
        path: Where the socket lies; its directory is made private, or made, if need be.
        keeper: Who knows the answers.
    """

    def __init__(self, path: Path, keeper: Keeper) -> None:
        self.path = path
        self._keeper = keeper
        self._decoder = msgspec.json.Decoder(Request)
        self._open = 0
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled; then every conversation is closed and the socket removed.

        Raises:
            Fatal: Another keeper answers there, or the socket cannot be made.
        """
        private_dir(self.path.parent)
        await self._make_room()
        listener, inode = self._listen()
        try:
            async with asyncio.TaskGroup() as group:

                def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                    group.create_task(self._talk(reader, writer))

                server = await asyncio.start_unix_server(welcome, sock=listener, limit=LONGEST)
                self.listening.set()
                try:
                    await asyncio.get_running_loop().create_future()  # until cancelled
                finally:
                    self.listening.clear()
                    server.close()
        finally:
            listener.close()
            with contextlib.suppress(OSError):
                if self.path.lstat().st_ino == inode:
                    self.path.unlink()

    async def _make_room(self) -> None:
        """Remove a socket that nobody listens on any more; a living keeper keeps its own."""
        if sys.platform == "win32":
            raise Fatal("regrow's control socket needs Unix sockets; on Windows run it inside WSL")
        try:
            kind = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        except OSError as error:
            raise Fatal(f"cannot use {self.path}: {error.strerror}; choose another [regrow] state_dir") from error
        if not stat.S_ISSOCK(kind):
            raise Fatal(f"{self.path} is in the way and is no socket; move it away")
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_unix_connection(str(self.path))
        except (ConnectionRefusedError, FileNotFoundError):
            self.path.unlink(missing_ok=True)
            return
        except (TimeoutError, OSError):
            pass  # somebody holds it open, be it a keeper that is very busy
        else:
            writer.close()
        raise Fatal(
            f"another keeper answers at {self.path}; see `regrow status`, or give this one a name of its own (--name)"
        )

    def _listen(self) -> tuple[socket.socket, int]:
        """A listening socket that nobody else could open, not even for a moment."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        fresh = self.path.with_name(f".k{os.getpid()}")  # shorter than its final name, which is near the limit
        try:
            fresh.unlink(missing_ok=True)
            listener.bind(str(fresh))
            fresh.chmod(0o600)
            listener.listen(MOST)
            listener.setblocking(False)
            inode = fresh.stat().st_ino
            fresh.rename(self.path)
        except OSError as error:
            listener.close()
            fresh.unlink(missing_ok=True)
            raise Fatal(f"cannot listen at {self.path}: {error.strerror or error}; see [regrow] state_dir") from error
        return listener, inode

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(reader, writer)
        self._open += 1
        try:
            if not _is_ours(writer.get_extra_info("socket")):
                await line.refuse("FORBIDDEN", "this keeper answers only the user who runs it")
            elif self._open > MOST:
                await line.refuse("BUSY", f"{MOST} callers are being answered already; try again")
            else:
                async with asyncio.TaskGroup() as conversation:
                    ears = conversation.create_task(line.listen())
                    await self._converse(line)
                    ears.cancel()
        except* (ConnectionError, TimeoutError):
            pass  # it went away, or does not read: its own affair
        finally:
            self._open -= 1
            line.close()

    async def _converse(self, line: _Line) -> None:
        while raw := await line.next():
            if not raw.strip():
                continue
            try:
                request = self._decoder.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                await line.refuse("BAD_REQUEST", f"not a request: {str(error)[:300]}")
                continue
            try:
                await self._answer(request, line)
            except RegrowError as error:
                await line.say({"ok": False, "error": _told(error)})
        if line.overlong:
            await line.refuse("BAD_REQUEST", f"a request is one line of at most {LONGEST} bytes")

    async def _answer(self, request: Request, line: _Line) -> None:
        match request:
            case Status():
                await line.say({"ok": True, "result": self._keeper.status()})
            case Rpc(method=method, params=params, timeout=limit):
                await line.say({"ok": True, "result": await self._call(method, params, limit)})
            case ReloadConfig():
                await line.say({"ok": True, "result": await self._keeper.reload_config()})
            case Wish():
                await self._grant(request, line)
            case Events(after=after, follow=follow, types=types):
                async with contextlib.aclosing(
                    _closable(self._keeper.events(after, follow=follow, types=types))
                ) as all_:
                    async for event in all_:
                        await line.say({"event": event})

    async def _call(self, method: str, params: dict[str, Any] | None, limit: float | None) -> Any:
        try:
            return await self._keeper.rpc(method, params, limit)
        except TimeoutError as error:
            raise TransportError(f"the gateway did not answer {method} within {limit:g} s") from error

    async def _grant(self, wish: Wish, line: _Line) -> None:
        async with contextlib.aclosing(_closable(self._keeper.ask(wish))) as replies:
            async for reply in replies:
                said: dict[str, Any] = {"state": reply.state, "text": reply.text}
                if reply.until is not None:
                    said["until"] = round(reply.until * 1000)
                await line.say({"reply": said})
                if reply.state != "queued":
                    return
        raise Retryable("the keeper ended before this was done; the gateway may still do it: see `regrow status`")


class _Line:
    """One caller. It is listened to while it is answered, so that a hang-up ends the work for it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._heard: asyncio.Queue[bytes] = asyncio.Queue(1)
        self.overlong = False
        writer.transport.set_write_buffer_limits(high=0)  # an answer counts as given when the kernel has it all

    async def listen(self) -> None:
        """Read requests, one ahead of the answers.

        Raises:
            ConnectionResetError: The caller hung up.
        """
        raw = b"?"
        while raw:
            try:
                raw = await self._reader.readline()
            except ValueError:  # the reader's word for a line beyond its limit
                self.overlong = True
                raw = b""
            await self._heard.put(raw)
        if not self.overlong and _is_closed(self._writer.get_extra_info("socket")):
            raise ConnectionResetError

    async def next(self) -> bytes:
        """The next line, or nothing when the caller is done or stays silent."""
        async with asyncio.timeout(IDLE):
            return await self._heard.get()

    async def say(self, answer: dict[str, Any]) -> None:
        """Send one object; a caller that does not read is left after a while."""
        self._writer.write(msgspec.json.encode(answer, enc_hook=str) + b"\n")
        async with asyncio.timeout(SLOW):
            await self._writer.drain()

    async def refuse(self, code: str, message: str) -> None:
        """Say what is wrong with a request."""
        await self.say({"ok": False, "error": {"code": code, "message": message}})

    def close(self) -> None:
        """Let the caller go; what it has not read by now is not waited for."""
        self._writer.close()
        if self._writer.transport.get_write_buffer_size():
            self._writer.transport.abort()


def _closable(source: AsyncIterator[Any]) -> Any:
    """Async generators can be closed; an iterator that cannot has nothing to close."""
    if hasattr(source, "aclose"):
        return source

    async def wrapped() -> AsyncIterator[Any]:
        async for item in source:
            yield item

    return wrapped()


def _told(error: RegrowError) -> dict[str, Any]:
    match error:
        case GatewayError(code=code, message=message, details=details):
            return {"code": code, "message": message, "details": details, "retryable": error.retryable}
        case TransportError():
            return {"code": "TRANSPORT", "message": str(error)}
        case HandshakeError(code=code):
            return {"code": code or "HANDSHAKE", "message": str(error)}
        case Refused(by=by):
            return {"code": "REFUSED", "message": str(error), "details": {"by": by}}
        case ConfigError(problems=problems):
            return {"code": "CONFIG", "message": str(error), "details": {"problems": problems}}
        case Retryable():
            return {"code": "RETRY", "message": str(error)}
        case _:
            return {"code": "FAILED", "message": str(error)}


def _is_ours(caller: socket.socket) -> bool:
    """Whether the caller runs as our user or as root; the file's mode says the same, this proves it."""
    try:
        if sys.platform == "linux":
            raw = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            uid = struct.unpack("3i", raw)[1]
        else:
            raw = caller.getsockopt(0, 1, 8)  # SOL_LOCAL, LOCAL_PEERCRED: version, uid, …
            uid = struct.unpack("2I", raw)[1]
    except (OSError, struct.error) as error:
        return isinstance(error, OSError) and error.errno == errno.ENOPROTOOPT
    return uid in {ROOT, os.getuid()}


def _is_closed(caller: socket.socket) -> bool:
    """Whether the caller closed its socket, rather than only saying that it asks no more."""
    if caller.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(caller.fileno(), select.POLLIN)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))
