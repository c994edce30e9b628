"""What it means when a process or an action has ended: expected or not, whose fault, what comes next."""

from __future__ import annotations

from msgspec.structs import replace

from regrow.decide.domains.base import Note, Reply
from regrow.decide.supervise import hang as hangs
from regrow.decide.supervise import reconnect as dialling
from regrow.decide.supervise.beginning import begin_boot
from regrow.decide.supervise.exits import UNCLEAN, Ending, classify, explain
from regrow.decide.supervise.governor import booked, ended_on_purpose, failed, suppressed
from regrow.decide.supervise.restarts import Restart, Stopping, joined
from regrow.decide.supervise.state import Folded, Scene, Supervision, answer, waiting
from regrow.decide.view import View
from regrow.model.actions import (
    Capture,
    Continue,
    Dial,
    Kill,
    LookConfig,
    LookOwner,
    Reload,
    RestartInPlace,
    Revive,
    Start,
    Terminate,
    Verify,
)
from regrow.model.facts import ChildExited, Ended, Intended
from regrow.model.gateway import Mode

FINAL = ("stop", "quit")
REFUSED_AGAIN = 5.0  # a start that somebody or something in the way prevented
CONFIG_AGAIN = 10.0  # an automatic restart that an invalid file holds up


def exited(s: Supervision, fact: ChildExited, before: View, scene: Scene) -> Folded:
    """A process of this gateway is gone."""
    if before.process is not None and fact.process != before.process:
        return Folded(s)  # an older life; it was replaced long ago
    at = scene.at
    data = {"code": fact.code, "pid": fact.process.pid, "expected": s.stopping is not None}
    notes = (Note("exit", data),)
    clean = replace(
        s, boot=None, stopping=None, deaf_since=None, revived_at=None, proved_at=None, owner_stale=False,
        hang=replace(hangs.Hang(), sick_until=s.hang.sick_until),
        reconnect=replace(s.reconnect, attempt=0, next_at=0.0, gave_up_at=None),
        killed=classify(fact) is Ending.KILLED,
        grace_until=at + scene.policy.stranger_grace if before.process is not None and not before.adopted else 0.0,
    )  # fmt: skip
    if s.stopping is not None and s.stopping.process == fact.process:
        return _as_told(clean, s, fact, scene, notes)
    if s.restart is not None and s.restart.stage == "in-place" and classify(fact) is Ending.CLEAN:
        # it was asked to restart and ended in good order: it expects to be started again
        restart = replace(s.restart, stage="starting", since=at)
        return Folded(replace(clean, restart=restart, governor=ended_on_purpose(s.governor, at)), (), notes)
    if fact.handed_over and s.governor.ready_since is not None:
        # it asked its supervisor for a new process: planned, so no failure and no delay
        wish = Restart(reason="the gateway asked to be started again", asked_at=at, due=at, stage="starting", since=at)
        restart = replace(joined(s.restart, wish), stage="starting", since=at)
        return Folded(replace(clean, restart=restart, governor=ended_on_purpose(s.governor, at)), (), notes)
    return _by_itself(clean, s, fact, scene, notes)


def _as_told(clean: Supervision, s: Supervision, fact: ChildExited, scene: Scene, notes: tuple[Note, ...]) -> Folded:
    stopping = s.stopping
    assert stopping is not None  # noqa: S101  (the caller matched it)
    if stopping.why in FINAL:
        how = " (it had to be killed)" if stopping.killed_at is not None else ""
        text = "it is stopped and stays so until `regrow start`" if stopping.why == "stop" else "it is stopped"
        replies = answer(stopping.requests, "done", text + how)
        overtaken = answer(waiting(s), "failed", "a stop came in between")
        calm = replace(
            clean,
            governor=ended_on_purpose(s.governor, scene.at),
            restart=None,
            reload=None,
            start_requests=(),
            trouble="",
        )
        return Folded(calm, (*replies, *overtaken), notes)
    if stopping.why in ("overdue", "deaf"):
        governor = failed(s.governor, scene.at, cpu=fact.cpu, gap=scene.policy.restart_gap)
        restart = s.restart if s.restart is not None and s.restart.human else None
        if restart is not None:
            restart = replace(restart, stage="starting", since=scene.at)
        return Folded(replace(clean, governor=governor, trouble=stopping.reason, restart=restart), (), notes)
    governor = ended_on_purpose(s.governor, scene.at)
    wish = Restart(
        reason=stopping.reason, asked_at=scene.at, due=scene.at, human=stopping.human, requests=stopping.requests
    )
    restart = replace(s.restart or wish, stage="starting", since=scene.at)
    return Folded(replace(clean, governor=governor, restart=restart), (), notes)


def _by_itself(clean: Supervision, s: Supervision, fact: ChildExited, scene: Scene, notes: tuple[Note, ...]) -> Folded:
    at, ending = scene.at, classify(fact)
    was_ready = s.governor.ready_since is not None
    words = explain(fact)
    governor = failed(s.governor, at, fingerprint=fact.fingerprint, cpu=fact.cpu, gap=scene.policy.restart_gap)
    asks = ending is Ending.REFUSED or fact.config_invalid or (not was_ready and ending is Ending.CLEAN)
    if governor.not_before > at:
        governor = suppressed(governor)
    when = f"; it is tried again in {max(0.0, governor.not_before - at):.0f} s"
    # a person's restart that had not come to it yet is carried out by the start that follows, without its pause
    kept = s.restart is not None and s.restart.human and s.restart.stage in ("queued", "in-place") and not asks
    restart = replace(s.restart, stage="starting", since=at, late=()) if s.restart is not None and kept else None
    left = waiting(replace(s, restart=None) if kept else s)
    return Folded(
        replace(
            clean,
            governor=governor,
            restart=restart,
            reload=None,
            start_requests=(),
            trouble=words,
            refused=asks,
            owner_stale=not was_ready or scene.view.mode is Mode.SERVICE,
            looked_config=None,
            killed=ending in UNCLEAN,
        ),
        answer(left, "failed", words + when, governor.not_before),
        notes,
    )


def action_intended(s: Supervision, fact: Intended, scene: Scene) -> Supervision:
    """Attempts are booked when they are made, not when they worked."""
    at, action = scene.at, fact.action
    match action:
        case Start():
            again = s.restart is not None or s.governor.level > 0  # a first start is no restart
            return replace(s, governor=booked(s.governor, at, action.reason, human=action.human, again=again))
        case Terminate() | Kill() if s.stopping is not None:
            return replace(s, stopping=replace(s.stopping, tried_at=at))
        case Capture() if s.stopping is not None:
            return replace(s, stopping=replace(s.stopping, captured=True))
        case RestartInPlace() if s.restart is not None:
            restart = replace(s.restart, stage="in-place", since=at)
            governor = booked(s.governor, at, action.reason, human=action.human)
            return replace(s, restart=restart, governor=governor)
        case Continue():
            return replace(s, hang=hangs.let_go(s.hang, at))
        case Revive():
            return replace(s if s.boot is not None else begin_boot(s, scene, inner=True), revived_at=at)
        case Verify():
            asked = s.hang.verify_at is None and s.hang.misses > 0
            return replace(s, verify_at=at, hang=replace(s.hang, verify_at=at) if asked else s.hang)
        case Dial():
            return replace(s, reconnect=dialling.dialled(s.reconnect))
        case LookOwner():
            return replace(s, owner_looked=at)
        case LookConfig() if scene.view.config is not None:
            return replace(s, looked_config=(scene.view.config.digest, at), judging=True)
        case _:
            return s


def action_ended(s: Supervision, fact: Ended, scene: Scene) -> Folded:
    """How an action ended; accepted is not cured."""
    at, action, verdict = scene.at, fact.action, fact.verdict
    went_well = verdict.result == "done"
    match action:
        case _ if verdict.result == "would":
            return _would(s, fact)
        case Terminate() if s.stopping is not None and s.stopping.process == action.process:
            if went_well:
                # its budget runs from here; only the budget decides when the next step is due
                told = replace(s.stopping, told_at=s.stopping.told_at or at, tried_at=-60.0)
                return Folded(replace(s, stopping=told))
            return _could_not_end(s, s.stopping, verdict.detail, at)
        case Kill() if s.stopping is not None and s.stopping.process == action.process:
            if went_well:
                kills = (*s.kills, at)[-10:]
                return Folded(replace(s, kills=kills, stopping=replace(s.stopping, killed_at=at)))
            return _could_not_end(s, s.stopping, verdict.detail, at)
        case Start() if went_well:
            # nobody saw the process that was started: look before another one is
            return Folded(replace(s, owner_stale=s.owner_stale or scene.view.process is None))
        case Start():
            return _start_failed(s, action, verdict.detail, scene, refused=verdict.result == "refused")
        case RestartInPlace() if not went_well and s.restart is not None:
            if verdict.result == "refused" and verdict.by == "config":
                return _would_not_boot(s, s.restart, verdict.detail, scene)
            if s.restart.stage in ("queued", "in-place"):  # the next rung: end it in good order and start it again
                return Folded(replace(s, restart=replace(s.restart, stage="queued", full=True, due=at)))
            return Folded(s)
        case Revive() if not went_well:
            return Folded(replace(s, revived_at=at - 3600.0))
        case Reload():
            return _reloaded(s, fact, scene)
        case LookConfig():
            return Folded(replace(s, judging=False))
        case _:
            return Folded(s)


def _would_not_boot(s: Supervision, restart: Restart, detail: str, scene: Scene) -> Folded:
    """The gateway itself says that the file on disk is invalid: the next rung would end what still serves."""
    if not restart.human:
        return Folded(replace(s, restart=replace(restart, stage="queued", due=scene.at + CONFIG_AGAIN)))
    replies = answer(restart.requests, "refused", detail)
    return Folded(replace(s, restart=None), replies, announce(restart, scene.at, detail))


def _would(s: Supervision, fact: Ended) -> Folded:
    """Dry run: it was said what would be done; what was wanted is over."""
    action = fact.action
    requests: tuple[str, ...] = ()
    if isinstance(action, Start | RestartInPlace | Terminate):
        requests = (*waiting(s), *(s.stopping.requests if s.stopping is not None else ()))
        s = replace(s, start_requests=(), start_human=False, restart=None, reload=None, stopping=None)
    elif isinstance(action, Reload) and s.reload is not None:
        requests = s.reload.requests
        s = replace(s, reload=None)
    return Folded(s, answer(requests, "done", f"dry run: nothing was done; it would {action.kind}"))


def _could_not_end(s: Supervision, stopping: Stopping, detail: str, at: float) -> Folded:
    """Whoever waits is told at once; what is to end is still to end, and who it is will be looked at."""
    replies = answer(stopping.requests, "refused", detail)
    return Folded(replace(s, stopping=replace(stopping, requests=(), tried_at=at), owner_stale=True), replies)


def _start_failed(s: Supervision, action: Start, detail: str, scene: Scene, *, refused: bool) -> Folded:
    governor = s.governor
    if refused:  # nothing was tried, so nothing failed; yet the same answer is likely for a while
        governor = replace(governor, not_before=max(governor.not_before, scene.at + REFUSED_AGAIN))
    else:
        governor = failed(governor, scene.at, gap=scene.policy.restart_gap)
    return Folded(
        replace(
            s, governor=governor, start_human=False, start_requests=(), restart=None, reload=None,
            owner_stale=True, trouble=detail or action.reason,
        ),
        answer(waiting(s), "refused" if refused else "failed", detail),
    )  # fmt: skip


def _reloaded(s: Supervision, fact: Ended, scene: Scene) -> Folded:
    reload, verdict = s.reload, fact.verdict
    if reload is None:
        return Folded(s)
    s = replace(s, reload=None)
    if verdict.result == "done":
        return Folded(s, answer(reload.requests, "done", verdict.detail), announce(reload, scene.at))
    if verdict.result == "refused":
        return Folded(s, answer(reload.requests, "refused", verdict.detail), announce(reload, scene.at, verdict.detail))
    restart = joined(s.restart, replace(reload, due=scene.at, reason=f"reload: {verdict.detail}"))
    return Folded(
        replace(s, restart=restart), answer(reload.requests, "queued", f"{verdict.detail}; it is restarted instead")
    )


def given_up(before: Supervision, after: Supervision, replies: tuple[Reply, ...], at: float) -> tuple[Note, ...]:
    """The changes that nobody carries any further: told with the reason, so that none is lost in silence."""
    kept = {topic for wish in (after.restart, after.reload) if wish is not None for topic in wish.change.topics}
    notes: list[Note] = []
    for wish in (before.restart, before.reload):
        if wish is None or set(wish.change.topics) <= kept:
            continue
        why = next((r.text for r in replies if r.request in wish.requests), "something else came in between")
        notes.extend(announce(wish, at, why))
    return tuple(notes)


def announce(wish: Restart, at: float, failure: str = "") -> tuple[Note, ...]:
    """The `runtime:changed` event for what a restart or reload took into effect, or did not."""
    change = wish.change
    if not change.topics:
        return ()
    warnings = [*change.warnings, *([f"Gateway restart failed: {failure}"] if failure else [])]
    data = {
        "topics": list(change.topics), "reason": change.reason, "warnings": warnings,
        "channelType": change.channel_type, "accountId": change.account_id, "syncedAt": at,
    }  # fmt: skip
    return (Note("runtime:changed", data),)
