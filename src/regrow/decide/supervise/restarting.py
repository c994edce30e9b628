"""The restart that somebody wants: refused, asked for inside the process, or by ending it and starting anew."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.domains.base import Note, Reply, Symptom
from regrow.decide.lifecycle import Signal
from regrow.decide.supervise.ended import announce
from regrow.decide.supervise.restarts import DRAIN, IN_PLACE_MOST, Restart, Stopping
from regrow.decide.supervise.state import Scene, Supervision, answer
from regrow.model.actions import AnyAction, LookConfig, Reload, RestartInPlace


class Up(Struct, frozen=True, kw_only=True):
    """What follows while a process lives."""

    state: Supervision
    wishes: tuple[AnyAction, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    replies: tuple[Reply, ...] = ()
    notes: tuple[Note, ...] = ()
    signals: tuple[Signal, ...] = ()


def troubled(s: Supervision) -> tuple[Symptom, ...]:
    return (Symptom("process", s.trouble),) if s.trouble else ()


def go_on(s: Supervision, scene: Scene) -> Up:
    """Go on with a reload or restart that somebody wants."""
    view, at, restart = scene.view, scene.at, s.restart
    if restart is None:
        if s.reload is not None and at >= s.reload.due and s.boot is None:
            return Up(state=s, wishes=(Reload(reason=s.reload.reason, human=s.reload.human),))
        return Up(state=s)
    if restart.stage == "in-place":
        if at - restart.since > DRAIN + 30.0:  # it never went down: the next rung
            s = replace(s, restart=replace(restart, stage="queued", full=True, due=at))
        return Up(state=s)
    if at < restart.due:
        return Up(state=s)
    if view.config_ok is False and not restart.force:
        return refuse(s, restart, scene)
    attended = bool(view.bound(human=restart.human))
    if attended and (restart.full or view.link != "up"):
        return _refuse_attended(s, restart, scene)
    full = restart.full or s.in_place >= IN_PLACE_MOST or view.link != "up"
    if not full or attended:
        wish = RestartInPlace(reason=restart.reason, human=restart.human, force=restart.force)
        return Up(state=s, wishes=(wish,), symptoms=troubled(s))
    if not restart.force and not restart.hung and _unjudged(s, scene):
        return Up(state=s, wishes=(LookConfig(reason="before a restart", human=restart.human),))
    why = "hung" if restart.hung else "restart"
    budget = scene.policy.hung_budget if restart.hung else scene.policy.stop_budget
    s = replace(s, restart=replace(restart, stage="ending", since=at))
    return end(s, scene, why=why, budget=budget, reason=restart.reason, human=restart.human, dead=restart.hung)


def _unjudged(s: Supervision, scene: Scene) -> bool:
    """Nobody has said yet whether the file on disk would boot, and the judge has not given up on it."""
    config = scene.view.config
    if config is None or scene.view.config_ok is not None:
        return False
    return s.judging or s.looked_config is None or s.looked_config[0] != config.digest


def refuse(s: Supervision, restart: Restart, scene: Scene) -> Up:
    """It would not come back: a person is told, an automatic one waits."""
    config = scene.view.config
    problems = "; ".join(config.problems[:3]) if config is not None else ""
    text = f"openclaw.json is not valid, a restart would not come back: {problems}. Mend it or use --force"
    if restart.human:
        done = replace(s, restart=None)
        return Up(
            state=done, replies=answer(restart.requests, "refused", text), notes=announce(restart, scene.at, text)
        )
    return Up(state=s, symptoms=(Symptom("process", f"a restart is due ({restart.reason}), but {text}", human=True),))


def _refuse_attended(s: Supervision, restart: Restart, scene: Scene) -> Up:
    text = f"regrow may only ask this gateway to restart itself, and that did not work: {scene.view.observed_only}"
    return Up(state=replace(s, restart=None), replies=answer(restart.requests, "refused", text))


def end(
    s: Supervision,
    scene: Scene,
    *,
    why: str,
    budget: float,
    reason: str,
    human: bool = False,
    dead: bool = False,
) -> Up:
    """End the process: evidence first if it is ill, then SIGTERM with this budget."""
    process = scene.view.process
    assert process is not None  # noqa: S101  (observed gateways without a process take another way)
    stopping = Stopping(
        process=process, why=why, budget=budget, reason=reason, human=human, dead_anyway=dead,  # type: ignore[arg-type]
    )  # fmt: skip
    trouble = reason if dead else s.trouble
    return Up(state=replace(s, stopping=stopping, trouble=trouble), symptoms=troubled(replace(s, trouble=trouble)))
