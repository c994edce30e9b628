"""The deciding loop: one fact at a time goes in; what follows is remembered, told and handed on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from regrow.config.redaction import redact
from regrow.decide.domains.base import Reply
from regrow.decide.engine import Outcome, Setup, State, step
from regrow.decide.view import View
from regrow.model.actions import AnyAction
from regrow.model.facts import AnyFact, Asked, ChildExited, Ended, Heard, Probed, ProcessSeen, Tick
from regrow.record.journal import Journal

FINAL = ("done", "refused", "failed")
ROUTINE = (Tick, Heard, ProcessSeen)  # too many to be remembered one by one; probes are kept on change only


class Mind:
    """Holds the state and steps it. `post` may be called by any part, from the loop's thread.

    Args:
        state: What is known from earlier lives.
        setup: Domains, settings, figures.
        journal: Remembers facts, verdicts and episodes.
        say: Tells people and programs.
        submit: Takes the plan, action by action.
        remember: Told when something changed that must outlive us.
    """

    def __init__(
        self,
        state: State,
        setup: Setup,
        journal: Journal,
        *,
        submit: Callable[[AnyAction], None],
        remember: Callable[[State], None],
        say: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.state = state
        self.setup = setup
        self._journal = journal
        self._submit = submit
        self._remember = remember
        self._say = say
        self.taken = 0
        self._mailbox: asyncio.Queue[AnyFact] = asyncio.Queue()
        self._waiting: dict[str, asyncio.Queue[Reply]] = {}
        self._probe: Probed | None = None
        self.listeners: list[Callable[[AnyFact, Outcome], None]] = []

    def view(self) -> View:
        """What is believed now."""
        return self.state.view

    def post(self, fact: AnyFact) -> None:
        """Take a fact in, after those before it."""
        self._mailbox.put_nowait(fact)

    async def run(self) -> None:
        """Decide for as long as it runs."""
        while True:
            fact = await self._mailbox.get()
            before, outcome = self._decide(fact)
            if outcome.plan:
                await asyncio.sleep(0)  # what is to be done begins before it is told
            self._follow_up(fact, before, outcome)

    def _decide(self, fact: AnyFact) -> tuple[State, Outcome]:
        """What one fact leads to; the plan is handed on at once."""
        self.taken += 1
        before = self.state
        outcome = step(before, fact, self.setup)
        self.state = outcome.state
        for action in outcome.plan:
            self._submit(action)
        return before, outcome

    def _follow_up(self, fact: AnyFact, before: State, outcome: Outcome) -> None:
        """Remember the fact and what outlives us, tell what follows."""
        if self._memorable(fact):
            self._journal.append(f"fact:{fact.__struct_config__.tag}", msgspec.to_builtins(fact), fact.at)
        self._tell(outcome)
        for fault in outcome.state.faults[len(before.faults) :]:
            self._say("fault", {"what": fault})
        told = isinstance(fact, Ended | ChildExited | Asked) or outcome.episodes or outcome.proposals
        durable = told or before.view.ready != outcome.state.view.ready
        if durable or before.view.want != outcome.state.view.want or before.view.adopted != outcome.state.view.adopted:
            self._remember(outcome.state)
        for listener in self.listeners:
            listener(fact, outcome)

    def expect(self, request: str) -> asyncio.Queue[Reply]:
        """Collect the answers to a request until `forget`."""
        return self._waiting.setdefault(request, asyncio.Queue())

    def forget(self, request: str) -> None:
        """Nobody listens for its answers any more; the request itself stands."""
        self._waiting.pop(request, None)

    def _memorable(self, fact: AnyFact) -> bool:
        if isinstance(fact, ROUTINE):
            return False
        if isinstance(fact, Probed):
            plain = replace(fact, at=0.0, boot_age=None, took=0.0)
            if plain == self._probe:
                return False
            self._probe = plain
        return True

    def _tell(self, outcome: Outcome) -> None:
        for withheld in outcome.withheld:
            self._say("action:withheld", msgspec.to_builtins(withheld))
        for note in outcome.notes:
            self._say(note.type, note.data)
        for reply in outcome.replies:
            self._say("reply", {"request": reply.request, "state": reply.state, "text": redact(reply.text)})
            waiting = self._waiting.get(reply.request)
            if waiting is not None:
                waiting.put_nowait(reply)
        for episode in outcome.episodes:
            self._journal.store_episode(episode)
        for proposal in outcome.proposals:
            self._journal.store_proposal(proposal)
