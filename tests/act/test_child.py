"""A gateway is started, ended, woken and taken over, and nothing else is ever signalled."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from act.rigging import Stage
from regrow.act import child
from regrow.host.child import spawn
from regrow.host.lives import FILE, Life, living, recall, remember
from regrow.host.process import alive, identify, look
from regrow.model.actions import Continue, Kill, Revive, Start, Terminate
from regrow.model.errors import Fatal, Refused, Retryable
from regrow.model.facts import ChildExited, ChildStarted
from regrow.model.gateway import Mode, Process
from rig.programs import ChildProgram

START = Start(reason="test", epoch=1)


@pytest.fixture
def stage(child_program: ChildProgram, tmp_path: Path) -> Stage:
    return Stage(child_program, tmp_path / "regrow")


@pytest.fixture
def stranger() -> Iterator[Process]:
    """Somebody else's process."""
    popen = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process = identify(popen.pid)
    assert process is not None
    yield process
    popen.kill()
    popen.wait()


async def running(stage: Stage, program: ChildProgram) -> Process:
    await child.start(stage.world, START)
    await program.wait_listening()
    return stage.children[-1].process


async def test_a_start_spawns_tells_and_notes(stage: Stage, child_program: ChildProgram) -> None:
    verdict = await child.start(stage.world, Start(reason="test", epoch=3))
    assert verdict.result == "done"
    [started] = stage.posted(ChildStarted)
    assert started.process == stage.children[0].process
    assert (started.port, started.epoch, started.adopted) == (child_program.port, 3, False)
    await child_program.wait_listening()
    boot = child_program.boots()[0]
    assert boot["pid"] == started.process.pid
    assert child_program.token not in json.dumps(boot["argv"])
    life = living(stage.world.folder)
    assert life is not None
    assert life.process == started.process
    assert life.token == child_program.token
    assert (stage.world.folder / FILE).stat().st_mode & 0o077 == 0


async def test_a_second_start_is_refused_while_the_first_lives(stage: Stage, child_program: ChildProgram) -> None:
    await running(stage, child_program)
    with pytest.raises(Refused, match="still runs") as refused:
        await child.start(stage.world, START)
    assert refused.value.by == "owner"
    assert len(child_program.pids()) == 1


async def test_a_gateway_that_holds_the_state_directory_is_not_joined_by_another(
    stage: Stage, child_program: ChildProgram, tmp_path: Path
) -> None:
    await running(stage, child_program)
    other = Stage(child_program, tmp_path / "other")
    with pytest.raises(Refused, match="runs already") as refused:
        await child.start(other.world, START)
    assert refused.value.by == "owner"
    assert len(child_program.boots()) == 1


async def test_a_taken_port_is_named_and_left_alone(stage: Stage, child_program: ChildProgram) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", child_program.port))
        taken.listen()
        with pytest.raises(Refused, match=f"port {child_program.port} is taken by process {os.getpid()}") as refused:
            await child.start(stage.world, START)
    assert refused.value.by == "port"
    assert child_program.boots() == []
    assert (await child.start(stage.world, START)).result == "done", "free again: it starts"


async def test_an_attached_gateway_is_never_started_or_signalled(stage: Stage, child_program: ChildProgram) -> None:
    process = await running(stage, child_program)
    stage.believe(mode=Mode.ATTACH)
    for attempt in (
        child.start(stage.world, START),
        child.terminate(stage.world, Terminate(process=process, reason="x")),
        child.kill(stage.world, Kill(process=process, reason="x")),
    ):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.by == "owner"
    assert alive(process)


async def test_a_port_and_a_token_are_made_once_and_kept(child_program: ChildProgram, tmp_path: Path) -> None:
    stage = Stage(child_program, tmp_path / "regrow", port=None, token=None, fresh_token=True)
    await child.start(stage.world, START)
    first, token = stage.posted(ChildStarted)[0], stage.world.token
    assert token
    assert token not in repr(await stage.world.launch())
    child_program.end_all()
    await stage.children[0].wait()
    await child.start(stage.world, START)
    assert stage.posted(ChildStarted)[1].port == first.port
    assert stage.world.token == token
    child_program.end_all()
    await stage.children[1].wait()
    later = Stage(child_program, tmp_path / "regrow", port=None, token=None, fresh_token=True)
    assert (await later.world.launch()).port == first.port, "programs may have noted it"


async def test_a_missing_program_is_said_clearly(stage: Stage, child_program: ChildProgram) -> None:
    await stage.world.launch()
    child_program.node.unlink()
    with pytest.raises(Fatal, match="check that Node"):
        await child.start(stage.world, START)


async def test_a_replaced_package_is_looked_at_again(stage: Stage, child_program: ChildProgram) -> None:
    before = await stage.world.launch()
    assert await stage.world.launch() is before, "worked out once"
    package = child_program.entry.parent / "package.json"
    package.write_text(package.read_text().replace("2026.9.6", "2026.9.7"))
    assert (await stage.world.installation()).version == "2026.9.7"
    assert await stage.world.launch() is not before


async def test_terminate_ends_it_in_good_order(stage: Stage, child_program: ChildProgram) -> None:
    process = await running(stage, child_program)
    assert (await child.terminate(stage.world, Terminate(process=process, reason="x"))).result == "done"
    assert await stage.children[0].wait() == 0
    again = await child.terminate(stage.world, Terminate(process=process, reason="x"))
    assert again.result == "done"
    assert "had ended already" in again.detail


async def test_kill_takes_what_it_had_started_along(stage: Stage, child_program: ChildProgram) -> None:
    child_program.script({"child": True, "ignore_term": True})
    process = await running(stage, child_program)
    from regrow.host.process import tree

    family = tree(process)
    assert family
    assert (await child.kill(stage.world, Kill(process=process, reason="x"))).result == "done"
    assert await stage.children[0].wait() == -9
    async with asyncio.timeout(5):
        while any(alive(one) for one in family):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("effect", [child.terminate, child.kill, child.let_continue, child.revive])
async def test_a_stranger_is_never_signalled(stage: Stage, stranger: Process, effect: Callable[..., object]) -> None:
    kinds = {
        child.terminate: Terminate, child.kill: Kill, child.let_continue: Continue, child.revive: Revive,
    }  # fmt: skip
    stage.believe(version="2026.9.6")
    with pytest.raises(Refused) as refused:
        await effect(stage.world, kinds[effect](process=stranger, reason="x"))  # type: ignore[misc]
    assert refused.value.by in ("identity", "version")
    assert alive(stranger)
    state = look(stranger)
    assert state is not None
    assert state[0] in "RS"


async def test_what_a_gateway_starts_inherits_its_environment_and_is_no_gateway(
    stage: Stage, child_program: ChildProgram
) -> None:
    env = {**os.environ, "OPENCLAW_STATE_DIR": str(child_program.state_dir)}
    tool = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=env)
    try:
        process = identify(tool.pid)
        assert process is not None
        with pytest.raises(Refused, match="not proven"):
            await child.terminate(stage.world, Terminate(process=process, reason="x"))
        assert alive(process)
    finally:
        tool.kill()
        tool.wait()


async def test_another_life_of_the_same_pid_is_another_process(stage: Stage, child_program: ChildProgram) -> None:
    process = await running(stage, child_program)
    older = Process(pid=process.pid, started=process.started - 100)
    verdict = await child.kill(stage.world, Kill(process=older, reason="x"))
    assert "had ended already" in verdict.detail
    assert stage.posted(ChildExited)[0].process == older
    assert alive(process)


async def test_a_gateway_of_our_state_directory_is_proven_by_its_lock(
    stage: Stage, child_program: ChildProgram
) -> None:
    other = spawn(child_program.argv, child_program.env, child_program.root, None)  # not by us
    await child_program.wait_listening()
    assert (await child.terminate(stage.world, Terminate(process=other.process, reason="x"))).result == "done"
    assert await other.wait() == 0


async def test_a_gateway_of_another_state_directory_is_not_ours(
    stage: Stage, child_programs: Callable[..., ChildProgram]
) -> None:
    theirs = child_programs()
    other = spawn(theirs.argv, theirs.env, theirs.root, None)
    await theirs.wait_listening()
    with pytest.raises(Refused, match="not proven"):
        await child.terminate(stage.world, Terminate(process=other.process, reason="x"))
    assert alive(other.process)
    theirs.end_all()
    await other.wait()


async def test_a_stopped_gateway_continues(stage: Stage, child_program: ChildProgram) -> None:
    process = await running(stage, child_program)
    os.kill(process.pid, signal.SIGSTOP)
    async with asyncio.timeout(5):
        while (seen := look(process)) is not None and seen[0] != "T":
            await asyncio.sleep(0.01)
    assert (await child.let_continue(stage.world, Continue(process=process, reason="x"))).result == "done"
    assert await child_program.http("/healthz") == (200, {"ok": True, "status": "live"})


async def test_revive_uses_the_signal_of_the_running_version(stage: Stage, child_program: ChildProgram) -> None:
    child_program.script({"version": "2026.9.6"})
    process = await running(stage, child_program)
    assert (await child.revive(stage.world, Revive(process=process, reason="x"))).result == "done"
    async with asyncio.timeout(5):
        while not any("SIGUSR2" in line for line in stage.children[0].last()):
            await asyncio.sleep(0.01)
    assert not any("Debugger" in line for line in stage.children[0].last())


@pytest.mark.parametrize("version", ["", "2025.12.1", "2026.9.1", "2026.9.6-beta.1"])
async def test_no_signal_is_guessed(stage: Stage, child_program: ChildProgram, version: str) -> None:
    process = await running(stage, child_program)
    (stage.world.folder / FILE).unlink()
    stage.believe(version=version)
    with pytest.raises(Refused) as refused:
        await child.revive(stage.world, Revive(process=process, reason="x"))
    assert refused.value.by == "version"
    assert alive(process)


async def test_a_process_without_a_handler_is_not_sent_a_restart_signal(
    stage: Stage, child_program: ChildProgram
) -> None:
    child_program.script({"no_listener": True})  # Python without handlers: SIGUSR2 would end it
    await child.start(stage.world, START)
    await child_program.wait_boots(1)
    process = stage.children[0].process
    stage.believe(version="2026.9.6")
    with pytest.raises(Refused, match="no handler"):
        await child.revive(stage.world, Revive(process=process, reason="x"))
    assert alive(process)


async def test_a_later_life_of_ours_takes_it_over(stage: Stage, child_program: ChildProgram) -> None:
    process = await running(stage, child_program)
    stage.children[0].close()  # as if we had died
    later = Stage(child_program, stage.world.folder, port=None, token=None)
    life = living(later.world.folder)
    assert life is not None
    assert life.process == process
    child.take_over(later.world, process)
    [fact] = later.posted(ChildStarted)
    assert (fact.process, fact.port, fact.adopted) == (process, child_program.port, True)
    assert later.world.token == child_program.token
    assert later.world.port == child_program.port
    assert len(child_program.boots()) == 1, "without a restart"
    assert (await child.terminate(later.world, Terminate(process=process, reason="x"))).result == "done"
    await later.children[0].wait()
    os.waitpid(process.pid, 0)


async def test_it_is_found_even_if_we_died_between_the_spawn_and_the_note(
    stage: Stage, child_program: ChildProgram
) -> None:
    child_program.script({"child": True})
    process = await running(stage, child_program)
    noted = recall(stage.world.folder)
    assert noted is not None
    remember(stage.world.folder, Life(mark=noted.mark, port=noted.port, epoch=1))
    life = living(stage.world.folder)
    assert life is not None
    assert life.process == process, "the gateway, not what it started"


async def test_what_followed_the_noted_life_is_found_by_the_mark_that_was_noted_for_it(
    stage: Stage, child_program: ChildProgram
) -> None:
    first = await running(stage, child_program)
    noted = recall(stage.world.folder)
    assert noted is not None
    child_program.script({"child": True})
    os.kill(first.pid, signal.SIGKILL)
    await stage.children[0].wait()
    second = await running(stage, child_program)
    now = recall(stage.world.folder)
    assert now is not None
    assert now.mark == noted.next != now.next
    remember(stage.world.folder, noted)  # as if we had died before we knew the pid of the second
    later = Stage(child_program, stage.world.folder, port=None, token=None)
    life = living(stage.world.folder)
    assert life is not None
    assert (life.process, life.mark, life.epoch) == (second, now.mark, noted.epoch + 1)
    child.take_over(later.world, second)
    assert later.world.token == child_program.token
    child_program.end_all()
    await stage.children[1].wait()


async def test_another_port_or_token_is_noted_before_the_spawn(stage: Stage, child_program: ChildProgram) -> None:
    first = await running(stage, child_program)
    noted = recall(stage.world.folder)
    assert noted is not None
    os.kill(first.pid, signal.SIGKILL)
    await stage.children[0].wait()
    stage.world.know_token("another-token-of-this-gateway")
    await child.start(stage.world, START)
    now = recall(stage.world.folder)
    assert now is not None
    assert now.mark not in {noted.mark, noted.next}
    assert now.token == "another-token-of-this-gateway"
    child_program.end_all()
    await stage.children[1].wait()


async def test_a_stranger_is_not_taken_over(stage: Stage, stranger: Process) -> None:
    with pytest.raises(Refused, match="not proven"):
        child.take_over(stage.world, stranger, port=1)
    remember(stage.world.folder, Life(port=1, process=Process(pid=stranger.pid, started=1)))
    assert living(stage.world.folder) is None
    with pytest.raises((Refused, Retryable)):
        child.take_over(stage.world, Process(pid=stranger.pid, started=1))


async def test_a_damaged_note_is_no_note(stage: Stage) -> None:
    (stage.world.folder / FILE).write_bytes(b"{half")
    assert recall(stage.world.folder) is None
    assert living(stage.world.folder) is None


async def test_a_folder_that_cannot_be_written_does_not_keep_it_down(
    stage: Stage, child_program: ChildProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("regrow.act.world.remember", full)
    assert (await child.start(stage.world, START)).result == "done"
    assert stage.posted(ChildStarted)
    assert any("could not be noted" in data["what"] for kind, data in stage.said if kind == "trouble")


async def test_what_was_allowed_to_be_taken_over_is_noted_too(stage: Stage, child_program: ChildProgram) -> None:
    other = spawn(child_program.argv, child_program.env, child_program.root, None)
    await child_program.wait_listening()
    child.take_over(stage.world, other.process, port=child_program.port)
    life = living(stage.world.folder)
    assert life is not None
    assert (life.process, life.port) == (other.process, child_program.port)
    child_program.end_all()
    await other.wait()
