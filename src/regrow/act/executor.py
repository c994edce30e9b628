"""Carries out what was decided: changes one at a time in each lane, looks beside them, each with intent and outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_args

from regrow.act.world import Clock, Effect, Journal, World
from regrow.config.redaction import redact
from regrow.decide.guards import changes
from regrow.model.action import Action, Lane
from regrow.model.actions import AnyAction, Doctor, Kill, RestoreConfig, Start
from regrow.model.errors import GatewayError, Refused, RegrowError, Retryable
from regrow.model.fact import Fact
from regrow.model.facts import AnyFact, Ended, Intended
from regrow.model.verdicts import Verdict

DURABLE = (Kill, RestoreConfig, Doctor)  # their intent is on the disk, not only written, before they begin

Explain = Callable[[AnyAction], Awaitable[str]]


async def _explain(action: AnyAction) -> str:
    return f"it would {action.kind.replace('-', ' ')}: {action.reason}"


class Executor:
    """Carries actions out. `run` must be running.

    Args:
        world: What is acted on.
        effects: For each kind of action what does it; it may return a verdict, a fact (which is posted), or nothing.
        journal: Intents and outcomes of changes.
        post: Takes Intended and Ended.
        clock: Gives `at`.
        explain: Says what a dry run would have done.
    """

    def __init__(
        self,
        world: World,
        effects: Mapping[type[Action], Effect],
        journal: Journal,
        post: Callable[[AnyFact], None],
        clock: Clock,
        *,
        explain: Explain = _explain,
    ) -> None:
        self._world = world
        self._effects = dict(effects)
        self._journal = journal
        self._post = post
        self._clock = clock
        self._explain = explain
        self._changes: dict[Lane, asyncio.Queue[AnyAction]] = {lane: asyncio.Queue() for lane in get_args(Lane)}
        self._looks: asyncio.Queue[AnyAction] = asyncio.Queue()
        self._busy: set[str] = set()

    @property
    def busy(self) -> frozenset[str]:
        """Keys of what is being done or waits to be."""
        return frozenset(self._busy)

    def submit(self, action: AnyAction) -> None:
        """Take an action on. The same key twice at once is once."""
        if action.key in self._busy:
            return
        self._busy.add(action.key)
        (self._changes[action.lane] if changes(action) else self._looks).put_nowait(action)

    async def run(self) -> None:
        """Carry out what is submitted, until cancelled. What is cut off keeps its intent without an outcome."""
        async with asyncio.TaskGroup() as tasks:
            for lane, queue in self._changes.items():
                tasks.create_task(self._one_by_one(queue), name=f"changes: {lane}")
            while True:
                action = await self._looks.get()
                tasks.create_task(self._look(action), name=action.key)

    async def _one_by_one(self, queue: asyncio.Queue[AnyAction]) -> None:
        while True:
            action = await queue.get()
            try:
                await self._change(action)
            finally:
                self._busy.discard(action.key)

    async def _look(self, action: AnyAction) -> None:
        try:
            self._post(Intended(at=self._clock.now(), action=action))
            verdict = await self._carry_out(action)
        finally:
            self._busy.discard(action.key)
        self._post(Ended(at=self._clock.now(), action=action, verdict=verdict))

    async def _change(self, action: AnyAction) -> None:
        late = self._too_late(action)
        if late is not None:
            self._conclude(action, late)
            return
        if self._world.view().dry_run:
            self._conclude(action, await self._would(action))
            return
        at = self._clock.now()
        try:
            intent = await self._journal.intend(action, durable=isinstance(action, DURABLE))
        except Exception as error:  # noqa: BLE001  (no intent, no act; a start and a person are the exceptions)
            if not isinstance(action, Start) and not action.human:
                self._conclude(action, Verdict(result="refused", by="journal", detail=_journal_text(error)))
                return
            intent = None  # a full disk must neither keep a gateway down nor refuse a person
            self._world.say("trouble", {"what": _journal_text(error)})
        self._post(Intended(at=at, action=action))
        self._world.say("action:intended", _data(action))
        verdict = await self._carry_out(action)
        if intent is not None:
            self._journal.conclude(intent, verdict)
        self._conclude(action, verdict)

    def _conclude(self, action: AnyAction, verdict: Verdict) -> None:
        # free before the fact is out: what follows from it may ask for the same again
        self._busy.discard(action.key)
        self._post(Ended(at=self._clock.now(), action=action, verdict=verdict))
        self._world.say(f"action:{verdict.result}", {**_data(action), "by": verdict.by, "detail": verdict.detail})

    def _too_late(self, action: AnyAction) -> Verdict | None:
        """What was decided in an older life, or before somebody asked for a stop, is void."""
        if not isinstance(action, Start):
            return None
        view = self._world.view()
        if action.epoch and action.epoch < view.epoch:
            text = f"superseded: start {action.epoch} was decided before start {view.epoch}"
            return Verdict(result="refused", by="epoch", detail=text)
        if view.want == "stopped":
            text = f"it was stopped by {view.want_by or 'a person'} meanwhile; `regrow start` starts it"
            return Verdict(result="refused", by="want", detail=text)
        return None

    async def _would(self, action: AnyAction) -> Verdict:
        try:
            async with asyncio.timeout(action.limit):
                return Verdict(result="would", by="dry-run", detail=redact(await self._explain(action)))
        except (RegrowError, OSError, TimeoutError) as error:
            return Verdict(result="would", by="dry-run", detail=redact(f"it would {action.kind}, but: {error}"))

    async def _carry_out(self, action: AnyAction) -> Verdict:
        effect = self._effects.get(type(action))
        if effect is None:
            return Verdict(result="refused", by="platform", detail=f"{action.kind} cannot be done here")
        try:
            async with asyncio.timeout(action.limit) as limit:
                outcome = await effect(action)
        except Exception as error:  # noqa: BLE001  (whatever goes wrong in an effect is its verdict)
            if isinstance(error, TimeoutError) and limit.expired():
                return Verdict(result="failed", by="limit", detail=f"given up after {action.limit:g} s")
            return _verdict_of(error, self._clock.now())
        if isinstance(outcome, Verdict):
            return outcome
        if isinstance(outcome, Fact):
            self._post(outcome)
        return Verdict(result="done")


def _verdict_of(error: Exception, now: float) -> Verdict:
    match error:
        case Refused():
            return Verdict(result="refused", by=error.by, detail=redact(str(error)))
        case Retryable():
            retry_at = None if error.after is None else now + error.after
            return Verdict(result="failed", detail=redact(str(error)), retry_at=retry_at)
        case GatewayError():
            retry_at = None if error.retry_after is None else now + error.retry_after
            return Verdict(result="failed", detail=redact(f"the gateway answered: {error}"), retry_at=retry_at)
        case RegrowError():
            return Verdict(result="failed", detail=redact(str(error)))
        case _:
            return Verdict(result="failed", detail=redact(f"{type(error).__name__}: {error}"))


def _journal_text(error: Exception) -> str:
    return redact(f"the journal cannot be written ({error}); free space or mend its directory")


def _data(action: AnyAction) -> dict[str, Any]:
    return {
        "action": action.kind,
        "key": action.key,
        "reason": redact(action.reason),
        "human": action.human,
        "request": action.request,
    }
