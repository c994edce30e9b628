"""A gateway that a service manager owns is started and stopped through it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from act.rigging import Stage
from regrow.act import child, service
from regrow.host.child import spawn
from regrow.host.services import Unit
from regrow.model.actions import Kill, Start, Terminate
from regrow.model.errors import Fatal, Refused
from regrow.model.facts import ChildStarted
from regrow.model.gateway import Mode
from rig.programs import ChildProgram

UNIT = Unit("openclaw-gateway.service", "systemd-user")
MANAGER = """#!{python} -S
import os, signal, sys
from pathlib import Path
folder = Path({folder!r})
with (folder / "asked").open("a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
refuse = folder / "refuse"
if refuse.exists():
    sys.exit("Unit not found.")
if "show" in sys.argv:
    pid = (folder / "pid").read_text() if (folder / "pid").exists() else "0"
    state = (folder / "state").read_text() if (folder / "state").exists() else "active"
    print(f"MainPID={{pid}}\\nActiveState={{state}}")
elif "stop" in sys.argv:
    os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
"""


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that says what the manager answers and was asked."""
    folder = tmp_path / "manager"
    folder.mkdir()
    program = folder / "systemctl"
    program.write_text(MANAGER.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def stage(child_program: ChildProgram, tmp_path: Path) -> Stage:
    made = Stage(child_program, tmp_path / "regrow", unit=UNIT)
    made.believe(mode=Mode.SERVICE)
    return made


async def test_start_and_stop_go_through_the_manager(stage: Stage, child_program: ChildProgram, manager: Path) -> None:
    theirs = spawn(child_program.argv, child_program.env, child_program.root, None)
    (manager / "pid").write_text(str(theirs.process.pid))
    verdict = await child.start(stage.world, Start(reason="x", epoch=2))
    assert verdict.result == "done"
    [fact] = stage.posted(ChildStarted)
    assert (fact.process, fact.epoch, fact.adopted) == (theirs.process, 2, False)
    await child_program.wait_listening()
    assert (await child.terminate(stage.world, Terminate(process=theirs.process, reason="x"))).result == "done"
    assert await theirs.wait() == 0
    asked = (manager / "asked").read_text().splitlines()
    assert asked[0] == f"--user --no-block start {UNIT.name}"
    assert asked[-1] == f"--user --no-block stop {UNIT.name}"


async def test_a_new_life_is_waited_for(stage: Stage, child_program: ChildProgram, manager: Path) -> None:
    first = spawn(child_program.argv, child_program.env, child_program.root, None)
    (manager / "pid").write_text(str(first.process.pid))
    assert await service.wait_main_process(UNIT, 5) == first.process
    with pytest.raises(Exception, match=r"no process 0\.2 s after"):
        await service.wait_main_process(UNIT, 0.2, other_than=first.process)
    child_program.end_all()
    await first.wait()


async def test_what_the_manager_says_no_to_is_told(stage: Stage, manager: Path) -> None:
    (manager / "refuse").touch()
    with pytest.raises(Fatal, match=r"would not start openclaw-gateway\.service.*Unit not found"):
        await child.start(stage.world, Start(reason="x"))


async def test_a_failed_unit_is_not_waited_for(stage: Stage, manager: Path) -> None:
    (manager / "state").write_text("failed")
    with pytest.raises(Fatal, match=r"journalctl --user -u openclaw-gateway\.service"):
        await child.start(stage.world, Start(reason="x"))


async def test_what_is_not_the_unit_is_not_stopped(stage: Stage, manager: Path) -> None:
    me = __import__("regrow.host.process", fromlist=["identify"]).identify(os.getpid())
    with pytest.raises(Refused):
        await child.terminate(stage.world, Terminate(process=me, reason="x"))
    with pytest.raises(Refused):
        await child.kill(stage.world, Kill(process=me, reason="x"))
    assert not (manager / "asked").exists()


async def test_nothing_is_spawned_beside_a_service(stage: Stage, child_program: ChildProgram, manager: Path) -> None:
    stage.believe(mode=Mode.OWN)  # nobody runs, so nobody sees whose it was
    (manager / "state").write_text("failed")
    with pytest.raises(Fatal):
        await child.start(stage.world, Start(reason="x"))
    stage.believe(mode=Mode.SERVICE)
    stage.world.unit = None
    with pytest.raises(Fatal, match="service is not known"):
        await child.start(stage.world, Start(reason="x"))
    assert child_program.boots() == []
