"""The asyncio shell around the conversation: dial, read, write, keep deadlines, hang up."""

from __future__ import annotations

import asyncio
import ssl
import sys
import weakref
from collections.abc import Iterable, Mapping, Sequence
from types import EllipsisType, TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed

from regrow import __version__
from regrow.link.address import Address
from regrow.link.dial import MAX_UNSENT, Connection, dial, greet
from regrow.link.events import QUEUE, GatewayEvent, Subscription
from regrow.link.frames import Hello
from regrow.link.protocol import (
    CALL_TIMEOUT,
    Event,
    GatewayProtocol,
    Lost,
    Message,
    Notice,
    Response,
    Seen,
    Signer,
)
from regrow.model.errors import HandshakeError, TransportError

OPEN_TIMEOUT = 20.0


class GatewayClient:
    """A connection to one OpenClaw gateway, open inside `async with`.

    The connection is opened on entry and closed on exit. It is not reopened by itself: when it ends, calls fail with
    `TransportError`, iterators of events end, and `wait_closed` returns; make a new client to connect again.

    Args:
        url: `ws://127.0.0.1:18789`, or `wss://…` for another host; `http` and `https` are read as `ws` and `wss`.
        token: The gateway's shared token.
        identity: A device key (`Identity`); optional on the gateway's own host.
        scopes: The scopes to ask for. What was refused is in `missing_scopes`.
        open_timeout: Seconds for dialling and greeting together.
        call_timeout: Seconds a call may take unless it says otherwise; None waits for ever.
        allow_insecure: Permit sending the token unencrypted to another host.
        tls: How to verify a `wss` gateway, if not by the system's authorities.

    Raises:
        HandshakeError: On construction, if the URL is unusable or would expose the token; on entry, if the gateway
            does not let us in (`retryable` tells whether it may later).
        TransportError: On entry, if there is nobody, or the line broke.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        identity: Signer | None = None,
        scopes: Sequence[str] = ("operator.read",),
        open_timeout: float = OPEN_TIMEOUT,
        call_timeout: float | None = CALL_TIMEOUT,
        allow_insecure: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address = Address.parse(url)
        if token and not self.address.is_private and not allow_insecure:
            raise HandshakeError(
                f"{self.address}: the token would cross the network unencrypted; use wss://, a tunnel to loopback, "
                "or allow_insecure=True",
                code="INSECURE_URL",
            )
        self.missing_scopes: tuple[str, ...] = ()
        self._protocol = GatewayProtocol(
            token=token, identity=identity, scopes=scopes, version=__version__, platform=sys.platform
        )
        self._open_timeout = open_timeout
        self._call_timeout = call_timeout
        self._tls = tls
        self._ws: Connection | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._reader: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: dict[str, asyncio.Future[Any]] = {}
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._ended = asyncio.Event()
        self._end = (1006, "")

    def __repr__(self) -> str:
        return f"GatewayClient({str(self.address)!r}, {self._protocol.phase.value})"

    # ── open and close ──

    async def __aenter__(self) -> Self:
        if self._ws is not None:
            raise RuntimeError("a GatewayClient opens once: make a new one")
        try:
            async with asyncio.timeout(self._open_timeout):
                self._ws = await dial(self.address, self._tls)
                welcomed = await greet(self.address, self._ws, self._protocol)
        except BaseException as error:
            self._protocol.close("never opened")
            self._ended.set()
            if self._ws is not None:
                self._ws.transport.abort()
            if isinstance(error, TimeoutError):
                raise TransportError(f"{self.address}: no greeting within {self._open_timeout:g} s") from None
            raise
        self.missing_scopes = welcomed.missing_scopes
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._reader = self._tasks.create_task(self._read(self._ws), name=f"read {self.address}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await self.close()
        finally:
            if self._reader is not None and self._tasks is not None:
                self._reader.cancel()
                # The body's own error must leave as it is, not wrapped into a group: the group is not told of it.
                await self._tasks.__aexit__(None, None, None)

    async def close(self) -> None:
        """Hang up: politely for two seconds, then hard. Pending calls end with TransportError."""
        if self._ws is None:
            return
        try:
            await self._ws.close()
        except BaseException:
            self._ws.transport.abort()
            raise
        await self._ended.wait()

    async def wait_closed(self) -> tuple[int, str]:
        """Wait until the connection has ended and return the close code (1006 if the line just broke) and reason."""
        await self._ended.wait()
        return self._end

    @property
    def is_closed(self) -> bool:
        """True once the connection has ended."""
        return self._ended.is_set()

    # ── what the gateway is, and says ──

    @property
    def hello(self) -> Hello:
        """What the gateway said about itself."""
        if self._protocol.hello is None:
            raise RuntimeError("the connection was never open")
        return self._protocol.hello

    @property
    def last_heard(self) -> float:
        """When the last byte of any kind arrived, on the loop's clock (`time.monotonic()`)."""
        return 0.0 if self._ws is None else self._ws.last_heard

    def events(self, *, size: int = QUEUE) -> Subscription:
        """Subscribe to everything the gateway pushes from now on.

        Args:
            size: How many events may wait for a slow reader before it misses some (and is told by a `Lost`).

        Returns:
            An async iterator of `GatewayEvent` and `Lost`; it ends with the connection.
        """
        subscription = Subscription(size)
        if self.is_closed:
            subscription.close()
        else:
            self._subscriptions.add(subscription)
        return subscription

    # ── calls ──

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | EllipsisType | None = ...,  # noqa: ASYNC109
    ) -> Any:
        """Call a method and return its decoded payload.

        Args:
            method: For example `health`.
            params: A JSON object.
            timeout: Seconds to wait; None waits for ever; left out, the client's `call_timeout`.

        Raises:
            GatewayError: The gateway answered with an error.
            TransportError: No answer came: the connection ended or the time was over. Whether the gateway acted is
                unknown.
        """
        ws, loop = self._connection(), asyncio.get_running_loop()
        limit = self._call_timeout if isinstance(timeout, EllipsisType) else timeout
        now = loop.time()
        call_id = self._protocol.call(method, params, now, limit)
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting[call_id] = answer
        try:
            if limit is not None:
                self._arm(now + limit)
            await self._send(ws)
            return await answer
        finally:
            self._protocol.forget(call_id)
            self._waiting.pop(call_id, None)

    async def ping(self, timeout: float = 10.0) -> float | None:  # noqa: ASYNC109
        """Ask for a sign of life below the calls; return the seconds it took, or None if none came in time.

        Raises:
            TransportError: The connection has ended.
        """
        ws = self._connection()
        try:
            async with asyncio.timeout(timeout):
                return await (await ws.ping())
        except TimeoutError:
            return None
        except ConnectionClosed:
            raise TransportError(f"{self.address}: the connection ended") from None

    def _connection(self) -> Connection:
        if self._ws is None:
            raise TransportError(f"{self.address}: not connected")
        return self._ws

    async def _send(self, ws: Connection) -> None:
        outgoing = self._protocol.to_send()
        # Below this limit writing never waits, so that a call's deadline holds even while the gateway reads nothing.
        if ws.transport.get_write_buffer_size() + sum(map(len, outgoing)) > MAX_UNSENT:
            raise TransportError(f"{self.address}: the gateway has stopped reading")
        try:
            for frame in outgoing:
                await ws.send(frame, text=True)
        except ConnectionClosed:
            return  # the reader ends every call, with the reason

    # ── deadlines ──

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._see(self._protocol.expire(asyncio.get_running_loop().time()))
        deadline = self._protocol.deadline()
        if deadline is not None:
            self._arm(deadline)

    # ── reading ──

    async def _read(self, ws: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                data = await ws.recv(decode=False)
                self._see(self._protocol.receive(data, loop.time()))
        except ConnectionClosed:
            pass
        finally:
            self._finish(ws)

    def _see(self, seen: Iterable[Seen]) -> None:
        for thing in seen:
            match thing:
                case Response(id=call_id):
                    self._settle(call_id, thing)
                case Event(name=name, payload=payload, seq=seq):
                    self._publish(GatewayEvent(name, payload, seq))
                case Notice(method=method, params=params):
                    self._publish(GatewayEvent(method, params, None, "notification"))
                case Message(frame=frame):
                    self._publish(GatewayEvent("message", frame, None, "message"))
                case Lost():
                    self._publish(thing)
                case _:  # garbage is counted by nobody: the gateway does the same with ours
                    pass

    def _settle(self, call_id: str, response: Response) -> None:
        answer = self._waiting.get(call_id)
        if answer is None or answer.done():
            return
        if response.error is None:
            answer.set_result(response.payload)
        else:
            answer.set_exception(response.error)

    def _publish(self, item: GatewayEvent | Lost) -> None:
        for subscription in list(self._subscriptions):
            subscription.put(item)

    def _finish(self, ws: Connection) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end = (int(ws.close_code or 1006), ws.close_reason or "")
        code, reason = self._end
        said = f" {reason}" if reason else ""
        self._see(self._protocol.close(f"the connection to {self.address} ended ({code}{said})"))
        for subscription in list(self._subscriptions):
            subscription.close()
        self._ended.set()


def attach(url: str, **options: Any) -> GatewayClient:
    """Make a client for a gateway that is known by its URL only.

    Args:
        url: As for `GatewayClient`.
        options: As for `GatewayClient`. A token is not sent unencrypted to another host unless `allow_insecure=True`.
    """
    return GatewayClient(url, **options)
