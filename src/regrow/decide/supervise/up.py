"""While a process lives: becoming ready, staying reachable, hung or deaf, and the restart that somebody wants."""

from __future__ import annotations

from msgspec.structs import replace

from regrow.decide.domains.base import Note, Symptom
from regrow.decide.lifecycle import Signal
from regrow.decide.supervise import boots, hang
from regrow.decide.supervise.ailing import (
    deaf,
    heal_deafness,
    hung,
    let_continue,
    let_go_on,
    recovered,
    stopped_booting,
)
from regrow.decide.supervise.ended import announce
from regrow.decide.supervise.ending import stopped_again
from regrow.decide.supervise.governor import became_ready
from regrow.decide.supervise.hang import Judgement
from regrow.decide.supervise.restarting import Up, end, go_on, troubled
from regrow.decide.supervise.restarts import Restart
from regrow.decide.supervise.state import Scene, Supervision, answer
from regrow.model.actions import AnyAction, Dial, HangUp, Verify
from regrow.model.gateway import Mode, Phase

SILENT = 75.0  # 2.5 ticks: the gateway sends one every 30 s
UNREACHED = 30.0  # started, and its socket still not open: it works, we cannot see inside
VERIFY_GAP = 10.0
CURRENT = 4  # protocol from which the gateway answers /startupz
STALE = 30.0  # an older look proves nothing


def up(s: Supervision, scene: Scene) -> Up:
    """Decide for a gateway whose process lives and is not being ended."""
    view = scene.view
    if view.observed_only:
        return _attend(s, scene)
    if view.mode is Mode.OWN and not view.dry_run:
        if view.want == "stopped" and view.process is not None:
            return Up(state=replace(s, stopping=stopped_again(view.process, scene)))
        if s.quitting and not s.leave_running:
            return end(s, scene, why="quit", budget=scene.policy.stop_budget, reason="regrow is ending", human=True)
    if scene.config.mode != "auto":
        return _attend(s, scene)
    return _serving(s, scene) if s.boot is None else _booting(s, s.boot, scene)


def _booting(s: Supervision, boot: boots.Boot, scene: Scene) -> Up:
    """It is not known to be ready yet."""
    if _proven(s, boot, scene):
        return _became_ready(s, boot, scene)
    if deaf(s, boot, scene):
        return heal_deafness(s, scene)
    if stopped_booting(s, boot, scene):
        return replace(let_continue(s, scene), signals=(Signal.FOUND,))
    symptoms = troubled(s)
    if scene.at >= boots.overdue_at(boot):
        if _failed(boot, scene):
            reason = f"it is not ready after {scene.at - boot.began:.0f} s and shows no sign of progress"
            return end(s, scene, why="overdue", budget=scene.policy.hung_budget, reason=reason, dead=True)
        text = "it takes longer than a boot may, and whether it is ready cannot be seen; it is left alone"
        symptoms = (Symptom("process", text, human=True),)
    return Up(state=s, wishes=(*_dial(s, scene), *_ask_old(s, scene)), symptoms=symptoms, signals=(Signal.FOUND,))


def _failed(boot: boots.Boot, scene: Scene) -> bool:
    """Whether a boot that takes too long has failed, by its own word or silence. What nobody can say is no failure."""
    probe = scene.view.probe
    if probe is None or probe.at < boot.began or scene.at - probe.at > STALE:
        return False
    return probe.tcp is False or probe.live is False or probe.started is False


def _attend(s: Supervision, scene: Scene) -> Up:
    """Look, and say what is wrong; only a person's wish goes further, through the gateway's own RPC."""
    if s.boot is not None:
        if _proven(s, s.boot, scene):
            return _became_ready(s, s.boot, scene)
        late = scene.at >= boots.overdue_at(s.boot)
        symptoms = (Symptom("process", "it is not ready, for longer than a boot may take"),) if late else ()
        wishes = (*_dial(s, scene), *_ask_old(s, scene))
        return Up(state=s, wishes=wishes, symptoms=symptoms, signals=(Signal.FOUND,))
    view, at = scene.view, scene.at
    signal: tuple[Signal, ...] = ()
    if view.link != "up" and view.phase is Phase.RUNNING:
        signal = (Signal.LOST,)
    elif view.link == "up" and view.phase is Phase.RECONNECTING:
        signal = (Signal.READY,)
    wrong = list(_unobservable(s, scene))
    hint = "" if view.observed_only else "; `regrow restart` ends it and starts it anew"
    if deaf(s, None, scene):
        wrong.append(Symptom("process", f"its process lives but nothing listens on its port{hint}", human=True))
    elif hang.judge(s.hang, at, scene.policy) not in (Judgement.FINE, Judgement.SUSPECT):
        wrong.append(Symptom("process", f"it does not answer{hint}", human=True))
    grown = go_on(s, scene) if s.restart is not None or s.reload is not None else Up(state=s)
    wishes = (*_dial(s, scene), *_silent(s, scene), *grown.wishes)
    return replace(grown, wishes=wishes, symptoms=tuple(wrong), signals=signal)


def _proven(s: Supervision, boot: boots.Boot, scene: Scene) -> bool:
    """Whether this boot is over and the gateway fit for traffic, by its own word."""
    view, at = scene.view, scene.at
    probe = view.probe if view.probe is not None and view.probe.at >= boot.began else None
    linked = view.link == "up" and (view.link_since >= boot.began or not boot.inner)
    started = probe is not None and probe.started is True
    if started and linked:
        return True
    # an early version has no word for it; that it answers and will not talk to us is all that can be known
    answers = probe is not None and probe.live is True and probe.started is None and at - boot.began > UNREACHED
    if view.link == "blind" and (started or answers):
        return True
    if started and at - max(view.link_since, boot.began) > UNREACHED:
        return True
    if linked and view.protocol < CURRENT and s.proved_at is not None and s.proved_at >= view.link_since:
        return True
    unproven = scene.policy.ready_unproven_after
    return unproven is not None and linked and at - view.link_since >= unproven


def _ask_old(s: Supervision, scene: Scene) -> tuple[AnyAction, ...]:
    """Old versions have no /startupz: one health RPC proves them."""
    view = scene.view
    if view.link == "up" and view.protocol < CURRENT and scene.at - s.verify_at >= 1.5:
        return (Verify(reason="is it ready?"),)
    return ()


def _became_ready(s: Supervision, boot: boots.Boot, scene: Scene) -> Up:
    at, view = scene.at, scene.view
    took = at - boot.began
    if not boot.inner and view.installed:
        known = s.took if s.took_version == view.installed else ()
        s = replace(s, took=boots.learned(known, took), took_version=view.installed)
    replies = answer(s.start_requests, "done", f"it is ready after {took:.1f} s")
    notes = [Note("gateway:ready", {"bootId": view.boot_id, "version": view.version, "took": round(took, 3)})]
    restart = s.restart
    if restart is not None and _fulfils(boot, restart):
        how = "inside its process" if boot.inner else "with a new process"
        done = tuple(request for request in restart.requests if request not in restart.late)
        replies = (*replies, *answer(done, "done", f"it was restarted {how} and is ready"))
        notes.extend(announce(restart, at))
        late = replace(restart, stage="queued", requests=restart.late, late=(), due=at, since=at, full=False)
        restart = late if restart.late else None
    reload = s.reload
    if reload is not None and boot.began >= reload.asked_at:
        replies = (*replies, *answer(reload.requests, "done", "it has read everything anew with this start"))
        notes.extend(announce(reload, at))
        s = replace(s, reload=None)
    s = replace(
        s, boot=None, governor=became_ready(s.governor, at), trouble="", restart=restart, start_requests=(),
        revived_at=None, deaf_since=None,
    )  # fmt: skip
    return Up(state=s, replies=replies, notes=tuple(notes), signals=(Signal.FOUND, Signal.READY))


def _fulfils(boot: boots.Boot, restart: Restart) -> bool:
    """Whether this boot is the restart that was wanted."""
    if restart.full and boot.inner:
        return False
    return restart.stage in ("in-place", "starting") or boot.began >= restart.asked_at


def _dial(s: Supervision, scene: Scene) -> tuple[AnyAction, ...]:
    view = scene.view
    refused = view.probe is not None and view.probe.tcp is False
    if view.link == "up" or refused or scene.at < s.reconnect.next_at:
        return ()
    return (Dial(reason="to see inside", attempt=s.reconnect.attempt + 1),)


def _serving(s: Supervision, scene: Scene) -> Up:
    """It was ready once in this boot."""
    view, at = scene.view, scene.at
    signals = (Signal.LOST,) if view.link != "up" and view.phase is Phase.RUNNING else ()
    back = (Signal.READY,) if view.link == "up" and view.phase is Phase.RECONNECTING else ()
    if deaf(s, None, scene):
        return heal_deafness(s, scene)
    match hang.judge(s.hang, at, scene.policy):
        case Judgement.STOPPED:
            return let_continue(s, scene)
        case Judgement.TRACED:
            return Up(state=s, symptoms=(Symptom("process", "a debugger holds the gateway", human=True),))
        case Judgement.BLOCKED:
            text = "the gateway is stuck in the kernel (state D); no signal can help, look at its disks"
            return Up(state=s, symptoms=(Symptom("process", text, human=True),))
        case Judgement.VERIFY:
            return Up(state=s, wishes=(Verify(reason=f"{s.hang.misses} probes without an answer"),))
        case Judgement.HUNG:
            return hung(s, scene)
        case _:
            s = recovered(s, scene)
    wishes = [*_dial(s, scene), *_silent(s, scene)]
    grown = go_on(s, scene)
    symptoms = [*_unobservable(s, scene), *let_go_on(s), *grown.symptoms]
    return replace(
        grown, wishes=(*wishes, *grown.wishes), symptoms=tuple(symptoms), signals=(*signals, *back, *grown.signals)
    )


def _unobservable(s: Supervision, scene: Scene) -> list[Symptom]:
    if scene.view.link == "blind":
        return [Symptom("link", "the gateway is there but does not let regrow in: check the token", human=True)]
    if s.reconnect.gave_up_at is not None:
        text = f"its socket could not be opened {s.reconnect.attempt} times; it is tried more slowly"
        return [Symptom("link", text, human=True)]
    return []


def _silent(s: Supervision, scene: Scene) -> tuple[AnyAction, ...]:
    """A socket without ticks: ask over it; if that fails while HTTP answers, the socket is half-open."""
    view, at = scene.view, scene.at
    if view.link != "up" or at - max(view.heard_at, view.link_since) < SILENT or s.hang.misses:
        return ()
    asked_since = s.verify_at > max(view.heard_at, view.link_since)
    if asked_since and at - s.verify_at >= VERIFY_GAP:
        return (HangUp(reason="nothing was heard on the socket and a call over it was not answered"),)
    return () if asked_since else (Verify(reason="the socket is silent"),)
