"""How soon a gateway that ended by itself is started again: never lost, never spinning, prompt when it can help.

Only automatic starts are governed. A failure raises a level, time spent *ready* lowers it; deaths before ready lead
to quarantine, where it is tried rarely for ever; a changed cause ends any wait. In `benchmarks/policy.py` the figures
below cost 54 starts per outage hour and have it back 28 s after the outage (median); half the pace of quarantine
would save three starts and nearly double the wait of the unlucky, twice the pace would break the limit of 60 starts.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.backoff import doubling, equal_jitter, luck

CAP = 60.0  # operators call more than a minute too long for something that worked before
DECAY = 60.0  # one level less for each such stretch of being ready
CALM = 600.0  # ready for so long: as if nothing had happened
BOOT_WINDOW = 600.0  # longer than 5 x (two boots and their delays), or it would never trip
BOOT_FAILURES = 5  # more than so many in the window: quarantine
SAME_CAUSE = 3  # the same fingerprint so often: not restarted blindly
SHARE = 0.05  # of one core, for a gateway that cannot boot
SLOWEST, FASTEST = 300.0, 66.0  # pace of quarantine: with the first quick tries at most 60 starts in an hour
HOURLY = 3600.0  # probe of a configuration hold


class Governor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of failures.

    Attributes:
        level: Grows with each failure, shrinks while ready.
        level_at: When the level last changed or ready began.
        ready_since: Since when it has been ready, None if it is not.
        boots: Times of deaths before ready.
        same: The last crash fingerprint and how often in a row.
        not_before: No automatic start before this.
        quarantined: It is tried rarely.
        booked: When the last automatic restart was booked.
        executed, suppressed: Restarts made and put off, for people and metrics.
        last_reason: Why it was last started or restarted.
    """

    level: int = 0
    level_at: float = 0.0
    ready_since: float | None = None
    boots: tuple[float, ...] = ()
    fingerprint: str = ""
    same: int = 0
    not_before: float = 0.0
    quarantined: bool = False
    booked: float | None = None
    executed: int = 0
    suppressed: int = 0
    last_reason: str = ""


def became_ready(g: Governor, at: float) -> Governor:
    """It is proven ready: quarantine ends; the level stays and decays from now."""
    if g.ready_since is not None:
        return g
    return replace(g, ready_since=at, level_at=at, quarantined=False, boots=(), not_before=0.0)


def decayed(g: Governor, at: float) -> Governor:
    """Lower the level for time spent ready, and only for that."""
    if g.ready_since is None or g.level == 0:
        return g
    if at - g.ready_since >= CALM:
        return replace(g, level=0, level_at=at, fingerprint="", same=0)
    steps = int((at - g.level_at) // DECAY)
    if steps <= 0:
        return g
    return replace(g, level=max(0, g.level - steps), level_at=g.level_at + steps * DECAY)


def failed(g: Governor, at: float, *, fingerprint: str = "", cpu: float = 0.0, gap: float = 2.5) -> Governor:
    """It ended by itself. Decide when it may be started again.

    Args:
        g: What was known before.
        at: When it ended.
        fingerprint: Of the crash, if it left one.
        cpu: CPU seconds the attempt burnt; dear attempts are repeated more rarely in quarantine.
        gap: Least time between two automatic starts; there is none before the first.
    """
    g = decayed(g, at)
    calm = g.ready_since is not None and at - g.ready_since >= CALM
    boots = tuple(t for t in g.boots if at - t < BOOT_WINDOW)
    if g.ready_since is None:
        boots = (*boots, at)[-50:]
    same = g.same + 1 if fingerprint and fingerprint == g.fingerprint and not calm else int(bool(fingerprint))
    quarantined = (g.quarantined and g.ready_since is None) or len(boots) > BOOT_FAILURES or same >= SAME_CAUSE
    if quarantined:
        pace = min(SLOWEST, max(FASTEST, cpu / SHARE))
        wait = pace * (0.8 + 0.4 * luck("quarantine", at))
    elif g.level == 0:
        wait = 0.0
    else:
        wait = equal_jitter(doubling(g.level, 1.0, CAP), "backoff", at)
    not_before = at + wait
    if g.booked is not None:
        not_before = max(not_before, g.booked + gap)
    return replace(
        g,
        level=min(g.level + 1, 30),
        level_at=at,
        ready_since=None,
        boots=boots,
        fingerprint=fingerprint or g.fingerprint,
        same=same if fingerprint else g.same,
        not_before=not_before,
        quarantined=quarantined,
    )


def ended_on_purpose(g: Governor, at: float) -> Governor:
    """It ended because it was told to: no failure; the ready time counts no further."""
    return replace(decayed(g, at), ready_since=None)


def booked(g: Governor, at: float, reason: str, *, human: bool = False, again: bool = True) -> Governor:
    """A start or restart is about to be made: booked when attempted, not when it worked.

    Args:
        g: What was known before.
        at: Now.
        reason: For people.
        human: It was asked for; it does not make an automatic one wait.
        again: It follows an earlier life. A first start is not counted, and nothing has to wait for it.
    """
    if not again:
        return replace(g, last_reason=reason)
    return replace(g, booked=g.booked if human else at, executed=g.executed + 1, last_reason=reason)


def suppressed(g: Governor) -> Governor:
    """An automatic restart was put off."""
    return replace(g, suppressed=g.suppressed + 1)


def woken(g: Governor, at: float) -> Governor:
    """Something that may have been the cause has changed: do not wait any longer. One try; the level stays."""
    return replace(g, not_before=min(g.not_before, at), same=0)


def forgiven(g: Governor) -> Governor:
    """A person started it: failures of the past are not held against the new start."""
    return replace(g, level=0, boots=(), same=0, fingerprint="", not_before=0.0, quarantined=False)
