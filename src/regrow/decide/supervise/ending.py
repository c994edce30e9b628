"""While a process is being ended: evidence first, SIGTERM with its budget, SIGKILL last and rarely."""

from __future__ import annotations

from msgspec.structs import replace

from regrow.decide.domains.base import Symptom
from regrow.decide.supervise import hang
from regrow.decide.supervise.budget import kill_allowed_at
from regrow.decide.supervise.restarts import Stopping
from regrow.decide.supervise.state import Folded, Scene, Supervision, answer
from regrow.model.actions import AnyAction, Capture, Continue, Kill, LookOwner, Terminate
from regrow.model.gateway import Process

AGAIN = 15.0  # between two tries to tell or kill it


def stopped_again(process: Process, scene: Scene) -> Stopping:
    """A person stopped the gateway, and yet a process of ours is there."""
    reason = f"stopped by {scene.view.want_by or 'a person'}"
    return Stopping(process=process, why="stop", budget=scene.policy.stop_budget, reason=reason, human=True)


def still_due(s: Supervision, stopping: Stopping, scene: Scene) -> Folded:
    """Whether what was to end still is there and still ours to end; if not, whoever waits is told."""
    view = scene.view
    if view.process is not None and view.process != stopping.process:
        return _replaced(s, stopping, view.process, scene)
    why = view.bound(human=stopping.human)
    if not why or stopping.told_at is not None:
        return Folded(s)
    restart = replace(s.restart, stage="queued") if s.restart is not None else None
    return Folded(replace(s, stopping=None, restart=restart), answer(stopping.requests, "refused", why))


def _replaced(s: Supervision, stopping: Stopping, process: Process, scene: Scene) -> Folded:
    """Another process took the place of the one that was to end."""
    if stopping.why not in ("stop", "quit"):  # a newer life is what was wanted
        restart = replace(s.restart, stage="starting", since=scene.at) if s.restart is not None else None
        return Folded(replace(s, stopping=None, restart=restart))
    why = scene.view.bound(human=stopping.human)
    if why:
        text = f"it ended, and another process that is not regrow's took its place: {why}"
        return Folded(replace(s, stopping=None), answer(stopping.requests, "failed", text))
    anew = replace(stopping, process=process, told_at=None, tried_at=-60.0, killed_at=None, captured=False)
    return Folded(replace(s, stopping=anew))


def ending(s: Supervision, stopping: Stopping, scene: Scene) -> tuple[list[AnyAction], list[Symptom]]:
    """What is due for a process that is to end."""
    at = scene.at
    if hang.stopped(s.hang) and hang.may_continue(s.hang, at):  # it hears no SIGTERM while it is stopped
        return [Continue(process=stopping.process, reason="it is stopped (SIGSTOP) and is to end")], []
    if stopping.why in ("hung", "overdue", "deaf") and not stopping.captured:
        return [Capture(reason=stopping.reason)], []
    looks: list[AnyAction] = []
    if s.owner_stale and at - s.owner_looked >= AGAIN:
        looks.append(LookOwner(reason="it could not be ended: is it still there?"))
    if stopping.told_at is None:
        if at - stopping.tried_at < AGAIN:
            return looks, []
        return [*looks, Terminate(process=stopping.process, reason=stopping.reason, human=stopping.human)], []
    due = stopping.told_at + stopping.budget
    if at < due or at - stopping.tried_at < AGAIN:
        return looks, []
    kill_ok = scene.config.kill == "auto" or stopping.human
    allowed = at if stopping.human or stopping.dead_anyway else kill_allowed_at(s.kills, at)
    if kill_ok and at >= allowed:
        reason = f"{stopping.reason}; {at - stopping.told_at:.0f} s after SIGTERM it is still there"
        return [*looks, Kill(process=stopping.process, reason=reason, human=stopping.human)], []
    why = "SIGKILL is not allowed by its mode" if not kill_ok else "SIGKILL has to wait for its budget"
    evidence = f"told to end, it is still there after its {stopping.budget:.0f} s; {why}"
    return looks, [Symptom("process", evidence, human=not kill_ok)]
