"""Restart policies beside each other: random outages on virtual time, what each costs and how soon it is back.

Run it: `python benchmarks/policy.py [outages] [seed]`. Nothing is started: the policies are modelled from their
documentation, ours is the governor itself.

An outage lasts 5 minutes to 3 hours. While it lasts every start dies 2 to 30 seconds after its spawn (each outage
has its own figure), unless the outage has ended by then. A boot takes 8 seconds and 10 CPU seconds: what dies later
had been ready, and dies again and again.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from regrow.decide.supervise import governor as governing

BOOT = 8.0
CPU = 10.0
ENOUGH = 3600.0  # not back so long after the end of the outage: lost
LIVED = 86_400.0  # it served for a day before


class Outage(NamedTuple):
    """One dependency that is away for `lasts` seconds; a start dies of that after `dies` seconds."""

    began: float
    lasts: float
    dies: float


class Policy(Protocol):
    """Says when the next start comes."""

    def ended(self, at: float, lived: float) -> float | None:
        """It ended at this time after so many seconds; the time of the next start, None for never again."""

    def woken(self, at: float, due: float) -> float:
        """The cause is known to be gone; when to start now."""


class Delays:
    """A policy that is a delay: growing, capped, forgiven after a while, limited in number.

    Args:
        first: Seconds before the first restart.
        factor: By which it grows each time.
        cap: At most so much.
        forgiven: A life so long starts it all over.
        most: So many restarts in a row, or within `window` seconds, then never again.
        window: See `most`; None counts in a row.
    """

    def __init__(
        self,
        first: float,
        *,
        factor: float = 1.0,
        cap: float = float("inf"),
        forgiven: float = float("inf"),
        most: int | None = None,
        window: float | None = None,
    ) -> None:
        self._first, self._factor, self._cap, self._forgiven = first, factor, cap, forgiven
        self._most, self._window = most, window
        self._delay = first
        self._starts: list[float] = []

    def ended(self, at: float, lived: float) -> float | None:
        """The next start."""
        if lived >= self._forgiven:
            self._delay = self._first
            self._starts = [] if self._window is None else self._starts
        due = at + self._delay
        self._delay = min(self._cap, self._delay * self._factor)
        counted = self._starts if self._window is None else [t for t in self._starts if due - t < self._window]
        if self._most is not None and len(counted) >= self._most:
            return None
        self._starts = [*counted, due]
        return due

    def woken(self, at: float, due: float) -> float:  # noqa: ARG002  (the others do not listen)
        """Nobody tells them."""
        return due


class Regrow:
    """The governor as it is."""

    def __init__(self) -> None:
        self.state = governing.Governor()

    def ended(self, at: float, lived: float) -> float | None:
        """The next start."""
        g = self.state
        if lived >= BOOT:
            g = governing.became_ready(g, at - lived + (BOOT if lived < LIVED else 0.0))
        cpu = CPU * min(1.0, lived / BOOT)
        g = governing.failed(g, at, cpu=cpu)
        self.state = governing.booked(g, max(at, g.not_before), "it died")
        return max(at, g.not_before)

    def woken(self, at: float, due: float) -> float:
        """A changed cause ends any wait."""
        self.state = governing.woken(self.state, at)
        return min(due, max(at, self.state.not_before))


POLICIES: dict[str, Callable[[], Policy]] = {
    "systemd default (0.1 s)": lambda: Delays(0.1, most=5, window=10.0),
    "OpenClaw's unit (5 s, 5 in 60 s)": lambda: Delays(5.0, most=5, window=60.0),
    "supervisord": lambda: Delays(1.0),
    "pm2 exponential": lambda: Delays(0.1, factor=1.5, cap=15.0, forgiven=30.0),
    "runit": lambda: Delays(0.0),
    "docker": lambda: Delays(0.1, factor=2.0, cap=60.0, forgiven=10.0),
    "kubernetes": lambda: Delays(10.0, factor=2.0, cap=300.0, forgiven=600.0),
    "ClawX (10 tries)": lambda: Delays(1.0, factor=2.0, cap=30.0, forgiven=BOOT, most=10),
    "regrow": Regrow,
}


class Tally(NamedTuple):
    """What one policy came to: starts per outage hour, seconds to be back (None: never)."""

    starts: float
    back: list[float | None]

    @property
    def lost(self) -> float:
        """Share of outages it never came back from."""
        return sum(seconds is None for seconds in self.back) / len(self.back)

    def back_within(self, share: float) -> float:
        """Seconds within which so large a share of those that came back did."""
        came = sorted(seconds for seconds in self.back if seconds is not None)
        return came[min(len(came) - 1, int(len(came) * share))] if came else float("nan")

    @property
    def median(self) -> float:
        """Of those that came back."""
        return self.back_within(0.5)


def outages(count: int, seed: int) -> list[Outage]:
    """The same outages for everybody."""
    luck = random.Random(seed)
    return [
        Outage(luck.uniform(1e9, 2e9), luck.uniform(300.0, 3 * 3600.0), luck.uniform(2.0, 30.0)) for _ in range(count)
    ]


def suffer(policy: Policy, outage: Outage, *, wake: bool = False) -> tuple[int, float | None]:
    """One outage under one policy.

    Args:
        policy: Fresh.
        outage: When, how long, how deadly.
        wake: The policy learns at once when the outage is over.

    Returns:
        Starts during the outage, and seconds from its end until it serves (None: never).
    """
    over = outage.began + outage.lasts
    starts = 0
    due = policy.ended(outage.began, LIVED)
    while due is not None:
        if wake and due > over:
            due = policy.woken(over, due)
        if due - over > ENOUGH:
            return starts, None
        starts += due < over
        if due + outage.dies >= over:
            # what asks for the dependency when it is back goes on
            return starts, due + max(BOOT, outage.dies if due < over else 0.0) - over
        due = policy.ended(due + outage.dies, outage.dies)
    return starts, None


def compare(make: Callable[[], Policy], sample: Iterable[Outage], *, wake: bool = False) -> Tally:
    """One policy through all outages."""
    sample = list(sample)
    results = [suffer(make(), outage, wake=wake) for outage in sample]
    hours = sum(outage.lasts for outage in sample) / 3600.0
    return Tally(sum(starts for starts, _ in results) / hours, [back for _, back in results])


def main() -> None:
    """Print the comparison as a table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    sample = outages(count, seed)
    print(f"{count} random outages (5 min to 3 h, death 2 to 30 s after the spawn, seed {seed})\n")
    print("| policy | starts per outage hour | back after the end: median / p95 | never back |")
    print("|---|---|---|---|")
    rows = [(name, compare(make, sample)) for name, make in POLICIES.items()]
    rows.append(("regrow, told that the cause is gone", compare(Regrow, sample, wake=True)))
    for name, tally in rows:
        back = f"{tally.median:.0f} s / {tally.back_within(0.95):.0f} s"
        print(f"| {name} | {tally.starts:.0f} | {back} | {tally.lost:.0%} |")


if __name__ == "__main__":
    main()
