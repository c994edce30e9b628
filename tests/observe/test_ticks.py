"""Time as a fact."""

from __future__ import annotations

import time

from observe.mailbox import Box, running
from regrow.host.clock import Clock
from regrow.model.facts import Tick
from regrow.observe.ticks import SPAN, Ticks


async def test_it_ticks_and_the_times_grow() -> None:
    box = Box()
    async with running(Ticks(box.post, box.clock, every=0.01)):
        await box.wait(Tick, after=2)
    times = [tick.at for tick in box.of(Tick)]
    assert times == sorted(times)
    assert all(tick.slept == 0.0 for tick in box.of(Tick))


async def test_a_late_loop_is_told_and_forgotten_after_a_while() -> None:
    box = Box()
    async with running(Ticks(box.post, box.clock, every=0.02)):
        await box.wait(Tick)
        _hold_up(0.3)
        late = await box.wait(Tick, lambda tick: tick.lag > 0.2)
        await box.wait(Tick, lambda tick: tick.lag < 0.2, after=box.of(Tick).index(late) + 1)
    told = sum(tick.lag > 0.2 for tick in box.of(Tick))
    assert told >= SPAN


async def test_the_host_slept() -> None:
    box = Box()
    asleep = 0.0
    clock = Clock(boot=lambda: time.monotonic() + asleep, awake=time.monotonic)
    async with running(Ticks(box.post, clock, every=0.01)):
        first = await box.wait(Tick)
        asleep = 3600.0
        woke = await box.wait(Tick, lambda tick: tick.slept > 0)
        after = await box.wait(Tick, after=box.of(Tick).index(woke) + 1)
    assert 3599 < woke.slept < 3601
    assert woke.at - first.at > 3599
    assert after.slept == 0.0


def _hold_up(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
