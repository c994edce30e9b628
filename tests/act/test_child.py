"""A gateway is started, ended, woken and taken over, and nothing else is ever signalled."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from act.rigging import Stage
from regrow.act import child
from regrow.host.lives import forget, living, recall
from regrow.host.process import alive, identify, look
from regrow.model.actions import Continue, Kill, Start, Terminate
from regrow.model.facts import ChildStarted
from rig.programs import ChildProgram


async def test_a_start_spawns_tells_and_notes(child_program: ChildProgram, tmp_path: Path) -> None:
    stage = Stage(child_program, tmp_path / "regrow")
    verdict = await child.start(stage.world, Start(reason="test", epoch=3))
    assert verdict.result == "done"
    [started] = stage.posted(ChildStarted)
    assert started.process == stage.children[0].process
    assert (started.port, started.epoch, started.adopted) == (child_program.port, 3, False)
    await child_program.wait_listening()
    boot = child_program.boots()[0]
    assert boot["pid"] == started.process.pid
    assert child_program.token not in json.dumps(boot["argv"])
    life = living(tmp_path / "regrow")
    assert life is not None
    assert life.process == started.process
    assert life.token == child_program.token
    assert (tmp_path / "regrow" / "gateway.life.json").stat().st_mode & 0o077 == 0
