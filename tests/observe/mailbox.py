"""What observers under test are given: a box for their facts, a clock, and a place to run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from regrow.host.clock import Clock
from regrow.model.facts import AnyFact

F = TypeVar("F")


class Box:
    """Keeps every fact; tests wait for the one they expect."""

    def __init__(self) -> None:
        self.facts: list[AnyFact] = []
        self.clock = Clock()
        self._waiting: set[asyncio.Event] = set()

    def post(self, fact: AnyFact) -> None:
        self.facts.append(fact)
        for event in self._waiting:
            event.set()

    def of(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def wait(
        self, kind: type[F], fits: Callable[[F], Any] = lambda _: True, *, after: int = 0, within: float = 15
    ) -> F:
        """The first fact of a kind that fits, beyond the first `after` of that kind."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(within):
                while True:
                    for fact in self.of(kind)[after:]:
                        if fits(fact):
                            return fact
                    event.clear()
                    await event.wait()
        finally:
            self._waiting.discard(event)


@contextlib.asynccontextmanager
async def running(observer: Any) -> AsyncIterator[None]:
    """Run an observer while the block lasts."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(observer.run())
        try:
            yield
        finally:
            task.cancel()
