"""Is it hung? Misses make a suspect, the process state names the cause, one RPC proves it; our own sickness acquits."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.profiles import Policy
from regrow.decide.supervise.boots import BUSY

IDLE_SILENCE = 20.0  # no CPU progress and no answer for so long: not merely busy
BUSY_SILENCE = 60.0  # a blocked event loop recovers by itself after up to 23 s in the field
STOPPED_SPAN = 2.0  # between two looks that both find it stopped
CONTINUE_GAP = 30.0  # before a stopped process is continued once more
CONTINUE_TRIES = 3
VERIFY_GAP = 10.0
SICK_FOR = 60.0  # after our host slept or stalled, nothing measured then counts


class Judgement(StrEnum):
    """What the evidence allows to be said."""

    FINE = "fine"
    SUSPECT = "suspect"  # look more often
    STOPPED = "stopped"  # SIGSTOP: let it go on
    TRACED = "traced"  # a debugger holds it: only report
    BLOCKED = "blocked"  # in the kernel, uninterruptible: no signal can help, only report
    VERIFY = "verify"  # ask one RPC before anything is done
    HUNG = "hung"


class Hang(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Evidence gathered since the last answer.

    Attributes:
        misses, first_miss: Probes without an answer in a row, and when that began.
        state: The kernel's letter for the process.
        stopped_first: When it was first seen stopped, None if it is not.
        cpu, cpu_at: CPU seconds at the last look and when.
        busy_at: When it last burnt CPU worth the name.
        continued: Times of our SIGCONTs.
        verify_at: When the verifying RPC was last asked; None if not since `first_miss`.
        refuted: It failed too.
        sick_until: Until then our own host is not to be trusted.
    """

    misses: int = 0
    first_miss: float = 0.0
    state: str = ""
    stopped_first: float | None = None
    stopped_last: float = 0.0
    cpu: float = 0.0
    cpu_at: float = 0.0
    busy_at: float = 0.0
    continued: tuple[float, ...] = ()
    verify_at: float | None = None
    refuted: bool = False
    sick_until: float = 0.0


def answered(h: Hang) -> Hang:
    """It answered: everything that spoke against it is forgotten."""
    if h.misses == 0 and h.verify_at is None and not h.refuted:
        return h
    return replace(h, misses=0, first_miss=0.0, verify_at=None, refuted=False)


def missed(h: Hang, at: float) -> Hang:
    """A probe found the port but no answer. Not counted while our own host is sick."""
    if at < h.sick_until:
        return h
    return replace(h, misses=h.misses + 1, first_miss=h.first_miss if h.misses else at)


def looked(h: Hang, at: float, state: str, cpu: float) -> Hang:
    """The kernel's word on the process."""
    stopped = state == "T"
    busy = h.cpu_at > 0 and cpu - h.cpu > BUSY * max(at - h.cpu_at, 0.1)
    return replace(
        h,
        state=state,
        stopped_first=(h.stopped_first if h.stopped_first is not None else at) if stopped else None,
        stopped_last=at if stopped else 0.0,
        cpu=cpu,
        cpu_at=at,
        busy_at=at if busy else h.busy_at,
    )


def verified(h: Hang, ok: bool | None) -> Hang:
    """The verifying RPC ended: an answer acquits, silence convicts, 'could not ask' does neither."""
    if ok is None:
        return replace(h, verify_at=None)
    return answered(h) if ok else replace(h, refuted=True)


def sickened(h: Hang, at: float) -> Hang:
    """Our own loop was late or the host slept: what was measured meanwhile is void."""
    return replace(answered(h), stopped_first=None, sick_until=at + SICK_FOR)


def let_go(h: Hang, at: float) -> Hang:
    """It is being continued: its silence counts from here, its answer is still awaited."""
    return replace(
        h, continued=(*h.continued, at)[-10:], stopped_first=None, first_miss=at, verify_at=None, refuted=False
    )


def judge(h: Hang, at: float, policy: Policy) -> Judgement:
    """What can be said now.

    Args:
        h: The evidence.
        at: Now.
        policy: Says how many misses over how long make a suspect.
    """
    if h.state == "t" and h.misses:
        return Judgement.TRACED
    if h.state == "T" and h.misses:  # silence proves nothing against a process that is not let run
        return Judgement.STOPPED if stopped(h) else Judgement.SUSPECT
    if h.misses == 0:
        return Judgement.FINE
    silence = at - h.first_miss
    if at < h.sick_until or h.misses < policy.misses_suspect or silence < policy.suspect_span:
        return Judgement.SUSPECT
    if h.state == "D":
        return Judgement.BLOCKED
    busy = at - h.busy_at < IDLE_SILENCE
    if silence < (BUSY_SILENCE if busy else IDLE_SILENCE):
        return Judgement.SUSPECT
    if h.refuted:
        return Judgement.HUNG
    if h.verify_at is None or at - h.verify_at > VERIFY_GAP:
        return Judgement.VERIFY
    return Judgement.SUSPECT


def stopped(h: Hang) -> bool:
    """Two looks, some time apart, found it stopped."""
    return h.stopped_first is not None and h.stopped_last - h.stopped_first >= STOPPED_SPAN


def may_continue(h: Hang, at: float) -> bool:
    """Whether one more SIGCONT is due: spaced, and three within ten minutes at most (somebody wants it stopped)."""
    recent = [t for t in h.continued if at - t < 600.0]
    return len(recent) < CONTINUE_TRIES and (not recent or at - recent[-1] >= CONTINUE_GAP)
