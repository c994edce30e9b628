"""The doctor works on a stopped gateway only, and what it breaks comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from act.rigging import Stage
from regrow.act import child, doctor, settings
from regrow.model.actions import Doctor, Start
from regrow.model.errors import Refused
from rig.programs import ChildProgram

HEAL = Doctor(reason="it does not boot")


@pytest.fixture
def stage(child_program: ChildProgram, tmp_path: Path) -> Stage:
    return Stage(child_program, tmp_path / "regrow")


def say(program: ChildProgram, script: str) -> None:
    """Have `openclaw doctor` run this instead."""
    entry = program.entry.read_text()
    program.entry.write_text(f"import sys\nif 'doctor' in sys.argv:\n    {script}\n    raise SystemExit(0)\n{entry}")


async def test_a_repair_is_done_told_and_can_be_undone(stage: Stage, child_program: ChildProgram) -> None:
    child_program.write_config({"gateway": {"mode": "local"}, "bogusKey": 1})
    verdict = await doctor.doctor(stage.world, HEAL)
    assert verdict.result == "done"
    assert '-  "bogusKey": 1' in verdict.detail
    assert "1 removed (bogusKey), 1 added (meta)" in verdict.detail
    assert json.loads(child_program.config_path.read_text())["meta"] == {"by": "doctor"}
    [kind, data] = stage.said[-1]
    assert kind == "config:doctored"
    assert (Path(data["undo"]) / "openclaw.json").read_text() == '{"gateway": {"mode": "local"}, "bogusKey": 1}'


async def test_what_removes_valid_settings_is_taken_back(stage: Stage, child_program: ChildProgram) -> None:
    config = {"gateway": {"mode": "local", "port": 1}, "channels": {"telegram": {"enabled": False}}, "bogusKey": 1}
    child_program.write_config(config)
    backup = child_program.state_dir / "openclaw.json.bak"
    backup.write_text("{}")
    say(child_program, f"open({str(backup)!r}, 'w').write('[]'); "
        f"open({str(child_program.config_path)!r}, 'w').write('{{\"gateway\": {{\"mode\": \"local\"}}}}')")  # fmt: skip
    verdict = await doctor.doctor(stage.world, HEAL)
    assert verdict.result == "failed"
    assert "gateway.port" in verdict.detail
    assert "channels.telegram.enabled" in verdict.detail
    assert "bogusKey" not in verdict.detail
    assert json.loads(child_program.config_path.read_text()) == config
    assert backup.read_text() == "{}"


async def test_what_does_not_help_is_taken_back(stage: Stage, child_program: ChildProgram) -> None:
    child_program.write_config({"gateway": {"mode": "local"}, "bogusKey": 1})
    say(child_program, f"open({str(child_program.config_path)!r}, 'w').write('{{\"bogus\": 2}}')")
    verdict = await doctor.doctor(stage.world, HEAL)
    assert verdict.result == "failed"
    assert json.loads(child_program.config_path.read_text()) == {"gateway": {"mode": "local"}, "bogusKey": 1}


async def test_one_that_does_not_end_is_ended(
    stage: Stage, child_program: ChildProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "WITHIN", 1.0)
    child_program.write_config({"gateway": {"mode": "local"}, "bogusKey": 1})
    say(child_program, "import time; time.sleep(600)")
    verdict = await doctor.doctor(stage.world, HEAL)
    assert verdict.result == "failed"
    assert "did not end within 1 s" in verdict.detail
    assert child_program.pids() == []


async def test_nothing_is_done_while_a_gateway_runs(stage: Stage, child_program: ChildProgram) -> None:
    await child.start(stage.world, Start(reason="x"))
    await child_program.wait_listening()
    with pytest.raises(Refused, match="regrow stop") as refused:
        await doctor.doctor(stage.world, HEAL)
    assert refused.value.by == "running"


async def test_doing_nothing_is_not_called_a_loss(stage: Stage, child_program: ChildProgram) -> None:
    child_program.write_config("{broken")
    settings.store(stage.world).keep(b'{"gateway": {"mode": "local"}}', "2026.9.6")
    say(child_program, "pass")
    verdict = await doctor.doctor(stage.world, HEAL)
    assert "did not help" in verdict.detail
    assert "as it was" in verdict.detail
    assert "removed" not in verdict.detail


async def test_an_unparsable_file_is_compared_with_what_was_served(stage: Stage, child_program: ChildProgram) -> None:
    served = {"gateway": {"mode": "local", "port": 5}}
    settings.store(stage.world).keep(json.dumps(served).encode(), "2026.9.6")
    child_program.write_config("{broken")
    verdict = await doctor.doctor(stage.world, HEAL)
    assert verdict.result == "failed"
    assert "gateway.port" in verdict.detail
    assert child_program.config_path.read_text() == "{broken"


async def test_explaining_changes_nothing_and_offers_what_there_is(stage: Stage, child_program: ChildProgram) -> None:
    kept = settings.store(stage.world).keep(b'{"gateway": {"mode": "local"}}', "2026.9.6")
    settings.store(stage.world).keep(b'{"gateway": {"mode": "old"}}', "2026.4.29")
    child_program.write_config({"gateway": {"mode": "local"}, "bogusKey": 1})
    before = child_program.config_path.read_bytes()
    said = await doctor.explain_doctor(stage.world)
    assert said.valid is False
    assert said.problems == ('(file): Unrecognized key: "bogusKey"',)
    assert said.doctor == "openclaw doctor --fix --yes --non-interactive"
    assert said.blocked == ""
    [(copy, diff)] = said.copies
    assert copy.digest == kept.digest
    assert '-  "bogusKey": 1' in diff
    assert child_program.config_path.read_bytes() == before
    assert not (stage.world.folder / "undo").exists()
