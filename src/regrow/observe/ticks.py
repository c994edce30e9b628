"""The passing of time as a fact: every second, with how late our own loop was and whether the host slept."""

from __future__ import annotations

import asyncio
from collections import deque

from regrow.host.clock import Clock
from regrow.model.facts import Tick
from regrow.observe.base import Post

EVERY = 1.0
SPAN = 10  # ticks: the worst lateness of so many is what is told
_NAP = 0.5  # the two clocks are read one after the other: less than this between them is no sleep


class Ticks:
    """Posts a Tick every second.

    Args:
        post: Takes the facts.
        clock: Tells the time and the seconds the host was suspended.
        every: Seconds between two ticks.
    """

    def __init__(self, post: Post, clock: Clock, *, every: float = EVERY) -> None:
        self._post = post
        self._clock = clock
        self._every = every
        self._late: deque[float] = deque(maxlen=SPAN)

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        slept = self._clock.slept()
        while True:
            due = loop.time() + self._every
            await asyncio.sleep(self._every)
            self._late.append(max(0.0, loop.time() - due))
            total = self._clock.slept()
            nap = max(0.0, total - slept)
            slept = total
            self._post(Tick(at=self._clock.now(), lag=round(max(self._late), 4), slept=nap if nap >= _NAP else 0.0))
