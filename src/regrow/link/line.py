"""The line to one gateway: dialled when told, listened to while it is open, its end reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from msgspec import Struct

from regrow.decide.profiles import DEFAULT, Policy
from regrow.link.client import GatewayClient
from regrow.link.events import GatewayEvent
from regrow.link.protocol import Lost, Signer
from regrow.model.errors import GatewayError, HandshakeError, TransportError
from regrow.model.facts import AnyFact, Heard, LinkDown, LinkRefused, LinkUp, PongMissed, RestartAnnounced
from regrow.model.verdicts import Verdict

HEARD_EVERY = 1.0  # at most one Heard per second
STARTING_PAUSE = 0.5  # a gateway that is starting and does not say when to come again
EVENTS = 8192  # may wait for us; beyond it they are lost, and counted
_NOT_THERE = ("NOT_A_GATEWAY", "HTTP_")  # somebody else's server: not a gateway that refuses us


class Clock(Protocol):
    """Gives the time of facts."""

    def now(self) -> float:
        """Epoch seconds that never run backwards."""


OnEvent = Callable[[str, Any, int | None], None]
OnItem = Callable[[GatewayEvent | Lost], None]


class Diagnostics(Struct, rename="camel"):
    """What the line has been through; times in epoch milliseconds, None if it never happened."""

    last_alive_at: int | None = None
    last_rpc_success_at: int | None = None
    last_rpc_failure_at: int | None = None
    last_rpc_failure_method: str | None = None
    consecutive_rpc_failures: int = 0
    last_heartbeat_timeout_at: int | None = None
    consecutive_heartbeat_misses: int = 0
    last_socket_close_at: int | None = None
    last_socket_close_code: int | None = None


class Line:
    """Holds the connection to one gateway, or none. It dials only when told and never reconnects by itself.

    `run` must be running: it owns the connection, so that it ends with the task that ran it.

    Args:
        url: The gateway's URL, asked at each dialling (the port may change from life to life).
        token: Its token, asked at each dialling.
        identity: Our device key, or None.
        scopes: What to ask for; without read access we cannot observe and say so.
        clock: Gives `at`.
        post: Takes the facts.
        policy: The heartbeat's figures.
        on_event: Told name, payload and number of everything the gateway pushes.
        on_item: Told the same as it came, including what was lost; for normalising.
        allow_insecure: Permit sending the token unencrypted to another host.
    """

    def __init__(
        self,
        url: Callable[[], str],
        token: Callable[[], str | None],
        identity: Signer | None = None,
        scopes: Sequence[str] = ("operator.read",),
        *,
        clock: Clock,
        post: Callable[[AnyFact], None],
        policy: Policy = DEFAULT,
        on_event: OnEvent | None = None,
        on_item: OnItem | None = None,
        allow_insecure: bool = False,
    ) -> None:
        self.client: GatewayClient | None = None
        self.on_event = on_event
        self.on_item = on_item
        self.connected_at: float | None = None
        self._url = url
        self._token = token
        self._identity = identity
        self._scopes = tuple(scopes)
        self._clock = clock
        self._post = post
        self._policy = policy
        self._allow_insecure = allow_insecure
        self._wanted: asyncio.Queue[asyncio.Future[Verdict]] = asyncio.Queue()
        self._diagnostics = Diagnostics()

    # ── what others ask for ──

    async def dial(self) -> Verdict:
        """Open the connection; LinkUp or LinkRefused has been posted when this returns."""
        if self.client is not None:
            return Verdict(result="done", detail="the socket is open already")
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._wanted.put_nowait(answer)
        return await answer

    async def hang_up(self) -> None:
        """Close the connection, if there is one; LinkDown follows."""
        if self.client is not None:
            await self.client.close()

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = 30.0,  # noqa: ASYNC109
    ) -> Any:
        """Call a method of the gateway.

        Raises:
            GatewayError: The gateway answered with an error; the line is fine.
            TransportError: There is no connection, it ended, or no answer came in time.
        """
        client, seen = self.client, self._diagnostics
        try:
            if client is None:
                raise TransportError(f"{method} not sent: there is no connection to the gateway")  # noqa: TRY301
            payload = await client.call(method, params, timeout=timeout)
        except TransportError:
            seen.last_rpc_failure_at = self._now_ms()
            seen.last_rpc_failure_method = method
            seen.consecutive_rpc_failures += 1
            raise
        except GatewayError:
            seen.consecutive_rpc_failures = 0  # it answered
            raise
        seen.last_rpc_success_at = self._now_ms()
        seen.consecutive_rpc_failures = 0
        return payload

    @property
    def diagnostics(self) -> Diagnostics:
        """What the line has been through, up to now."""
        self._note_alive()
        return self._diagnostics

    # ── the life of the line ──

    async def run(self) -> None:
        """Open a connection whenever somebody dials, and look after it until it ends."""
        while True:
            answer = await self._wanted.get()
            if answer.cancelled():
                continue
            try:
                await self._hold(answer)
            finally:
                if not answer.done():
                    answer.cancel()

    async def _hold(self, answer: asyncio.Future[Verdict]) -> None:
        """One connection from its opening to its end."""
        try:
            client = GatewayClient(
                self._url(), token=self._token(), identity=self._identity, scopes=self._scopes,
                allow_insecure=self._allow_insecure,
            )  # fmt: skip
            await client.__aenter__()
        except (HandshakeError, TransportError) as error:
            self._refused(answer, error)
            return
        try:
            if "operator.read" in client.missing_scopes:
                text = "the gateway let us in without read access (operator.read): we cannot see anything"
                self._refused(answer, HandshakeError(text, code="SCOPES_MISSING"))
                return
            self._opened(client)
            _settle(answer, Verdict(result="done", detail=f"connected to OpenClaw {client.hello.version}"))
            self._answer_waiting()
            await self._listen(client)
        finally:
            was_open = self.client is not None
            self._note_alive()
            self.client, self.connected_at = None, None
            await client.__aexit__(None, None, None)
            if was_open:
                self._closed(*await client.wait_closed())

    def _opened(self, client: GatewayClient) -> None:
        hello, now = client.hello, self._clock.now()
        self.client, self.connected_at = client, now
        self._diagnostics.consecutive_heartbeat_misses = 0
        self._diagnostics.last_alive_at = round(now * 1000)
        self._post(
            LinkUp(
                at=now,
                version=hello.version,
                protocol=hello.protocol,
                boot_id=hello.boot_id,
                boot_age=None if hello.uptime_ms is None else hello.uptime_ms / 1000.0,
                methods=hello.methods,
                scopes=hello.scopes,
                missing_scopes=client.missing_scopes,
                state_dir=hello.state_dir,
                config_path=hello.config_path,
            )
        )

    def _refused(self, answer: asyncio.Future[Verdict], error: HandshakeError | TransportError) -> None:
        code, after, blind = "UNREACHABLE", None, False
        if isinstance(error, HandshakeError):
            code = error.code or "REFUSED"
            if error.retryable:
                after = STARTING_PAUSE if error.retry_after is None else error.retry_after
            else:
                blind = not code.startswith(_NOT_THERE)
        now = self._clock.now()
        self._post(LinkRefused(at=now, code=code, reason=str(error), blind=blind, retry_after=after))
        retry_at = None if after is None else now + after
        _settle(answer, Verdict(result="failed", detail=str(error), retry_at=retry_at))

    def _answer_waiting(self) -> None:
        """Whoever dialled at the same time has what it wanted."""
        while not self._wanted.empty():
            _settle(self._wanted.get_nowait(), Verdict(result="done", detail="the socket is open already"))

    def _closed(self, code: int, reason: str) -> None:
        now = self._clock.now()
        self._diagnostics.last_socket_close_at = round(now * 1000)
        self._diagnostics.last_socket_close_code = code
        self._post(LinkDown(at=now, code=code, reason=reason))

    async def _listen(self, client: GatewayClient) -> None:
        async with asyncio.TaskGroup() as tasks:
            helpers = [tasks.create_task(self._hear(client)), tasks.create_task(self._beat(client))]
            async for item in client.events(size=EVENTS):
                self._tell(item)
            for helper in helpers:
                helper.cancel()

    def _tell(self, item: GatewayEvent | Lost) -> None:
        if self.on_item is not None:
            self.on_item(item)
        if isinstance(item, Lost):
            return
        if item.name == "shutdown" and item.kind == "event":
            body = item.payload if isinstance(item.payload, Mapping) else {}
            reason = str(body.get("reason", ""))
            restarting = "restart" in reason or body.get("restartExpectedMs") is not None
            self._post(RestartAnnounced(at=self._clock.now(), restarting=restarting, reason=reason))
        if self.on_event is not None:
            self.on_event(item.name, item.payload, item.seq)

    async def _hear(self, client: GatewayClient) -> None:
        """Say that something was heard, once per second at most, with the time at which it was."""
        loop = asyncio.get_running_loop()
        known = client.last_heard
        while True:
            await asyncio.sleep(HEARD_EVERY)
            if client.last_heard > known:
                known = client.last_heard
                self._post(Heard(at=self._clock.now() - max(0.0, loop.time() - known)))

    async def _beat(self, client: GatewayClient) -> None:
        """Ask for a sign of life below the calls; only complete silence counts as a miss."""
        loop = asyncio.get_running_loop()
        seen = self._diagnostics
        while True:
            await asyncio.sleep(self._policy.ping_every)
            sent = loop.time()
            try:
                answered = await client.ping(self._policy.pong_within) is not None
            except TransportError:
                return
            if answered or client.last_heard > sent:
                seen.consecutive_heartbeat_misses = 0
                continue
            seen.consecutive_heartbeat_misses += 1
            seen.last_heartbeat_timeout_at = self._now_ms()
            self._post(PongMissed(at=self._clock.now(), misses=seen.consecutive_heartbeat_misses))

    def _note_alive(self) -> None:
        if self.client is None:
            return
        with suppress(RuntimeError):  # outside the loop: the last known value serves
            ago = asyncio.get_running_loop().time() - self.client.last_heard
            heard = round((self._clock.now() - max(0.0, ago)) * 1000)
            self._diagnostics.last_alive_at = max(self._diagnostics.last_alive_at or 0, heard)

    def _now_ms(self) -> int:
        return round(self._clock.now() * 1000)


def _settle(answer: asyncio.Future[Verdict], verdict: Verdict) -> None:
    if not answer.done():
        answer.set_result(verdict)
