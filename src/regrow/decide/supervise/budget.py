"""How often the last resort may be used."""

from __future__ import annotations

KILL_GAP = 600.0  # three unclean boots in 300 s mute every channel of the gateway
KILL_HOUR = 3600.0
KILLS_PER_HOUR = 2


def kill_allowed_at(kills: tuple[float, ...], at: float) -> float:
    """The earliest time at which one more SIGKILL fits the budget: 1 per 10 minutes and 2 per hour.

    Args:
        kills: Times of earlier kills, oldest first.
        at: Now; the answer is at least this.
    """
    recent = [t for t in kills if at - t < KILL_HOUR]
    earliest = at
    if recent:
        earliest = max(earliest, recent[-1] + KILL_GAP)
    if len(recent) >= KILLS_PER_HOUR:
        earliest = max(earliest, recent[-KILLS_PER_HOUR] + KILL_HOUR)
    return earliest
