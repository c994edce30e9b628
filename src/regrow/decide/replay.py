"""The past again under another configuration: what would have been done, asked, or withheld."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from regrow.decide.engine import Outcome, Setup, first_state, step
from regrow.decide.guards import changes
from regrow.model.actions import AnyAction
from regrow.model.facts import AnyFact, Ended, Intended, Tick
from regrow.model.verdicts import Verdict

CLOSE = 120.0  # for so long after a fact every second counts; in the quiet after that every half minute does
RARELY = 30.0
AWAY = 600.0  # a longer silence than this means that no keeper was there
CARRIED_OUT = 5.0  # what was carried out then was begun within this


class Decision(Struct, frozen=True, kw_only=True):
    """Something that was decided at one time.

    Attributes:
        what: `do` it is carried out; `ask` a person is asked; `hold` a guard withholds it.
        action: Its kind.
        subject: What it is for.
        reason: Why.
        by: The guard, for `hold`; the setting, for `ask`.
    """

    at: float
    what: str
    domain: str
    action: str
    subject: str
    reason: str
    by: str = ""

    @property
    def sameness(self) -> tuple[str, str, str, str]:
        """What has to be equal for two configurations to have decided the same."""
        return self.what, self.domain, self.action, self.subject


class Pair(Struct, frozen=True, kw_only=True):
    """Decisions of two configurations side by side; None where one of them decided nothing of the kind."""

    at: float
    was: Decision | None
    would: Decision | None


def decisions(facts: Iterable[AnyFact], setup: Setup) -> Iterator[Decision]:
    """Everything that changes something and is decided over these facts.

    The world is as it was: an action that was not carried out then has no effect now, and its end is told as that of
    a dry run is. What was carried out then and is not decided now is left out.

    Args:
        facts: What was seen, oldest first.
        setup: The configuration to decide with.
    """
    state = first_state(setup)
    wanted: dict[str, tuple[AnyAction, float]] = {}  # decided, and its end not told yet
    for fact in _with_time(facts):
        news: list[AnyFact] = [
            Ended(at=fact.at, action=action, verdict=Verdict(result="would"))
            for action, at in wanted.values()
            if fact.at - at > CARRIED_OUT and not _ends(fact, action)
        ]
        if not isinstance(fact, Intended | Ended) or not changes(fact.action) or fact.action.key in wanted:
            news.append(fact)
        for one in news:
            if isinstance(one, Ended):
                wanted.pop(one.action.key, None)
            elif isinstance(one, Intended) and one.action.key in wanted:
                wanted[one.action.key] = (one.action, one.at + one.action.limit)  # it was done: its end will come
            outcome = step(state, one, setup)
            state = outcome.state
            wanted.update({a.key: (a, one.at) for a in outcome.plan if changes(a)})
            yield from _decided(outcome, one.at)


def _ends(fact: AnyFact, action: AnyAction) -> bool:
    return isinstance(fact, Intended | Ended) and fact.action.key == action.key


def _decided(outcome: Outcome, at: float) -> Iterator[Decision]:
    for a in outcome.plan:
        if changes(a):
            yield Decision(at=at, what="do", domain=a.domain, action=a.kind, subject=a.subject, reason=a.reason)
    for p in outcome.proposals:
        if p.state == "waiting":
            yield Decision(
                at=at, what="ask", domain=p.domain, action=p.action, subject=p.subject, reason=p.reason, by=p.remedy
            )
    for w in outcome.withheld:
        kind, _, subject = w.key.partition(":")
        yield Decision(at=at, what="hold", domain="", action=kind, subject=subject, reason=w.reason, by=w.by)


def _with_time(facts: Iterable[AnyFact]) -> Iterator[AnyFact]:
    """The facts with the ticks between them, which are not journalled."""
    before: float | None = None
    for fact in facts:
        if isinstance(fact, Tick):
            continue
        if before is not None and fact.at - before < AWAY:
            yield from _ticks(before, fact.at)
        before = fact.at if before is None else max(before, fact.at)
        yield fact


def _ticks(begin: float, end: float) -> Iterator[Tick]:
    at = begin
    while (at := at + (1.0 if at - begin < CLOSE else RARELY)) < end:
        yield Tick(at=at)


def compare(facts: Iterable[AnyFact], was: Setup, would: Setup) -> list[Pair]:
    """What each of two configurations decides over the same facts, in the order of time."""
    known = list(facts)
    before, after = list(decisions(known, was)), list(decisions(known, would))
    pairs: list[Pair] = []
    rest = list(after)
    for decision in before:
        match = next((d for d in rest if d.sameness == decision.sameness and abs(d.at - decision.at) < AWAY), None)
        if match is not None:
            rest.remove(match)
        pairs.append(Pair(at=decision.at, was=decision, would=match))
    pairs += [Pair(at=decision.at, was=None, would=decision) for decision in rest]
    return sorted(pairs, key=lambda pair: pair.at)
