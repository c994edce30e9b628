"""The scripted gateway process is a gateway as far as a supervisor can see."""

import asyncio
import signal
from pathlib import Path

from regrow.host.child import Child, spawn
from regrow.host.locks import owner
from rig.programs import ChildProgram


async def started(program: ChildProgram) -> Child:
    child = spawn(program.argv, program.env, program.root, program.root / "out.log")
    await program.wait_listening()
    return child


async def status(program: ChildProgram, path: str, wanted: int) -> None:
    async with asyncio.timeout(5):
        while (await program.http(path))[0] != wanted:
            await asyncio.sleep(0.02)


async def test_it_holds_its_lock_answers_and_ends(child_program: ChildProgram) -> None:
    child = await started(child_program)
    await status(child_program, "/startupz", 200)
    held = owner(child_program.state_dir)
    assert held is not None
    assert (held.process, held.port) == (child.process, child_program.port)
    tell(child, signal.SIGTERM)
    assert await child.wait() == 0
    assert owner(child_program.state_dir) is None


async def test_a_second_one_is_turned_away(child_program: ChildProgram, tmp_path: Path) -> None:
    await started(child_program)
    second = spawn(child_program.argv, child_program.env, child_program.root, tmp_path / "second.log")
    assert await second.wait() == 78


async def test_the_script_says_what_each_boot_does(child_program: ChildProgram) -> None:
    child_program.script({"exit_code": 3}, {"signal_after": 0.0}, {"before": 0.1, "boot": 0.1})
    codes = []
    for _ in range(2):
        child = spawn(child_program.argv, child_program.env, child_program.root, None)
        codes.append(await child.wait())
    assert codes == [3, -signal.SIGKILL]
    await started(child_program)
    await status(child_program, "/startupz", 200)
    assert len(child_program.boots()) == 3


async def test_an_invalid_configuration_ends_with_78_or_makes_a_zombie(child_program: ChildProgram) -> None:
    good = child_program.config_path.read_text()
    child = await started(child_program)
    await status(child_program, "/startupz", 200)
    child_program.write_config({"bogusKey": 1})
    tell(child, signal.SIGUSR2)
    async with asyncio.timeout(5):
        while "startup failed" not in (child_program.root / "out.log").read_text():
            await asyncio.sleep(0.02)
    assert await child_program.http("/healthz") == (0, None)
    assert not child.ended
    child_program.write_config(good)
    tell(child, signal.SIGUSR2)
    await status(child_program, "/startupz", 200)
    child_program.write_config({"bogusKey": 1})
    tell(child, signal.SIGTERM)
    assert await child.wait() == 0
    assert await spawn(child_program.argv, child_program.env, child_program.root, None).wait() == 78


async def test_it_may_hang_or_ignore(child_program: ChildProgram) -> None:
    child_program.script({"hang_after": 0.0}, {"ignore_term": True})
    child = await started(child_program)
    assert await child_program.http("/healthz", within=0.3) == (0, None)
    tell(child, signal.SIGKILL)
    await child.wait()
    child = await started(child_program)
    await status(child_program, "/startupz", 200)
    tell(child, signal.SIGTERM)
    await status(child_program, "/healthz", 200)
    assert not child.ended


def tell(child: Child, number: int) -> None:
    import os

    os.kill(child.process.pid, number)
