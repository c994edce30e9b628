"""Delays that grow, with jitter that replays the same."""

from __future__ import annotations

import zlib


def luck(seed: str, at: float) -> float:
    """A number in [0, 1) that looks random and is the same whenever the same past is replayed.

    Args:
        seed: Tells apart uses at the same moment.
        at: The time of the fact that asks.
    """
    return zlib.crc32(f"{seed}:{at:.6f}".encode()) / 2**32


def equal_jitter(ceiling: float, seed: str, at: float) -> float:
    """Somewhere in the upper half of `ceiling`, so that many do not come back at the same moment."""
    return ceiling * (0.5 + 0.5 * luck(seed, at))


def doubling(attempt: int, first: float, cap: float) -> float:
    """`first` for attempt 1, doubled for each later one, at most `cap`."""
    return min(cap, first * 2.0 ** min(max(attempt - 1, 0), 30))
