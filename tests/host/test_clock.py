"""The clock grows whatever happens to the host's clock, and knows how long the host slept."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.host.clock import Clock


class Sources:
    """A host whose three clocks a test moves."""

    def __init__(self) -> None:
        self.wall, self.boot, self.awake = 1_000_000.0, 500.0, 400.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall, boot=lambda: self.boot, awake=lambda: self.awake)


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
def test_setting_the_hosts_clock_changes_nothing(jump: float) -> None:
    host = Sources()
    clock = host.clock()
    host.wall += jump
    host.boot += 3
    host.awake += 3
    assert clock.now() == pytest.approx(1_000_003.0)
    assert clock.slept() == 0


def test_a_suspend_counts_and_is_reported_once() -> None:
    host = Sources()
    clock = host.clock()
    host.boot += 3605
    host.awake += 5
    assert clock.now() == pytest.approx(1_003_605.0)
    before = clock.slept()
    assert before == pytest.approx(3600)
    host.boot += 10
    host.awake += 4
    assert clock.slept(before) == pytest.approx(6)


@given(st.lists(st.floats(-1e6, 1e6), max_size=30))
def test_it_never_runs_backwards_even_if_its_source_does(steps: list[float]) -> None:
    host = Sources()
    clock = host.clock()
    last = clock.now()
    for step in steps:
        host.boot += step
        assert clock.now() >= last
        last = clock.now()
        assert clock.slept() >= 0


def test_the_real_one_starts_at_the_wall_time() -> None:
    clock = Clock()
    assert abs(clock.now() - time.time()) < 60
    assert clock.now() <= clock.now()
