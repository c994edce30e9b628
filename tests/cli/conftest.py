"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rig.keeper import StubKeeper, serving
from rig.shell import Shell, shell

__all__ = ["shell"]


@pytest.fixture
async def keeper(shell: Shell) -> AsyncIterator[StubKeeper]:
    """A keeper that answers where `shell` looks for it."""
    stub = StubKeeper()
    async with serving(shell.socket(), stub):
        yield stub
