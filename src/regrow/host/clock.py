"""A clock that never runs backwards within one life and keeps counting while the host sleeps."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Source = Callable[[], float]


def _boottime() -> float:
    """Seconds on a clock that includes suspend, as far as the platform has one."""
    return time.clock_gettime(_SLEEP_CLOCK) if _SLEEP_CLOCK is not None else time.monotonic()


def _awake() -> float:
    """Seconds on a clock that stands still while the host is suspended."""
    return time.clock_gettime(_AWAKE_CLOCK) if _AWAKE_CLOCK is not None else time.monotonic()


def _clock(*names: str) -> int | None:
    return next((getattr(time, name) for name in names if hasattr(time, name)), None)


# On macOS CLOCK_MONOTONIC counts sleep and CLOCK_UPTIME_RAW does not; on Linux BOOTTIME counts and MONOTONIC does not.
_DARWIN = sys.platform == "darwin"
_SLEEP_CLOCK = _clock("CLOCK_MONOTONIC") if _DARWIN else _clock("CLOCK_BOOTTIME")
_AWAKE_CLOCK = _clock("CLOCK_UPTIME_RAW") if _DARWIN else _clock("CLOCK_MONOTONIC")


class Clock:
    """Epoch seconds that only ever grow: the wall time at creation plus what has elapsed since.

    Setting the host's clock, forward or back, changes nothing here; a suspend does count. The value is therefore
    fit for `at` and for deadlines within one life, and close enough to the wall clock to be shown to people.

    Args:
        wall: Epoch seconds, read once.
        boot: Elapsed seconds including suspend.
        awake: Elapsed seconds without suspend.
    """

    def __init__(self, *, wall: Source = time.time, boot: Source = _boottime, awake: Source = _awake) -> None:
        self._boot = boot
        self._awake = awake
        self._offset = wall() - boot()
        self._asleep = boot() - awake()
        self._last = float("-inf")

    def now(self) -> float:
        """Epoch seconds, never less than before."""
        # a virtual machine that migrates can make even BOOTTIME step back
        self._last = max(self._last, self._offset + self._boot())
        return self._last

    def slept(self, since: float = 0.0) -> float:
        """Seconds the host was suspended during this life, beyond `since` (an earlier result without argument)."""
        return max(0.0, self._boot() - self._awake() - self._asleep - since)
