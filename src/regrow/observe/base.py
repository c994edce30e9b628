"""What an observer is: it looks, posts facts and changes nothing; and the poller that logs only edges."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from regrow.model.errors import RegrowError
from regrow.model.facts import AnyFact

Post = Callable[[AnyFact], None]


class Observer(Protocol):
    """Something that watches for as long as it runs."""

    async def run(self) -> None:
        """Watch until cancelled."""


class Now(Protocol):
    """What a clock must tell: epoch seconds that never go back."""

    def now(self) -> float:
        """The time."""


class Poller:
    """Looks again and again. The first failure of a row is logged, and its end; nothing in between.

    Args:
        name: What is looked at, for the log.
        look: One look.
        every: Seconds from the end of one look to the next.
    """

    def __init__(self, name: str, look: Callable[[], Awaitable[None]], every: float) -> None:
        self.failures = 0
        self._name = name
        self._look = look
        self._every = every
        self._awake = asyncio.Event()
        self._log = structlog.get_logger("regrow.observe")

    def nudge(self) -> None:
        """Look now."""
        self._awake.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.once()
            await pause(self._awake, self._every)

    async def once(self) -> bool:
        """One look. False if it failed."""
        try:
            await self._look()
        except (OSError, ValueError, RegrowError) as error:
            self.failures += 1
            if self.failures == 1:
                self._log.warning("cannot look", what=self._name, why=str(error) or type(error).__name__)
            return False
        if self.failures:
            self._log.info("can look again", what=self._name, failures=self.failures)
            self.failures = 0
        return True


async def pause(awake: asyncio.Event, seconds: float) -> bool:
    """Wait, but not longer than until `awake` is set, which is cleared. True if it was."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await awake.wait()
    except TimeoutError:
        return False
    awake.clear()
    return True
