"""While it serves nobody: deaf, stopped or hung, it is woken, let go on, or ended and started anew."""

from __future__ import annotations

from msgspec.structs import replace

from regrow.decide.domains.base import Symptom
from regrow.decide.lifecycle import Signal
from regrow.decide.supervise import boots, hang
from regrow.decide.supervise.governor import failed
from regrow.decide.supervise.restarting import Up, end, go_on, refuse
from regrow.decide.supervise.restarts import Restart, joined
from regrow.decide.supervise.state import Scene, Supervision, answer
from regrow.model.actions import Continue, Revive

DEAF = 20.0  # the port refuses for so long while the process lives and is not booting
AFTER_REVIVE = 60.0
DEAF_BUDGET = 30.0  # a gateway without a listener has nothing to drain: it exits within 3 s
STOPPED = "the gateway was stopped (SIGSTOP) and does not answer"


def deaf(s: Supervision, boot: boots.Boot | None, scene: Scene) -> bool:
    """Alive, and nobody listens: after a failed restart inside the process it stays so for ever."""
    refuses = scene.view.probe is None or scene.view.probe.tcp is False  # words alone, or an unknown look, wait
    if s.deaf_since is None or scene.at - s.deaf_since < DEAF or not refuses:
        return False
    if boot is None:
        return True
    said_so = scene.at - s.deaf_since >= 3600.0 - DEAF
    return said_so or (boot.inner and scene.at - boot.progress_at >= DEAF)


def heal_deafness(s: Supervision, scene: Scene) -> Up:
    """Wake it up once; if that does not help, end it and start it anew."""
    view, at = scene.view, scene.at
    process = view.process
    assert process is not None  # noqa: S101
    evidence = s.trouble or "its process lives but nothing listens on its port"
    restart = s.restart
    if restart is not None and restart.human and restart.stage == "queued" and at >= restart.due:
        return go_on(replace(s, restart=replace(restart, full=True)), scene)
    if view.config_ok is False:
        return _cannot_wake(s, evidence)
    s = replace(s, trouble=evidence)
    if s.revived_at is None:
        return Up(state=s, wishes=(Revive(process=process, reason=evidence),), symptoms=(Symptom("process", evidence),))
    if at - s.revived_at < AFTER_REVIVE:
        return Up(state=s, symptoms=(Symptom("process", evidence),))
    return end(s, scene, why="deaf", budget=DEAF_BUDGET, reason=evidence, dead=True)


def _cannot_wake(s: Supervision, evidence: str) -> Up:
    text = f"{evidence}; openclaw.json is not valid, so waking it up cannot help: mend or restore it"
    inside = s.restart is not None and s.restart.stage == "in-place"
    requests = (*s.start_requests, *(s.restart.requests if s.restart is not None and inside else ()))
    return Up(
        state=replace(s, boot=None, trouble=evidence, start_requests=(), restart=None if inside else s.restart),
        symptoms=(Symptom("process", text, human=True),),
        replies=answer(requests, "failed", text),
        signals=(Signal.BLOCKED,),
    )


def let_continue(s: Supervision, scene: Scene) -> Up:
    """Let a stopped process go on, unless somebody evidently wants it stopped."""
    process = scene.view.process
    assert process is not None  # noqa: S101
    evidence = STOPPED
    if not hang.may_continue(s.hang, scene.at):
        recent = sum(1 for t in s.hang.continued if scene.at - t < 600.0)
        human = recent >= hang.CONTINUE_TRIES
        text = f"{evidence}; somebody keeps stopping it" if human else evidence
        return Up(state=s, symptoms=(Symptom("process", text, human=human),))
    return Up(state=s, wishes=(Continue(process=process, reason=evidence),), symptoms=(Symptom("process", evidence),))


def let_go_on(s: Supervision) -> list[Symptom]:
    """It was let go on; only its answer shows that this helped."""
    awaited = s.hang.misses > 0 and bool(s.hang.continued) and s.hang.continued[-1] >= s.hang.first_miss
    return [Symptom("process", STOPPED)] if awaited else []


def stopped_booting(s: Supervision, boot: boots.Boot, scene: Scene) -> bool:
    """Stopped while it boots: no look can have found an answer since."""
    probe = scene.view.probe
    answered = probe is not None and probe.at >= boot.began and probe.live is True
    return hang.stopped(s.hang) and not answered


def hung(s: Supervision, scene: Scene) -> Up:
    """Proven hung: ended quickly and started anew, if it can come back."""
    at, restart = scene.at, s.restart
    evidence = "it does not answer, and one core RPC failed too"
    if scene.view.config_ok is False and not (restart is not None and restart.force):
        # it may recover by itself; ended, it could not come back
        refused = refuse(s, restart, scene) if restart is not None and restart.human else Up(state=s)
        text = f"{evidence}; openclaw.json is not valid, so it is not restarted: mend or restore it"
        return replace(refused, symptoms=(Symptom("process", text, human=True),))
    if restart is None or not restart.hung:
        governor = failed(s.governor, at, gap=scene.policy.restart_gap)
        reason = f"it has not answered for {at - s.hang.first_miss:.0f} s, and one core RPC failed too"
        wish = Restart(reason=reason, asked_at=at, due=max(at, governor.not_before), full=True, hung=True, since=at)
        s = replace(s, governor=governor, restart=replace(joined(restart, wish), stage="queued"), trouble=evidence)
    grown = go_on(s, scene)
    return replace(grown, symptoms=(Symptom("process", evidence), *grown.symptoms))


def recovered(s: Supervision, scene: Scene) -> Supervision:
    """It answers again before its turn came: what only its silence called for is no longer wanted."""
    restart, view = s.restart, scene.view
    if restart is None or not restart.hung or restart.stage != "queued" or s.hang.misses:
        return s
    answered = view.probe is not None and view.probe.live is True and view.probe.at > restart.asked_at
    if not answered and view.heard_at <= restart.asked_at:
        return s
    return replace(s, trouble="", restart=replace(restart, hung=False) if restart.human else None)
