"""Before a process is ended, what can still be seen of it is kept, privately and in bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from act.rigging import Stage
from regrow.act import child, evidence
from regrow.model.actions import Capture, Start
from regrow.model.errors import Refused
from regrow.model.gateway import Process
from rig.programs import ChildProgram

LOOK = Capture(reason="it hangs")


async def test_it_is_kept_and_told_without_secrets(
    child_program: ChildProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "KEEP", 2)
    child_program.script({"says": ["using apiKey=sk-abcdefgh12345678"]})
    stage = Stage(child_program, tmp_path / "regrow")
    await child.start(stage.world, Start(reason="x"))
    await child_program.wait_listening()
    verdict = await evidence.capture(stage.world, LOOK)
    assert verdict.result == "done"
    [file] = (tmp_path / "regrow" / "evidence").glob("*.json")
    assert file.stat().st_mode & 0o077 == 0
    seen = json.loads(file.read_text())
    assert seen["process"]["pid"] == stage.children[0].process.pid
    assert seen["process"]["state"] in "RSD"
    assert seen["process"]["fds"] > 0
    assert seen["process"]["threads"]
    assert any("using apiKey" in line for line in seen["last"])
    assert "sk-abcdefgh" not in file.read_text()
    assert stage.said[-1][0] == "evidence"
    for number in range(4):
        (file.parent / f"{number}-1.json").write_text("{}")
    await evidence.capture(stage.world, LOOK)
    assert len(list(file.parent.glob("*.json"))) == 2


async def test_nothing_is_kept_of_strangers_and_the_dead(tmp_path: Path) -> None:
    stage = Stage(None, tmp_path / "regrow", state_dir=tmp_path, config_path=tmp_path / "openclaw.json")
    with pytest.raises(Refused):
        await evidence.capture(stage.world, LOOK)
    stage.believe(process=Process(pid=1, started=1))
    with pytest.raises(Refused):
        await evidence.capture(stage.world, LOOK)
