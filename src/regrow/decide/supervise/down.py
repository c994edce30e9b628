"""When no process runs: who holds the place, is the configuration fit, and is it time to start."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.domains.base import Reply, Symptom
from regrow.decide.lifecycle import Signal
from regrow.decide.supervise.governor import HOURLY
from regrow.decide.supervise.state import Scene, Supervision, answer, waiting
from regrow.model.actions import AnyAction, LookConfig, LookOwner, Start
from regrow.model.gateway import Mode, Phase

JUDGED_WITHIN = 150.0  # a judge who has not answered by then never will
HOLDERS = ("listener", "healer")  # who holds the place for good, as far as we know
GRACE_LOOK = 3.0  # while its owner may bring it back
LOOK_AGAIN = 15.0  # while somebody else holds the place


class Down(Struct, frozen=True, kw_only=True):
    """What follows while nothing runs."""

    state: Supervision
    wishes: tuple[AnyAction, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    replies: tuple[Reply, ...] = ()
    signal: Signal = Signal.RESTED


def down(s: Supervision, scene: Scene) -> Down:
    """Decide for a gateway without a process."""
    view, at = scene.view, scene.at
    wanted = view.want == "running" and not s.quitting
    if view.owner == "" or (s.owner_stale and wanted):
        looks = (LookOwner(reason="before anything is started"),) if at - s.owner_looked >= 1.0 else ()
        if view.owner in HOLDERS:  # until the look says otherwise
            known = _taken(s, scene)
            return Down(state=s, wishes=looks, symptoms=known.symptoms, signal=known.signal)
        return Down(state=s, wishes=looks, symptoms=_trouble(s), signal=_resting(s, scene))
    if view.want == "stopped":
        return Down(state=_forgotten(s), replies=answer(waiting(s), "failed", "it is stopped"))
    if s.quitting:  # what is wrong goes on being wrong without us
        known = _taken(s, scene) if view.owner in HOLDERS else Down(state=_forgotten(s), symptoms=_trouble(s))
        replies = answer(waiting(s), "failed", "regrow is ending")
        return Down(state=known.state, symptoms=known.symptoms, replies=replies, signal=known.signal)
    if view.owner in HOLDERS:
        return _taken(s, scene)
    if view.config is None:
        return Down(state=s, symptoms=_trouble(s), signal=_resting(s, scene))
    human = s.start_human or (s.restart is not None and s.restart.human)
    if not human:
        left = _left_alone(s, scene)
        if left is not None:
            return left
    judged = _judge(s, scene, human=human)
    if judged is not None:
        return judged
    resumed = s.restart is not None and s.restart.stage == "starting"
    if not human and not resumed and at < s.governor.not_before:
        return Down(state=s, symptoms=_trouble(s), signal=_resting(s, scene))
    asked = s.start_why if s.start_human else ""
    reason = s.restart.reason if s.restart is not None else (asked or s.trouble or "it does not run")
    force = s.start_force or (s.restart is not None and s.restart.force)
    wish = Start(reason=reason, human=human, force=force, epoch=view.epoch + 1)
    return Down(state=s, wishes=(wish,), symptoms=_trouble(s), signal=_resting(s, scene))


def _forgotten(s: Supervision) -> Supervision:
    return replace(s, start_requests=(), start_human=False, restart=None, reload=None)


def _left_alone(s: Supervision, scene: Scene) -> Down | None:
    """Why nothing is started unless a person asks for it; None if it is ours to start."""
    view = scene.view
    if not scene.config.auto_start and s.restart is None and not s.trouble:
        return Down(state=s)
    why = s.trouble or "it does not run"
    if scene.config.mode != "auto":
        text = (
            f"{why}; its mode is {scene.config.mode}, so regrow only says that it would start it: `regrow start` does"
        )
        return Down(state=replace(s, restart=None), symptoms=(Symptom("process", text, human=True),))
    if view.mode is Mode.SERVICE and (not view.adopted or view.owner == "unit"):
        # its manager may start it again, or a person stopped it there: neither is ours to decide
        text = f"{why}; this service is left to its manager: `regrow start` starts it"
        looks = (LookOwner(reason="is it there again?"),) if scene.at - s.owner_looked >= LOOK_AGAIN else ()
        symptoms = (Symptom("process", text, human=True),)
        return Down(state=s, wishes=looks, symptoms=symptoms, signal=Signal.TAKEN)
    if scene.at < s.grace_until and not view.given:
        grace = scene.policy.stranger_grace
        text = f"{why}; regrow only watched it: whoever started it has {grace:.0f} s to bring it back"
        looks = (LookOwner(reason="is it there again?"),) if scene.at - s.owner_looked >= GRACE_LOOK else ()
        symptoms = (Symptom("process", f"{text}, then regrow starts one"),)
        return Down(state=s, wishes=looks, symptoms=symptoms, signal=_resting(s, scene))
    return None


def _resting(s: Supervision, scene: Scene) -> Signal:
    if scene.view.want == "stopped" or s.quitting:
        return Signal.RESTED
    if scene.view.phase is Phase.HELD and scene.view.config_ok is False:
        return Signal.BLOCKED
    if s.governor.quarantined:
        return Signal.RARELY
    return Signal.WAIT if s.trouble or s.restart is not None else Signal.RESTED


def _trouble(s: Supervision) -> tuple[Symptom, ...]:
    if not s.trouble:
        return ()
    if s.governor.quarantined:
        return (Symptom("process", f"{s.trouble}; it keeps failing and is tried rarely from now on", human=True),)
    return (Symptom("process", s.trouble),)


def _taken(s: Supervision, scene: Scene) -> Down:
    view, at = scene.view, scene.at
    looks = (LookOwner(reason="is the place free again?"),) if at - s.owner_looked >= LOOK_AGAIN else ()
    words = {
        "listener": f"port {view.port} is taken by {view.owner_detail}, which is not this gateway; free it or set "
        "another `gateway.port`",
        "healer": f"another regrow looks after this gateway: {view.owner_detail}",
    }
    evidence = words.get(view.owner, view.owner_detail)
    return Down(
        state=_forgotten(s),
        wishes=looks,
        symptoms=(Symptom("process", evidence, human=True),),
        replies=answer(waiting(s), "refused", evidence),
        signal=Signal.TAKEN,
    )


def _judge(s: Supervision, scene: Scene, *, human: bool) -> Down | None:
    """Is openclaw.json fit to boot? None if nothing speaks against a start."""
    view, at = scene.view, scene.at
    ok = view.config_ok
    forced = s.start_force or (s.restart is not None and s.restart.force)
    assert view.config is not None  # noqa: S101  (down() asked)
    looked = s.looked_config is not None and s.looked_config[0] == view.config.digest
    since = at - s.looked_config[1] if looked and s.looked_config is not None else None
    if s.refused and since is None:
        looks = (LookConfig(reason=s.trouble or "it refused to start"),)
        return Down(state=s, wishes=looks, symptoms=_trouble(s), signal=_resting(s, scene))
    if ok is None and since is None:
        looks = (LookConfig(reason="before a start"),)
        return Down(state=s, wishes=looks, symptoms=_trouble(s), signal=_resting(s, scene))
    if s.judging and since is not None and since < JUDGED_WITHIN:
        return Down(state=s, symptoms=_trouble(s), signal=_resting(s, scene))
    if ok is False and not forced:
        return _held(s, scene, since)
    if s.refused and ok is not False and not human:
        # 78 with a valid file and nobody else there: nothing changes by itself; try it rarely
        quarantined = replace(s.governor, quarantined=True, not_before=max(s.governor.not_before, at + 60.0))
        return Down(state=replace(s, refused=False, governor=quarantined), symptoms=_trouble(s), signal=Signal.RARELY)
    return None


def _held(s: Supervision, scene: Scene, since: float | None) -> Down:
    view = scene.view
    assert view.config is not None  # noqa: S101
    problems = "; ".join(view.config.problems[:3]) or "it cannot be parsed"
    evidence = f"openclaw.json is not valid, so the gateway is not started: {problems}"
    looks = (LookConfig(reason="is it still invalid?"),) if since is not None and since >= HOURLY else ()
    text = f"{evidence}. Mend it, restore a proven copy (`regrow doctor`), or use --force"
    return Down(
        state=replace(_forgotten(s), trouble=s.trouble or evidence),
        wishes=looks,
        symptoms=(Symptom("process", evidence, human=True),),
        replies=answer(waiting(s), "refused", text),
        signal=Signal.BLOCKED,
    )
