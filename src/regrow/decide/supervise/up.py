"""While a process lives: becoming ready, staying reachable, hung or deaf, and the restart that somebody wants."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.domains.base import Note, Reply, Symptom
from regrow.decide.lifecycle import Signal
from regrow.decide.supervise import boots, hang
from regrow.decide.supervise.ended import announce
from regrow.decide.supervise.governor import became_ready, failed
from regrow.decide.supervise.hang import Judgement
from regrow.decide.supervise.restarts import DRAIN, IN_PLACE_MOST, Restart, Stopping, joined
from regrow.decide.supervise.state import Scene, Supervision, answer
from regrow.model.actions import AnyAction, Continue, Dial, HangUp, LookConfig, Reload, RestartInPlace, Revive, Verify
from regrow.model.gateway import Mode, Phase

DEAF = 20.0  # the port refuses for so long while the process lives and is not booting
AFTER_REVIVE = 60.0
DEAF_BUDGET = 30.0  # a gateway without a listener has nothing to drain: it exits within 3 s
SILENT = 75.0  # 2.5 ticks: the gateway sends one every 30 s
UNREACHED = 30.0  # started, and its socket still not open: it works, we cannot see inside
VERIFY_GAP = 10.0
STOPPED = "the gateway was stopped (SIGSTOP) and does not answer"
CURRENT = 4  # protocol from which the gateway answers /startupz


class Up(Struct, frozen=True, kw_only=True):
    """What follows while a process lives."""

    state: Supervision
    wishes: tuple[AnyAction, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    replies: tuple[Reply, ...] = ()
    notes: tuple[Note, ...] = ()
    signals: tuple[Signal, ...] = ()


def up(s: Supervision, scene: Scene) -> Up:
    """Decide for a gateway whose process lives and is not being ended."""
    if scene.view.observed_only or scene.config.mode in ("off", "observe"):
        return _attend(s, scene)
    if s.quitting and not s.leave_running and scene.view.mode is Mode.OWN:
        return _end(s, scene, why="quit", budget=scene.policy.stop_budget, reason="regrow is ending", human=True)
    if s.boot is not None:
        if _proven(s, s.boot, scene):
            return _became_ready(s, s.boot, scene)
        wishes = _dial(s, scene)
        if _deaf(s, s.boot, scene):
            return _heal_deafness(s, scene)
        started = scene.view.probe is not None and scene.view.probe.started is True
        if scene.at >= boots.overdue_at(s.boot) and not started:
            took = scene.at - s.boot.began
            reason = f"it is not ready after {took:.0f} s and shows no sign of progress"
            return _end(s, scene, why="overdue", budget=scene.policy.hung_budget, reason=reason, dead=True)
        return Up(state=s, wishes=(*wishes, *_ask_old(s, scene)), symptoms=_trouble(s), signals=(Signal.FOUND,))
    return _serving(s, scene)


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
    if _deaf(s, None, scene):
        wrong.append(Symptom("process", "its process lives but nothing listens on its port", human=True))
    elif hang.judge(s.hang, at, scene.policy) not in (Judgement.FINE, Judgement.SUSPECT):
        wrong.append(Symptom("process", f"it has not answered for {at - s.hang.first_miss:.0f} s", human=True))
    grown = _restart(s, scene) if s.restart is not None or s.reload is not None else Up(state=s)
    wishes = (*_dial(s, scene), *_silent(s, scene), *grown.wishes)
    return replace(grown, wishes=wishes, symptoms=tuple(wrong), signals=signal)


def _trouble(s: Supervision) -> tuple[Symptom, ...]:
    return (Symptom("process", s.trouble),) if s.trouble else ()


def _proven(s: Supervision, boot: boots.Boot, scene: Scene) -> bool:
    """Whether this boot is over and the gateway fit for traffic, by its own word."""
    view, at = scene.view, scene.at
    probe = view.probe if view.probe is not None and view.probe.at >= boot.began else None
    linked = view.link == "up" and (view.link_since >= boot.began or not boot.inner)
    started = probe is not None and probe.started is True
    if started and linked:
        return True
    if started and view.link == "blind":
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
    restart = s.restart
    replies = answer(s.start_requests, "done", f"it is ready after {took:.1f} s")
    notes = [Note("gateway:ready", {"bootId": view.boot_id, "version": view.version, "took": round(took, 3)})]
    if restart is not None and (restart.stage in ("in-place", "starting") or boot.began >= restart.asked_at):
        how = "inside its process" if boot.inner else "with a new process"
        replies = (*replies, *answer(restart.requests, "done", f"it was restarted {how} and is ready"))
        notes.extend(announce(restart, at))
        restart = None
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


def _dial(s: Supervision, scene: Scene) -> tuple[AnyAction, ...]:
    view = scene.view
    refused = view.probe is not None and view.probe.tcp is False
    if view.link == "up" or refused or scene.at < s.reconnect.next_at:
        return ()
    return (Dial(reason="to see inside", attempt=s.reconnect.attempt + 1),)


def _deaf(s: Supervision, boot: boots.Boot | None, scene: Scene) -> bool:
    """Alive, and nobody listens: after a failed restart inside the process it stays so for ever."""
    if s.deaf_since is None or scene.at - s.deaf_since < DEAF:
        return False
    if boot is None:
        return True
    said_so = scene.at - s.deaf_since >= 3600.0 - DEAF
    return said_so or (boot.inner and scene.at - boot.progress_at >= DEAF)


def _serving(s: Supervision, scene: Scene) -> Up:
    """It was ready once in this boot."""
    view, at = scene.view, scene.at
    signals = (Signal.LOST,) if view.link != "up" and view.phase is Phase.RUNNING else ()
    back = (Signal.READY,) if view.link == "up" and view.phase is Phase.RECONNECTING else ()
    if _deaf(s, None, scene):
        return _heal_deafness(s, scene)
    match hang.judge(s.hang, at, scene.policy):
        case Judgement.STOPPED:
            return _continue(s, scene)
        case Judgement.TRACED:
            return Up(state=s, symptoms=(Symptom("process", "a debugger holds the gateway", human=True),))
        case Judgement.BLOCKED:
            text = "the gateway is stuck in the kernel (state D); no signal can help, look at its disks"
            return Up(state=s, symptoms=(Symptom("process", text, human=True),))
        case Judgement.VERIFY:
            return Up(state=s, wishes=(Verify(reason=f"{s.hang.misses} probes without an answer"),))
        case Judgement.HUNG:
            return _hung(s, scene)
        case Judgement.FINE | Judgement.SUSPECT:
            pass
    wishes = [*_dial(s, scene), *_silent(s, scene)]
    grown = _restart(s, scene)
    symptoms = [*_unobservable(s, scene), *_let_go_on(s), *grown.symptoms]
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


def _continue(s: Supervision, scene: Scene) -> Up:
    process = scene.view.process
    assert process is not None  # noqa: S101
    evidence = STOPPED
    if not hang.may_continue(s.hang, scene.at):
        recent = sum(1 for t in s.hang.continued if scene.at - t < 600.0)
        human = recent >= hang.CONTINUE_TRIES
        text = f"{evidence}; somebody keeps stopping it" if human else evidence
        return Up(state=s, symptoms=(Symptom("process", text, human=human),))
    return Up(state=s, wishes=(Continue(process=process, reason=evidence),), symptoms=(Symptom("process", evidence),))


def _let_go_on(s: Supervision) -> list[Symptom]:
    """It was let go on; only its answer shows that this helped."""
    awaited = s.hang.misses > 0 and bool(s.hang.continued) and s.hang.continued[-1] >= s.hang.first_miss
    return [Symptom("process", STOPPED)] if awaited else []


def _hung(s: Supervision, scene: Scene) -> Up:
    at = scene.at
    evidence = f"it has not answered for {at - s.hang.first_miss:.0f} s, and one core RPC failed too"
    if s.restart is None or not s.restart.hung:
        governor = failed(s.governor, at, gap=scene.policy.restart_gap)
        wish = Restart(reason=evidence, asked_at=at, due=max(at, governor.not_before), full=True, hung=True, since=at)
        s = replace(s, governor=governor, restart=joined(s.restart, wish), trouble=evidence)
    grown = _restart(s, scene)
    return replace(grown, symptoms=(Symptom("process", evidence), *grown.symptoms))


def _heal_deafness(s: Supervision, scene: Scene) -> Up:
    view, at = scene.view, scene.at
    process = view.process
    assert process is not None  # noqa: S101
    evidence = s.trouble or "its process lives but nothing listens on its port"
    if view.config_ok is False:
        text = f"{evidence}; openclaw.json is not valid, so waking it up cannot help"
        return Up(
            state=replace(s, boot=None, trouble=evidence),
            symptoms=(Symptom("process", text, human=True),),
            signals=(Signal.BLOCKED,),
        )
    s = replace(s, trouble=evidence)
    if s.revived_at is None:
        return Up(state=s, wishes=(Revive(process=process, reason=evidence),), symptoms=(Symptom("process", evidence),))
    if at - s.revived_at < AFTER_REVIVE:
        return Up(state=s, symptoms=(Symptom("process", evidence),))
    return _end(s, scene, why="deaf", budget=DEAF_BUDGET, reason=evidence, dead=True)


def _restart(s: Supervision, scene: Scene) -> Up:
    """Go on with a reload or restart that somebody wants."""
    view, at, restart = scene.view, scene.at, s.restart
    if restart is None:
        if s.reload is not None and at >= s.reload.due and s.boot is None:
            return Up(state=s, wishes=(Reload(reason=s.reload.reason, human=s.reload.human),))
        return Up(state=s)
    if restart.stage == "in-place":
        given_up = at - restart.since > DRAIN + 30.0 and not restart.lost
        if given_up:  # it never went down: the next rung
            s = replace(s, restart=replace(restart, stage="queued", full=True, due=at))
        return Up(state=s)
    if at < restart.due:
        return Up(state=s)
    if view.config_ok is False and not restart.force:
        return _refuse(s, restart, scene)
    attended = bool(view.observed_only)
    if attended and (restart.full or view.link != "up"):
        return _refuse_attended(s, restart, scene)
    full = restart.full or s.in_place >= IN_PLACE_MOST or view.link != "up"
    if not full or attended:
        wish = RestartInPlace(reason=restart.reason, human=restart.human, force=restart.force)
        return Up(state=s, wishes=(wish,), symptoms=_trouble(s))
    if not restart.force and not restart.hung and _unjudged(s, scene):
        return Up(state=s, wishes=(LookConfig(reason="before a restart", human=restart.human),))
    why = "hung" if restart.hung else "restart"
    budget = scene.policy.hung_budget if restart.hung else scene.policy.stop_budget
    s = replace(s, restart=replace(restart, stage="ending", since=at))
    return _end(s, scene, why=why, budget=budget, reason=restart.reason, human=restart.human, dead=restart.hung)


def _unjudged(s: Supervision, scene: Scene) -> bool:
    """Nobody has said yet whether the file on disk would boot, and the judge has not given up on it."""
    config = scene.view.config
    if config is None or scene.view.config_ok is not None:
        return False
    return s.judging or s.looked_config is None or s.looked_config[0] != config.digest


def _refuse(s: Supervision, restart: Restart, scene: Scene) -> Up:
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


def _end(
    s: Supervision,
    scene: Scene,
    *,
    why: str,
    budget: float,
    reason: str,
    human: bool = False,
    dead: bool = False,
) -> Up:
    process = scene.view.process
    assert process is not None  # noqa: S101  (observed gateways without a process take another way)
    stopping = Stopping(
        process=process, why=why, budget=budget, reason=reason, human=human, dead_anyway=dead,  # type: ignore[arg-type]
    )  # fmt: skip
    trouble = reason if dead else s.trouble
    return Up(state=replace(s, stopping=stopping, trouble=trouble), symptoms=_trouble(replace(s, trouble=trouble)))
