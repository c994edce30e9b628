"""What each fact changes in what is remembered: counted, timed, crossed out; nothing is decided here."""

from __future__ import annotations

from msgspec.structs import replace

from regrow.decide.guards import LATE
from regrow.decide.supervise import hang as hangs
from regrow.decide.supervise import reconnect as dialling
from regrow.decide.supervise.asked import request
from regrow.decide.supervise.beginning import begin_boot, slept
from regrow.decide.supervise.boots import progressed
from regrow.decide.supervise.ended import action_ended, action_intended, exited
from regrow.decide.supervise.ending import stopped_again
from regrow.decide.supervise.governor import decayed, woken
from regrow.decide.supervise.restarts import Restart, joined
from regrow.decide.supervise.state import Folded, Scene, Supervision
from regrow.decide.view import View
from regrow.model.actions import RestartGateway
from regrow.model.facts import (
    AnyFact,
    Asked,
    ChildExited,
    ChildStarted,
    ConfigSeen,
    Ended,
    HostSeen,
    Intended,
    LinkDown,
    LinkRefused,
    LinkUp,
    OutputSeen,
    OwnerSeen,
    PackageSeen,
    PongMissed,
    Probed,
    ProcessSeen,
    Quitting,
    RestartAnnounced,
    Tick,
    Verified,
)
from regrow.model.verdicts import Verdict

SLEPT = 5.0  # a jump of so many seconds means that the host slept
SERVICE_RESTART = 1012


def note(s: Supervision, fact: AnyFact, before: View, scene: Scene) -> Folded:
    """The state after one more fact.

    Args:
        s: The state before.
        fact: What was seen.
        before: The View before the fact, to see edges.
        scene: The View with the fact, the settings, the time.
    """
    gap = scene.at - before.at
    if before.at and gap > SLEPT:  # a second passes between two ticks, unless everything stood still
        s = slept(s, gap, scene.at)
    match fact:
        case Asked():
            return request(s, fact, scene)
        case ChildExited():
            return exited(s, fact, before, scene)
        case Intended():
            return Folded(action_intended(s, fact, scene))
        case Ended(action=RestartGateway() as wish, verdict=Verdict(result="done")):
            due = Restart(
                reason=wish.reason, asked_at=scene.at, due=scene.at, human=wish.human, full=wish.full, since=scene.at
            )
            return Folded(replace(s, restart=joined(s.restart, due)))
        case Ended():
            return action_ended(s, fact, scene)
        case Tick() | HostSeen() | ConfigSeen() | PackageSeen() | Quitting() | OwnerSeen():
            return Folded(_around(s, fact, before, scene))
        case ChildStarted() | OutputSeen() | ProcessSeen() | Probed() | Verified() | RestartAnnounced():
            return Folded(_process(s, fact, scene))
        case LinkUp() | LinkDown() | LinkRefused() | PongMissed():
            return Folded(_link(s, fact, before, scene))
        case _:
            return Folded(s)


def _around(
    s: Supervision,
    fact: Tick | HostSeen | ConfigSeen | PackageSeen | Quitting | OwnerSeen,
    before: View,
    scene: Scene,
) -> Supervision:
    view, at = scene.view, scene.at
    match fact:
        case Tick():
            s = replace(s, governor=decayed(s.governor, at))
            if fact.slept > SLEPT or fact.lag > LATE:
                s = replace(s, hang=hangs.sickened(s.hang, at), deaf_since=None)
            return s
        case HostSeen():
            back = before.route is False and fact.route is True
            return replace(s, governor=woken(s.governor, at)) if back else s
        case ConfigSeen():
            if before.config is not None and before.config.digest != fact.digest:
                return replace(s, governor=woken(s.governor, at), looked_config=None, refused=False)
            return s
        case PackageSeen():
            changed = before.package is not None and before.package.stamp != fact.stamp
            settled = before.updating and not view.updating
            if changed or settled:
                return replace(s, governor=woken(s.governor, at), refused=False)
            return s
        case Quitting():
            return replace(s, quitting=True, leave_running=fact.leave_running)
        case _:
            s = replace(s, owner_stale=False)
            if fact.owner == "none" and before.owner in ("listener", "healer"):
                return replace(s, governor=woken(s.governor, at), refused=False)
            if before.process is not None and not before.adopted and view.process is None:
                gone = s.trouble or "the gateway that regrow watched is gone"
                return replace(s, grace_until=at + scene.policy.stranger_grace, trouble=gone)
            found = (view.process is not None and before.process != view.process) or (
                fact.owner == "remote" and before.owner != "remote"
            )
            return begin_boot(s, scene, inner=False) if found else s


def _process(
    s: Supervision,
    fact: ChildStarted | OutputSeen | ProcessSeen | Probed | Verified | RestartAnnounced,
    scene: Scene,
) -> Supervision:
    view, at = scene.view, scene.at
    match fact:
        case ChildStarted():
            s = begin_boot(s, scene, inner=False)
            if view.want == "stopped" and not fact.adopted:  # a stop came while it was being started
                s = replace(s, stopping=stopped_again(fact.process, scene))
            return replace(
                s, start_human=False, start_force=False, refused=False, owner_stale=False, in_place=0,
                killed=False, revived_at=None,
            )  # fmt: skip
        case OutputSeen():
            if fact.kind == "startup-failed":  # it said so itself: alive, and nobody listens
                return replace(s, deaf_since=at - 3600.0, trouble=fact.text or s.trouble)
            return replace(s, boot=progressed(s.boot, at)) if s.boot is not None else s
        case ProcessSeen():
            boot = progressed(s.boot, at, cpu=fact.cpu) if s.boot is not None else None
            return replace(s, boot=boot, hang=hangs.looked(s.hang, at, fact.state, fact.cpu))
        case Probed():
            return _probed(s, fact, scene)
        case Verified():
            hang = hangs.verified(s.hang, fact.ok) if s.hang.verify_at is not None else s.hang
            return replace(s, hang=hang, proved_at=at if fact.ok else s.proved_at)
        case _:
            there = view.process is not None or view.owner == "remote"
            if fact.restarting and there and s.stopping is None:
                return replace(begin_boot(s, scene, inner=True), in_place=s.in_place + 1)
            return s


def _probed(s: Supervision, fact: Probed, scene: Scene) -> Supervision:
    at = scene.at
    if fact.tcp is False:
        silent = scene.view.process is not None and s.stopping is None
        return replace(s, deaf_since=(s.deaf_since if s.deaf_since is not None else at) if silent else None)
    if fact.tcp is True:
        s = replace(s, deaf_since=None)
    if fact.live is True:
        s = replace(s, hang=hangs.answered(s.hang))
        boot = progressed(s.boot, at, pending=fact.pending) if s.boot is not None else None
        return replace(s, boot=boot)
    if fact.live is False and s.boot is None:  # while it boots its own budget decides
        return replace(s, hang=hangs.missed(s.hang, at))
    return s


def _link(
    s: Supervision, fact: LinkUp | LinkDown | LinkRefused | PongMissed, before: View, scene: Scene
) -> Supervision:
    at, policy = scene.at, scene.policy
    match fact:
        case LinkUp():
            s = replace(s, reconnect=dialling.connected(s.reconnect))
            anew = s.boot is None and (before.boot_id not in ("", fact.boot_id) or _younger(s, fact))
            return replace(begin_boot(s, scene, inner=True), in_place=s.in_place + 1) if anew else s
        case LinkDown():
            s = replace(s, reconnect=dialling.lost(s.reconnect, at, policy))
            if fact.code == SERVICE_RESTART and s.boot is None and s.stopping is None:
                return replace(begin_boot(s, scene, inner=True), in_place=s.in_place + 1)
            return s
        case LinkRefused():
            return replace(
                s,
                reconnect=dialling.refused(s.reconnect, at, policy, blind=fact.blind, retry_after=fact.retry_after),
            )
        case _:
            if not policy.misses_restart or fact.misses < policy.max_misses or s.restart is not None:
                return s
            wish = Restart(
                reason=f"{fact.misses} heartbeats missed", asked_at=at, due=at, full=True, hung=True, since=at
            )
            return replace(s, restart=joined(s.restart, wish))


def _younger(s: Supervision, fact: LinkUp) -> bool:
    """Early versions give their boots no name; their age tells as much."""
    since = s.governor.ready_since
    return not fact.boot_id and fact.boot_age is not None and since is not None and fact.at - fact.boot_age > since
