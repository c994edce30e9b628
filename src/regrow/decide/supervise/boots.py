"""How long a boot may take: learned on this host, extended while it makes progress, never without an end."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

HARD_CAP = 900.0  # boots of twelve minutes have been reported
AFTER_KILL = 360.0  # after a SIGKILL during a plugin reload the gateway may print nothing for 300 s
REMEMBERED = 20
PATIENCE = 3.0  # times the 95th percentile
BUSY = 0.1  # share of a core above which CPU time counts as progress
PROGRESS_GRACE = 60.0  # a sign of life buys so much more


class Boot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One boot under way.

    Attributes:
        began: When it was spawned, found or announced.
        progress_at: The last sign of life: CPU time, output, another phase.
        cpu, cpu_at: CPU seconds at the last look, and when that was.
        pending: What it said it waits for.
        least: Seconds it may take at least.
        inner: It happens inside a process that already ran.
        asleep: Seconds the host stood still meanwhile: they do not count.
    """

    began: float
    progress_at: float
    cpu: float = 0.0
    cpu_at: float = 0.0
    pending: str = ""
    least: float = 120.0
    inner: bool = False
    asleep: float = 0.0


def budget(took: tuple[float, ...], least: float, *, after_kill: bool) -> float:
    """Seconds a boot may take before it is doubted.

    Args:
        took: What earlier boots of this version took on this host.
        least: The configured minimum.
        after_kill: The life before ended by SIGKILL.
    """
    wanted = max(least, AFTER_KILL if after_kill else 0.0)
    if took:
        ordered = sorted(took)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        wanted = max(wanted, PATIENCE * p95)
    return min(wanted, HARD_CAP)


def progressed(boot: Boot, at: float, *, cpu: float | None = None, pending: str | None = None) -> Boot:
    """Note a sign of life, if it is one: more CPU time, another phase, or (without either) plain output."""
    if cpu is not None:
        # an idle gateway burns 2-4 % of a core; a booting one most of one
        busy = cpu - boot.cpu > BUSY * max(at - boot.cpu_at, 0.1)
        return replace(boot, cpu=cpu, cpu_at=at, progress_at=at if busy else boot.progress_at)
    if pending is not None:
        return replace(boot, pending=pending, progress_at=at) if pending != boot.pending else boot
    return replace(boot, progress_at=at)


def overdue_at(boot: Boot) -> float:
    """When this boot counts as failed, if nothing more is heard."""
    quiet = max(boot.began + boot.least, boot.progress_at + PROGRESS_GRACE)
    return min(quiet, boot.began + HARD_CAP) + boot.asleep


def learned(took: tuple[float, ...], seconds: float) -> tuple[float, ...]:
    """Remember one more boot."""
    return (*took, seconds)[-REMEMBERED:]
