"""Journals in a directory of their own, and a clock that a test turns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from regrow.record.journal import Journal
from regrow.record.log import forget_secrets


class HandClock:
    """Epoch seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> HandClock:
    """The clock of the journals of this test."""
    return HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of this test lies."""
    return tmp_path / "state" / "journal.db"


@pytest.fixture
async def opened(path: Path, clock: HandClock) -> AsyncIterator[Callable[[], Awaitable[Journal]]]:
    """Opens the journal; what a test leaves open is closed after it."""
    journals: list[Journal] = []

    async def opened(where: Path = path) -> Journal:
        journal = await Journal.open(where, clock=clock)
        journals.append(journal)
        return journal

    yield opened
    for journal in journals:
        await journal.close()


@pytest.fixture(autouse=True)
def no_secrets() -> None:
    """No secret of another test is known."""
    forget_secrets()
