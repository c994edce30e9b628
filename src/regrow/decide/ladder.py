"""A ladder of remedies for one subject: the smallest first, the next one only when it was seen not to help."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from regrow.model.actions import AnyAction
from regrow.model.verdicts import Verdict


class Rung(Struct, frozen=True, kw_only=True):
    """One kind of remedy.

    Attributes:
        action: The kind of its action.
        tries: How often it is tried before the next rung.
        gap: Seconds from the begin of one try to the next.
        settles: Seconds after its end before anybody can say whether it helped.
    """

    action: str
    tries: int = 1
    gap: float = 60.0
    settles: float = 60.0


class Attempt(Struct, frozen=True, omit_defaults=True):
    """One try: its kind, when it began, how it ended ("" while it is under way)."""

    action: str
    at: float
    ended: float | None = None
    result: str = ""
    retry_at: float | None = None


class Climb(Struct, frozen=True, omit_defaults=True):
    """Where on its ladder one subject is. It is forgotten when the symptom is gone."""

    attempts: tuple[Attempt, ...] = ()


class Place(Struct, frozen=True):
    """What is due: a rung's number; or None with the time to wait for, or at the end of the ladder.

    Attributes:
        rung: Index of the rung to try now.
        wait: Until then nothing is to be done.
        is_end: Everything was tried and seen not to help: a person is needed.
    """

    rung: int | None = None
    wait: float | None = None
    is_end: bool = False


def begun(climb: Climb, action: AnyAction, at: float) -> Climb:
    """A remedy is about to be carried out: booked now, whatever becomes of it."""
    return Climb((*climb.attempts, Attempt(action.kind, at))[-20:])


def ended(climb: Climb, action: AnyAction, verdict: Verdict, at: float) -> Climb:
    """It was carried out, or not. One that was refused before it began is booked here."""
    attempts = list(climb.attempts)
    for number in range(len(attempts) - 1, -1, -1):
        open_one = attempts[number]
        if open_one.action == action.kind and open_one.ended is None:
            attempts[number] = Attempt(action.kind, open_one.at, at, verdict.result, verdict.retry_at)
            return Climb(tuple(attempts))
    return Climb((*attempts, Attempt(action.kind, at, at, verdict.result, verdict.retry_at))[-20:])


def place(climb: Climb, rungs: Sequence[Rung], at: float) -> Place:
    """What is due for a symptom that stands.

    A try that was carried out is given its time to help; one that was refused, failed, or whose end nobody saw is
    repeated after the gap, at most as often as the rung allows. The next rung is due when this one is used up.

    Args:
        climb: What was tried.
        rungs: The ladder, smallest first.
        at: Now.
    """
    for number, rung in enumerate(rungs):
        tried = [a for a in climb.attempts if a.action == rung.action]
        if not tried:
            return Place(rung=number)
        last = tried[-1]
        if last.ended is None:
            # under way, or cut off with an earlier life of ours: its effect is judged as if it had ended late
            if at < last.at + rung.settles + rung.gap:
                return Place(wait=last.at + rung.settles + rung.gap)
        elif last.result in ("done", "would", "inconclusive") and at < last.ended + rung.settles:
            return Place(wait=last.ended + rung.settles)
        if len(tried) < rung.tries:
            again = max(last.at + rung.gap, last.retry_at or 0.0)
            return Place(rung=number) if at >= again else Place(wait=again)
    return Place(is_end=True)
