"""Turns as a real gateway told of them: what is posted, and that nothing of what was said is."""

from __future__ import annotations

from typing import Any

import pytest

from observe.mailbox import Box
from regrow.link.events import GatewayEvent
from regrow.model.models import ModelFailed, TurnEnded, TurnRetrying, TurnWentOn
from regrow.observe.turns import RUNS, Turns

KEY = "agent:fb-r429:x"


class Ear:
    """Hears events of one turn."""

    def __init__(self) -> None:
        self.box = Box()
        self.turns = Turns(self.box.post, self.box.clock)

    def agent(self, stream: str, data: Any, run: str = "r1") -> None:
        payload = {"runId": run, "sessionKey": KEY, "agentId": "fb-r429", "stream": stream, "data": data}
        self.turns.hear(GatewayEvent("agent", payload))

    def chat(self, state: str, run: str = "r1", **more: Any) -> None:
        payload = {"runId": run, "sessionKey": KEY, "agentId": "fb-r429", "state": state, **more}
        self.turns.hear(GatewayEvent("chat", payload))

    def retries(self, attempt: int = 2, reason: str = "rate_limit") -> None:
        observed = {"provider": "pr429", "model": "m1", "failoverReason": "rate_limit"}
        self.agent("lifecycle", {"phase": "model", "provider": "pr429", "model": "m1"})
        self.agent("lifecycle", {"phase": "finishing", "error": "API rate limit reached", "errorObservation": observed})
        message = f"Retrying… {attempt}/10"
        told = {"phase": "retrying", "message": message, "retryAttempt": attempt - 1, "delayMs": 658, "reason": reason}
        self.agent("run_status", {**told, "attempt": attempt, "maxAttempts": 10})

    def steps(self, reason: str, detail: str, outcome: str = "next_fallback") -> None:
        step = {"phase": "fallback_step", "fallbackStepFromModel": "pr402/m1", "fallbackStepToModel": "fakeb/m1"}
        step |= {"fallbackStepFromFailureReason": reason, "fallbackStepFromFailureDetail": detail}
        self.agent("lifecycle", {**step, "fallbackStepFinalOutcome": outcome})


def test_a_retry_names_the_model_that_failed() -> None:
    ear = Ear()
    ear.retries(3)
    (seen,) = ear.box.of(TurnRetrying)
    assert (seen.provider, seen.model, seen.attempt, seen.cause) == ("pr429", "m1", 3, "rate")
    assert (seen.session, seen.agent) == (KEY, "fb-r429")
    ear.retries(4, "something new")
    assert ear.box.of(TurnRetrying)[1].cause == "caller"


@pytest.mark.parametrize(
    ("reason", "detail", "cause", "after"),
    [
        ("billing", "402 Insufficient credits.", "money", None),
        ("rate_limit", "Please try again in 600s.; Retry-After: 600 seconds", "rate", 600.0),
        ("auth", "401 Incorrect API key provided: sk-****.", "auth", None),
        ("model_not_found", "404", "missing", None),
        ("server_error", "500", "transport", None),
        ("context_overflow", "too long", "caller", None),
    ],
)
def test_a_model_that_is_given_up_is_classified(reason: str, detail: str, cause: str, after: float | None) -> None:
    ear = Ear()
    ear.steps(reason, detail)
    (seen,) = ear.box.of(ModelFailed)
    assert (seen.provider, seen.model, seen.cause, seen.retry_after) == ("pr402", "m1", cause, after)


def test_what_the_gateway_switched_off_itself_says_nothing_new() -> None:
    ear = Ear()
    ear.steps(
        "auth", 'Inline API key for provider "pr402" is temporarily disabled after a provider auth/billing failure.'
    )
    ear.steps("billing", "", "succeeded")
    ear.agent("lifecycle", {"phase": "fallback_step", "fallbackStepFinalOutcome": "chain_exhausted"})
    assert ear.box.facts == []


@pytest.mark.parametrize(("state", "ok"), [("final", True), ("error", False), ("aborted", None)])
def test_a_turn_ends_once_with_the_model_that_answered(state: str, ok: bool | None) -> None:
    ear = Ear()
    ear.retries()
    ear.agent("lifecycle", {"phase": "model", "provider": "fakeb", "model": "m1"})
    ear.chat("delta", deltaText="a secret of the user")
    ear.chat(state, message={"content": [{"text": "a secret of the user"}]})
    ear.chat("final", message={"content": [{"text": "a notice"}]})
    ear.agent("run_status", {"phase": "retrying", "attempt": 2, "reason": "rate_limit"})
    (seen,) = ear.box.of(TurnEnded)
    assert (seen.ok, seen.provider, seen.model) == (ok, "fakeb", "m1")
    assert "secret" not in repr(ear.box.facts)


def test_talk_about_limits_is_talk() -> None:
    ear = Ear()
    ear.agent("assistant", {"text": "429 rate limit, quota exceeded, unauthorized", "delta": "429"})
    ear.chat("final", message={"content": [{"text": "HTTP 429: rate limit reached"}]})
    assert [type(fact) for fact in ear.box.facts] == [TurnEnded]


def test_what_is_no_event_of_a_turn_is_passed_over_and_memory_is_bounded() -> None:
    ear = Ear()
    for payload in (
        None,
        [],
        {"runId": 1, "sessionKey": KEY},
        {"runId": "r"},
        {"runId": "r", "sessionKey": KEY, "data": 1},
    ):
        ear.turns.hear(GatewayEvent("agent", payload))
    ear.turns.hear(GatewayEvent("health", {"runId": "r", "sessionKey": KEY, "data": {}}))
    ear.agent("run_status", {"phase": "retrying", "attempt": 2, "reason": "rate_limit"})  # no model is known yet
    for number in range(RUNS + 20):
        ear.agent("lifecycle", {"phase": "start"}, run=f"s{number}")
    for number in range(RUNS + 20):
        ear.chat("final", run=f"e{number}")
    assert len(ear.turns._runs) <= RUNS
    assert len(ear.turns._over) <= RUNS
    assert {type(fact) for fact in ear.box.facts} == {TurnEnded}


def test_text_after_a_retry_is_told_once_and_turns_nobody_waits_for_are_not() -> None:
    ear = Ear()
    ear.agent("assistant", {"text": "x", "delta": "x"})
    ear.retries()
    ear.agent("assistant", {"text": "", "delta": "", "replace": True})
    for _ in range(3):
        ear.agent("assistant", {"text": "x", "delta": "x"})
    assert len(ear.box.of(TurnWentOn)) == 1
    for key, heartbeat in ((f"{KEY}:cron:j1:run:s", False), (KEY, True)):
        payload = {"runId": "r9", "sessionKey": key, "agentId": "a", "isHeartbeat": heartbeat}
        for stream, data in (
            ("lifecycle", {"phase": "model", "provider": "p", "model": "m"}),
            ("run_status", {"phase": "retrying", "attempt": 3, "reason": "rate_limit"}),
        ):
            ear.turns.hear(GatewayEvent("agent", {**payload, "stream": stream, "data": data}))
    assert len(ear.box.of(TurnRetrying)) == 1
