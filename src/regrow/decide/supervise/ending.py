"""While a process is being ended: evidence first, SIGTERM with its budget, SIGKILL last and rarely."""

from __future__ import annotations

from regrow.decide.domains.base import Symptom
from regrow.decide.supervise.budget import kill_allowed_at
from regrow.decide.supervise.restarts import Stopping
from regrow.decide.supervise.state import Scene, Supervision
from regrow.model.actions import AnyAction, Capture, Kill, Terminate

AGAIN = 15.0  # between two tries to tell or kill it


def ending(s: Supervision, stopping: Stopping, scene: Scene) -> tuple[list[AnyAction], list[Symptom]]:
    """What is due for a process that is to end."""
    at = scene.at
    if stopping.why in ("hung", "overdue", "deaf") and not stopping.captured:
        return [Capture(reason=stopping.reason)], []
    if stopping.told_at is None:
        if at - stopping.tried_at < AGAIN:
            return [], []
        return [Terminate(process=stopping.process, reason=stopping.reason, human=stopping.human)], []
    due = stopping.told_at + stopping.budget
    if at < due or at - stopping.tried_at < AGAIN:
        return [], []
    kill_ok = scene.config.kill == "auto" or stopping.human
    allowed = at if stopping.human or stopping.dead_anyway else kill_allowed_at(s.kills, at)
    if kill_ok and at >= allowed:
        reason = f"{stopping.reason}; {at - stopping.told_at:.0f} s after SIGTERM it is still there"
        return [Kill(process=stopping.process, reason=reason, human=stopping.human)], []
    why = "SIGKILL is not allowed by its mode" if not kill_ok else f"the next SIGKILL is due in {allowed - at:.0f} s"
    evidence = f"told to end, it is still there after its {stopping.budget:.0f} s; {why}"
    return [], [Symptom("process", evidence, human=not kill_ok)]
