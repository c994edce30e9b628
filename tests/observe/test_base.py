"""The poller logs edges."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from regrow.model.errors import Fatal
from regrow.observe.base import Poller, pause


async def test_only_the_first_failure_and_the_recovery_are_logged() -> None:
    outcomes: list[Exception | None] = [
        None,
        OSError(24, "Too many open files"),
        Fatal("x"),
        ValueError("y"),
        None,
        None,
    ]

    async def look() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    poller = Poller("the thing", look, 1.0)
    with structlog.testing.capture_logs() as logs:
        results = [await poller.once() for _ in range(6)]
    assert results == [True, False, False, False, True, True]
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("cannot look", "warning"), ("can look again", "info"),
    ]  # fmt: skip
    assert logs[1]["failures"] == 3


async def test_a_bug_is_not_swallowed() -> None:
    async def look() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        await Poller("x", look, 1.0).once()


async def test_a_nudge_looks_at_once() -> None:
    looked = asyncio.Event()

    async def look() -> None:
        looked.set()

    poller = Poller("x", look, 3600.0)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(poller.run())
        await looked.wait()
        looked.clear()
        poller.nudge()
        await asyncio.wait_for(looked.wait(), 10)
        task.cancel()


async def test_a_pause_ends_by_itself_and_by_waking() -> None:
    awake = asyncio.Event()
    assert await pause(awake, 0.0) is False
    awake.set()
    assert await pause(awake, 3600.0) is True
    assert not awake.is_set()
