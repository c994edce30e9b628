"""A gateway's life under a keeper: started, crashed, replaced, stopped, started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from rig.kept import keeping, settings
from rig.programs import ChildProgram

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_it_is_started_proven_and_ended_with_the_keeper(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        assert kept.status["gatewayReady"]
        assert child_program.pids() == [kept.pid]
    assert kept.code == 0
    assert child_program.pids() == []
    assert kept.done() == ["start", "terminate"]
