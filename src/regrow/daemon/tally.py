"""Tells what managers count: attempts to connect, restarts with the process before and after, those put off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from regrow.decide.engine import Outcome
from regrow.decide.profiles import Policy
from regrow.decide.supervise.state import Supervision
from regrow.model.actions import RestartInPlace, Start
from regrow.model.facts import AnyFact, Ended, Intended, LinkRefused, LinkUp
from regrow.model.gateway import Process
from regrow.model.verdicts import Verdict


class Tally:
    """Follows facts and their outcomes; decides nothing.

    Args:
        publish: Tells an event.
        policy: Says how many quick attempts there are.
    """

    def __init__(self, publish: Callable[[str, dict[str, Any]], None], policy: Policy) -> None:
        self._publish = publish
        self._policy = policy
        self._known: Process | None = None
        self._begun: tuple[str, bool, Process | None] | None = None
        self._suppressed: int | None = None
        self._trouble = ""

    def follow(self, fact: AnyFact, outcome: Outcome) -> None:
        """One fact and what it led to."""
        at = outcome.state.view.at
        view, s = outcome.state.view, outcome.state.domains["liveness"]
        match fact:
            case LinkUp():
                self._connection("success", s, at)
            case LinkRefused(retry_after=None):
                self._connection("failure", s, at, error=fact.reason)
            case Intended(action=Start() | RestartInPlace() as action):
                self._begun = (action.reason, action.human, self._known)
            case Ended(action=Start() | RestartInPlace(), verdict=Verdict(result="refused" | "would")):
                self._begun = None  # nothing was tried: a restart that follows is not ours
            case _:
                pass
        if any(note.type == "gateway:ready" for note in outcome.notes):
            self._restarted(view.process, s)
        if view.process is not None:
            self._known = view.process
        self._put_off(s, view.at)
        if s.trouble and s.trouble != self._trouble:
            self._publish("error", {"message": s.trouble})
        self._trouble = s.trouble

    def _connection(self, result: str, s: Supervision, at: float, *, error: str = "") -> None:
        r = s.reconnect
        data: dict[str, Any] = {
            "outcome": result, "attempt": max(1, r.attempt), "maxAttempts": self._policy.reconnect_tries,
            "attemptCount": r.attempts, "successCount": r.successes, "successRate": r.rate,
        }  # fmt: skip
        if error:
            data |= {"error": error, "delayMs": max(0, round((r.next_at - at) * 1000))}
        self._publish("gateway:reconnect", data)

    def _restarted(self, after: Process | None, s: Supervision) -> None:
        begun, self._begun = self._begun, None
        if begun is None or begun[2] is None:
            return  # a first start, or the gateway did it by itself
        reason, human, before = begun
        self._publish(
            "gateway:restarted",
            {
                "reason": reason, "human": human, "pidBefore": before.pid if before else None,
                "pidAfter": after.pid if after else None, "executed": s.governor.executed,
                "suppressed": s.governor.suppressed,
            },
        )  # fmt: skip

    def _put_off(self, s: Supervision, at: float) -> None:
        count = s.governor.suppressed
        if self._suppressed is not None and count > self._suppressed:
            wait = max(0, round((s.governor.not_before - at) * 1000))
            self._publish(
                "gateway:restart-suppressed",
                {"reason": s.trouble, "retryAfterMs": wait, "executed": s.governor.executed, "suppressed": count},
            )
        self._suppressed = count
