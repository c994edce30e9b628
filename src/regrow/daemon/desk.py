"""Answers what people and programs ask of a running keeper."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

from regrow.config.redaction import redact
from regrow.daemon.mind import FINAL, Mind
from regrow.decide.domains.base import Reply
from regrow.decide.profiles import Policy
from regrow.link.line import Line
from regrow.model.facts import Asked
from regrow.record.events import Events
from regrow.record.history import History
from regrow.record.journal import Journal
from regrow.serve.control import Wish

PAGE = 500


class Desk:
    """The keeper as the control socket sees it.

    Args:
        mind: Where requests go and the state is.
        line: To the gateway.
        events, journal: What happened.
        now: Epoch seconds.
        policy: How long a debounced wish waits.
        settled: Waits until what a person wants is on disk.
        status: Makes the status.
        reload: Reads our configuration again.
    """

    def __init__(
        self,
        mind: Mind,
        line: Line,
        events: Events,
        journal: Journal,
        *,
        now: Callable[[], float],
        policy: Policy,
        settled: Callable[[], Awaitable[None]],
        status: Callable[[], dict[str, Any]],
        reload: Callable[[], Any],
    ) -> None:
        self._mind = mind
        self._line = line
        self._events = events
        self._journal = journal
        self._now = now
        self._policy = policy
        self._settled = settled
        self._status = status
        self._reload = reload

    def status(self) -> dict[str, Any]:
        """The fields of `regrow status --json`."""
        return self._status()

    async def ask(self, wish: Wish) -> AsyncIterator[Reply]:
        """Answers until a final one. Closing the iterator leaves the request standing."""
        request = secrets.token_hex(4)
        answers = self._mind.expect(request)
        # what people write is shown and remembered: no secret gets further than here
        topics, warnings = tuple(map(redact, wish.topics)), tuple(map(redact, wish.warnings))
        try:
            self._mind.post(
                Asked(
                    at=self._now(), id=request, verb=wish.verb, by=redact(wish.by), reason=redact(wish.reason),
                    force=wish.force, delay=wish.delay, topics=topics, warnings=warnings,
                    channel_type=wish.channel_type, account_id=redact(wish.account_id),
                    subject=redact(wish.subject), lasts=wish.lasts,
                )
            )  # fmt: skip
            while True:
                reply = await answers.get()
                if wish.verb == "stop" and reply.state == "done":
                    await self._settled()  # "it stays so" is said when it is on disk
                yield reply
                if reply.state in FINAL:
                    return
        finally:
            self._mind.forget(request)

    def debounced(self, verb: Literal["restart", "reload"], delay: float | None = None, **change: Any) -> str:
        """Ask for a restart or reload after a pause; what is asked for meanwhile is the same one.

        Args:
            verb: What to do then.
            delay: Seconds; else 2 for a restart, and what openclaw.json says (`debounceMs`) for a reload.
            change: `topics`, `reason`, `warnings`, `channel_type`, `account_id` of the `runtime:changed` event.

        Returns:
            The request's name; its answer is told by the event `reply`.
        """
        if delay is None:
            config = self._mind.view().config
            reload = config.reload_debounce if config is not None else self._policy.reload_debounce
            delay = self._policy.restart_debounce if verb == "restart" else reload
        request = secrets.token_hex(4)
        self._mind.post(Asked(at=self._now(), id=request, verb=verb, by="library", delay=delay, **change))
        return request

    def reload_providers(
        self, topics: tuple[str, ...] = ("providers", "models"), reason: str = "providers:reload"
    ) -> str:
        """Have changed model providers take effect; with no gateway running it is only announced.

        Returns:
            The request's name, "" if nothing had to be asked.
        """
        if self._mind.view().process is not None or self._mind.view().link == "up":
            return self.debounced("reload", topics=topics, reason=reason)
        change = {"topics": list(topics), "reason": reason, "warnings": [], "channelType": "", "accountId": ""}
        self._events.publish("runtime:changed", {**change, "syncedAt": self._now()}, self._now())
        return ""

    async def rpc(self, method: str, params: dict[str, Any] | None, timeout: float | None) -> Any:  # noqa: ASYNC109
        """What the gateway answers. It never starts a gateway that is stopped."""
        return await self._line.call(method, params, timeout)

    async def events(self, after: int, *, follow: bool, types: tuple[str, ...]) -> AsyncIterator[dict[str, Any]]:
        """Events with `id`, `at`, `type` and `data`: the past from the journal, then what comes."""
        with self._events.subscribe(types=types) as coming:
            await self._journal.commit()
            last = after
            for event in await self._past(after, types):
                last = event["id"]
                yield event
            if not follow:
                return
            async for fresh in coming:
                if fresh.id == 0 or fresh.id > last:
                    yield {"id": fresh.id, "at": fresh.at, "type": fresh.type, "data": fresh.data}

    async def reload_config(self) -> dict[str, Any]:
        """What differs now, and what of it waits for a restart of regrow."""
        answer: dict[str, Any] = await self._reload()
        return answer

    async def _past(self, after: int, types: tuple[str, ...]) -> list[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            with History(self._journal.path) as history:
                found = history.events(after, PAGE, types) if after else history.last(PAGE, types)
                return [{"id": e.id, "at": e.at, "type": e.type, "data": e.data} for e in found]

        return await asyncio.to_thread(read)
