"""What the gateway answers: its HTTP probes in a rhythm that follows its life, and one RPC on suspicion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from regrow.decide.profiles import Policy
from regrow.decide.view import View
from regrow.host import process as processes
from regrow.host.child import Child
from regrow.link.address import Address
from regrow.link.client import GatewayClient
from regrow.model.errors import GatewayError, HandshakeError, TransportError
from regrow.model.facts import Probed, ProcessSeen, Verified
from regrow.model.gateway import Process
from regrow.observe.base import Now, Post, pause
from regrow.observe.probes import LATE, OURS, NoAnswer, Page, Silence, Visit

BOOTING_EVERY = 1.0
SUSPECT_EVERY = 2.0
READYZ_EVERY = 30.0
VERIFY_WITHIN = 5.0
_IDLE = 1.0  # nothing to look at: how soon a process is noticed that nobody announced
_CURRENT = 4  # protocol from which the gateway has `system-presence` cheap enough, and /startupz


class Line(Protocol):
    """The open line to the gateway, if there is one."""

    @property
    def client(self) -> GatewayClient | None:
        """Its client while it is up."""

    async def call(self, method: str, params: Any = None, timeout: float = ...) -> Any:  # noqa: ASYNC109
        """Call a method."""


class Health:
    """Looks at the gateway's probes and its process for as long as it runs.

    Args:
        post: Takes the facts.
        clock: Tells the time.
        view: What is believed about the gateway now.
        url: Where it is, as `ws://` or `http://`.
        policy: The figures: how often, how long.
        child: The process we hold, if any.
        line: The line for `verify`.
        dial: Makes a client for an attempt of its own; entered once, within five seconds.
    """

    def __init__(  # noqa: PLR0917  (the order every observer has)
        self,
        post: Post,
        clock: Now,
        view: Callable[[], View],
        url: Callable[[], str],
        policy: Policy,
        child: Callable[[], Child | None] = lambda: None,
        *,
        line: Line | None = None,
        dial: Callable[[], GatewayClient] | None = None,
    ) -> None:
        self._post = post
        self._clock = clock
        self._view = view
        self._url = url
        self._policy = policy
        self._child = child
        self._line = line
        self._dial = dial
        self._awake = asyncio.Event()
        self._subject: Process | None = None
        self._since = 0.0
        self._last: Probed | None = None
        self._traffic: Page | None = None
        self._traffic_at = float("-inf")
        self._has_startupz = True

    def nudge(self) -> None:
        """Look now: the gateway said that it is ready, or a process was started."""
        self._awake.set()

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            process = self._process()
            if process != self._subject:
                self._subject, self._since = process, loop.time()
                self._forget()
            wait = self._wait(loop.time())
            if wait > 0 and not await pause(self._awake, wait) and not self._is_there():
                continue
            if self._is_there():
                await self.look()

    async def look(self) -> Probed:
        """One look at process and probes; both facts are posted together."""
        process = self._process()
        probed = await self._probe()
        if process is not None:
            seen = processes.look(process)
            if seen is not None:
                self._post(ProcessSeen(at=self._clock.now(), process=process, state=seen[0], cpu=seen[1], rss=seen[2]))
        self._last = probed
        self._post(probed)
        return probed

    # ── when ──

    def _process(self) -> Process | None:
        child = self._child()
        if child is not None and not child.ended:
            return child.process
        view = self._view()
        return view.process if view.owner != "remote" else None

    def _is_there(self) -> bool:
        return self._process() is not None or self._view().owner == "remote"

    def _wait(self, now: float) -> float:
        """Seconds to the next look."""
        if not self._is_there():
            return _IDLE
        if not self._view().ready:
            age = now - self._since
            first = self._policy.ready_probes[0] if self._policy.ready_probes else BOOTING_EVERY
            if self._last is None:
                return max(0.0, first - age)
            planned = [after - age for after in self._policy.ready_probes if after > age]
            return min([BOOTING_EVERY, *planned])
        if self._last is None:
            return 0.0
        if self._last.tcp is not True or self._last.live is not True:
            return SUSPECT_EVERY
        return self._policy.probe_every

    def _forget(self) -> None:
        self._last, self._traffic = None, None
        self._traffic_at = float("-inf")
        self._has_startupz = True

    # ── the probes ──

    async def _probe(self) -> Probed:
        try:
            address = Address.parse(self._url())
        except HandshakeError:
            return Probed(at=self._clock.now())
        async with Visit(address, self._policy.probe_within) as visit:
            try:
                live = await visit.get("/healthz")
            except NoAnswer as none:
                self._traffic, self._has_startupz = None, True
                return self._unanswered(none.why)
            if not _is_live(live):
                return Probed(at=self._clock.now(), tcp=True, live=False, took=live.took)
            startup = await self._startup(visit)
            await self._look_at_traffic(visit)
        return self._told(live, startup)

    def _unanswered(self, why: Silence) -> Probed:
        at = self._clock.now()
        match why:
            case Silence.REFUSED:
                return Probed(at=at, tcp=False)
            case Silence.SILENT:
                return Probed(at=at, tcp=True, live=False, took=self._policy.probe_within)
            case Silence.UNKNOWN:
                return Probed(at=at)

    async def _startup(self, visit: Visit) -> Page | None:
        if not self._has_startupz:
            return None
        try:
            page = await visit.get("/startupz")
        except NoAnswer:
            return None
        if page.body is None and page.status == 200:
            self._has_startupz = False  # early 2026: a web page answers instead
        return page

    async def _look_at_traffic(self, visit: Visit) -> None:
        """/readyz is for people only; while it is content it is asked rarely and remembered between."""
        now = asyncio.get_running_loop().time()
        known = self._traffic.body if self._traffic is not None else None
        if known is not None and known.get("ready") is True and now - self._traffic_at < READYZ_EVERY:
            return
        try:
            self._traffic = await visit.get("/readyz")
            self._traffic_at = now
        except NoAnswer:
            self._traffic = None

    def _told(self, live: Page, startup: Page | None) -> Probed:
        started: bool | None = None
        said = startup.body if startup is not None and startup.body is not None else {}
        if startup is not None and startup.body is not None:
            started = startup.status == 200 and said.get("status") == "started"
        traffic = self._traffic.body if self._traffic is not None and self._traffic.body is not None else {}
        ready = traffic.get("ready")
        uptime = said.get("uptimeMs", traffic.get("uptimeMs") if startup is None else None)
        return Probed(
            at=self._clock.now(),
            tcp=True,
            live=True,
            started=started,
            draining=said.get("status") == "draining",
            pending=str(said.get("pendingReason") or ""),
            ready=ready if isinstance(ready, bool) else None,
            failing=_names(traffic.get("failing")),
            suppressed=_names(traffic.get("suppressed")),
            version=str(said.get("version") or ""),
            boot_age=uptime / 1000.0 if isinstance(uptime, int | float) else None,
            took=live.took,
        )

    # ── the verifying call ──

    async def verify(self) -> Verified:
        """Ask one core RPC: over the open line, or with an attempt of its own. Any answer at all is an answer."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        client = self._line.client if self._line is not None else None
        if client is not None and not client.is_closed:
            ok, detail = await self._ask()
        else:
            ok, detail = await self._knock()
        took = loop.time() - begun
        if ok is False and took - VERIFY_WITHIN > LATE:
            return Verified(at=self._clock.now(), ok=None, took=took, detail="our own loop was late")
        return Verified(at=self._clock.now(), ok=ok, took=took, detail=detail)

    async def _ask(self) -> tuple[bool | None, str]:
        assert self._line is not None  # noqa: S101  (the caller looked)
        view = self._view()
        presence = view.protocol >= _CURRENT and "system-presence" in view.methods
        method = "system-presence" if presence else "health"
        try:
            await self._line.call(method, None, VERIFY_WITHIN)
        except GatewayError as error:
            return True, f"{method}: {error.code}"  # refused, and therefore alive
        except TransportError as error:
            client = self._line.client
            if client is None or client.is_closed:
                return await self._knock()  # the line broke meanwhile, which is no silence
            return False, f"{method}: {error}"
        return True, method

    async def _knock(self) -> tuple[bool | None, str]:
        if self._dial is None:
            return None, "no line"
        try:
            async with asyncio.timeout(VERIFY_WITHIN), self._dial():
                return True, "greeted"
        except TimeoutError:
            return False, f"no greeting within {VERIFY_WITHIN:g} s"
        except HandshakeError as error:
            if error.code in {"INSECURE_URL", "INVALID_URL", "NOT_A_GATEWAY"} or error.code.startswith("HTTP_"):
                return None, str(error)  # we asked wrongly, or somebody else answered
            return True, f"refused: {error.code}"
        except TransportError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in OURS:
                return None, str(error)
            return False, str(error)


def _is_live(page: Page) -> bool:
    return page.status == 200 and page.body is not None and (page.body.get("ok") is True or "status" in page.body)


def _names(value: Any) -> tuple[str, ...]:
    return tuple(str(item)[:100] for item in value[:50]) if isinstance(value, list) else ()
