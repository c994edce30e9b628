"""Turns as the gateway tells of them: retried, given up, ended; never what was said in them."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from regrow.link.events import GatewayEvent
from regrow.model.models import Cause, ModelFailed, TurnEnded, TurnRetrying, TurnWentOn
from regrow.observe.base import Now, Post

RUNS = 500  # remembered at a time
_CAUSES: dict[str, Cause] = {
    "rate_limit": "rate", "billing": "money", "auth": "auth", "auth_permanent": "auth", "overloaded": "overload",
    "model_not_found": "missing", "server_error": "transport", "timeout": "transport",
}  # fmt: skip
_SWITCHED_OFF = "temporarily disabled after a provider"  # the gateway's own cooldown: it says nothing new
_AFTER = re.compile(r"retry-after:?\s*(\d+(?:\.\d+)?)|try again in (\d+(?:\.\d+)?)\s*s", re.IGNORECASE)
# turns that no person waits for: the gateway's own ladder is good enough for them
_UNATTENDED = re.compile(r":(cron|heartbeat|internal-session-effects)(:|$)")
_TERMINAL = {"final": True, "error": False, "aborted": None}


class Run(Struct):
    """What is known of one turn."""

    session: str
    agent: str
    provider: str = ""
    model: str = ""
    retried: bool = False


class Turns:
    """Hears what the gateway pushes."""

    def __init__(self, post: Post, clock: Now) -> None:
        self._post = post
        self._clock = clock
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._over: OrderedDict[str, None] = OrderedDict()

    def hear(self, event: GatewayEvent) -> None:
        """One event."""
        if event.name not in ("agent", "chat") or not isinstance(event.payload, Mapping):
            return
        payload = event.payload
        run, session = payload.get("runId"), payload.get("sessionKey")
        if not isinstance(run, str) or not isinstance(session, str):
            return
        if event.name == "chat":
            if payload.get("state") in _TERMINAL:
                self._ended(run, session, _TERMINAL[str(payload["state"])])
            return
        if payload.get("isHeartbeat") is True:
            return  # nobody waits for it
        data = payload.get("data")
        if isinstance(data, Mapping) and run not in self._over:
            self._told(self._run(run, session, str(payload.get("agentId") or "")), run, payload.get("stream"), data)

    def _run(self, name: str, session: str, agent: str) -> Run:
        known = self._runs.get(name)
        if known is None:
            known = self._runs[name] = Run(session, agent)
            if len(self._runs) > RUNS:
                self._runs.popitem(last=False)
        return known

    def _told(self, run: Run, name: str, stream: Any, data: Mapping[str, Any]) -> None:
        phase = data.get("phase")
        seen = data.get("errorObservation") if phase == "finishing" else data if phase == "model" else None
        if stream == "lifecycle" and isinstance(seen, Mapping) and isinstance(seen.get("provider"), str):
            run.provider, run.model = seen["provider"], str(seen.get("model") or "")
        elif stream == "lifecycle" and phase == "fallback_step":
            self._step(run, name, data)
        elif stream == "assistant" and data.get("delta") and run.retried:
            run.retried = False
            self._post(TurnWentOn(at=self._clock.now(), run=name))
        elif stream == "run_status" and phase == "retrying" and run.provider and not _UNATTENDED.search(run.session):
            run.retried = True
            attempt = data.get("attempt")
            self._post(
                TurnRetrying(
                    at=self._clock.now(), run=name, session=run.session, agent=run.agent, provider=run.provider,
                    model=run.model, attempt=attempt if isinstance(attempt, int) else 2,
                    cause=_CAUSES.get(str(data.get("reason")), "caller"),
                )
            )  # fmt: skip

    def _step(self, run: Run, name: str, data: Mapping[str, Any]) -> None:
        if data.get("fallbackStepFinalOutcome") == "succeeded":
            return
        provider, slash, model = str(data.get("fallbackStepFromModel") or "").partition("/")
        detail = str(data.get("fallbackStepFromFailureDetail") or "")
        if not slash or _SWITCHED_OFF in detail:
            return
        self._post(
            ModelFailed(
                at=self._clock.now(), run=name, session=run.session, agent=run.agent, provider=provider, model=model,
                cause=_CAUSES.get(str(data.get("fallbackStepFromFailureReason")), "caller"), retry_after=_after(detail),
            )
        )  # fmt: skip

    def _ended(self, name: str, session: str, ok: bool | None) -> None:
        if name in self._over:
            return  # a turn ends once; what is told after that are notices
        self._over[name] = None
        if len(self._over) > RUNS:
            self._over.popitem(last=False)
        run = self._runs.pop(name, None) or Run(session, "")
        self._post(
            TurnEnded(at=self._clock.now(), run=name, session=session, ok=ok, provider=run.provider, model=run.model)
        )


def _after(detail: str) -> float | None:
    found = _AFTER.search(detail)
    return float(found[1] or found[2]) if found else None
