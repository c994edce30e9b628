"""regrow is killed at every step of a start, a restart and a replacement; the next regrow makes it right."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rig.kept import keeping, settings
from rig.mortal import mortal
from rig.programs import ChildProgram

pytestmark = pytest.mark.usefixtures("no_leaks")

START = [
    "fact:started",
    "plan:start",
    "say:action:intended:start",
    "child",
    "fact:child-started",
    "say:action:done:start",
]
BOOT = ["fact:output-seen", "fact:link-up", "say:gateway:ready", "fact:config-kept"]
IN_PLACE = [
    "plan:restart-in-place", "say:action:intended:restart-in-place", "say:action:done:restart-in-place",
    "fact:restart-announced", "fact:link-down", "fact:link-up#2", "say:gateway:ready#2",
]  # fmt: skip
FULL = [
    "plan:terminate", "say:action:intended:terminate", "say:action:done:terminate", "fact:child-exited",
    "plan:start#2", "say:action:intended:start#2", "child#2", "fact:child-started#2", "say:action:done:start#2",
    "say:gateway:ready#2",
]  # fmt: skip
CRASH = [
    "fact:child-exited", "plan:start#2", "say:action:intended:start#2", "child#2", "fact:child-started#2",
    "say:gateway:ready#2",
]  # fmt: skip


async def next_life(program: ChildProgram, folder: Path, step: str, before: list[str]) -> None:
    """Whatever was going on: one gateway lives and serves, what is unknown is told, nothing is done twice."""
    lived, boots = program.pids(), len(program.boots())
    assert len(lived) <= 1
    async with keeping(settings(program, folder)) as kept:
        await kept.until(lambda: kept.status["gatewayReady"] and len(program.pids()) == 1)
        assert kept.pid == program.pids()[0]
        intended = {name.rpartition(":")[2] for name in before if name.startswith("say:action:intended:")}
        told = {said["action"]["action"] for said in kept.all("intent:open")}
        # once the child is told, its outcome may or may not have reached the disk
        killed_in_the_act = step.startswith(("say:action:intended:", "child"))
        assert told <= intended
        if killed_in_the_act:
            assert told == {before[-1].rpartition(":")[2]} if ":action:" in before[-1] else len(told) == 1
        fresh = [boot["pid"] for boot in program.boots()[boots:] if boot["pid"] not in lived]
        if lived and not any(name.startswith("say:action:done:terminate") for name in before):
            # what lives is taken over as it is: neither started anew nor told again what it may have been told
            assert kept.pid == lived[0]
            assert fresh == []
            assert [action for action in kept.done() if action != "start"] == []
        else:
            assert len(fresh) <= 1
    assert program.pids() == []


@pytest.mark.parametrize("step", START + BOOT)
async def test_killed_while_it_starts_a_gateway(child_program: ChildProgram, folder: Path, step: str) -> None:
    async with mortal(child_program, folder, kill=step) as keeper:
        assert await keeper.ended() == -signal.SIGKILL
        before = keeper.names
    assert before[-1] == step
    await next_life(child_program, folder, step, before)


@pytest.mark.parametrize("step", IN_PLACE)
async def test_killed_while_it_restarts_a_gateway_in_place(
    child_program: ChildProgram, folder: Path, step: str
) -> None:
    async with mortal(child_program, folder, kill=step) as keeper:
        await keeper.step("say:gateway:ready")
        answers = await keeper.ask("restart")
        assert [a["state"] for a in answers] in (["queued"], []), "whoever asked is not told that it was done"
        assert await keeper.ended() == -signal.SIGKILL
        before = keeper.names
    await next_life(child_program, folder, step.partition("#")[0], before)


@pytest.mark.parametrize("step", FULL)
async def test_killed_while_it_replaces_a_gateway(child_program: ChildProgram, folder: Path, step: str) -> None:
    child_program.script({"term_takes": 0.1})
    async with mortal(child_program, folder, kill=step) as keeper:
        await keeper.step("say:gateway:ready")
        await keeper.ask("restart", subject="full")
        assert await keeper.ended() == -signal.SIGKILL
        before = keeper.names
    await next_life(child_program, folder, step.partition("#")[0], before)


@pytest.mark.parametrize("step", CRASH)
async def test_killed_while_it_replaces_a_crashed_gateway(child_program: ChildProgram, folder: Path, step: str) -> None:
    async with mortal(child_program, folder, kill=step) as keeper:
        await keeper.step("say:gateway:ready")
        os.kill(child_program.pids()[0], signal.SIGKILL)
        assert await keeper.ended() == -signal.SIGKILL
        before = keeper.names
    await next_life(child_program, folder, step.partition("#")[0], before)


async def test_what_was_left_undone_is_told_once(child_program: ChildProgram, folder: Path) -> None:
    async with mortal(child_program, folder, kill="say:action:intended:start") as keeper:
        assert await keeper.ended() == -signal.SIGKILL
    for count in (1, 0):
        async with keeping(settings(child_program, folder)) as kept:
            await kept.ready()
            assert len(kept.all("intent:open")) == count


async def test_a_gateway_that_dies_while_nobody_looks_is_replaced_by_the_next_life(
    child_program: ChildProgram, folder: Path
) -> None:
    async with mortal(child_program, folder) as keeper:
        await keeper.step("say:gateway:ready")
        keeper.signal(signal.SIGKILL)
        await keeper.ended()
    os.kill(child_program.pids()[0], signal.SIGKILL)
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        assert len(child_program.boots()) == 2


async def test_the_same_gateway_is_taken_over_by_life_after_life(child_program: ChildProgram, folder: Path) -> None:
    async with mortal(child_program, folder) as keeper:
        await keeper.step("say:gateway:ready")
        pid = (await keeper.status())["pid"]
        boot = (await keeper.status())["bootId"]
        keeper.signal(signal.SIGKILL)
        await keeper.ended()
    for _ in range(2):
        async with keeping(settings(child_program, folder, regrow_leave_running=True)) as kept:
            await kept.ready()
            assert (kept.pid, kept.status["bootId"]) == (pid, boot)
            assert (kept.status["mode"], kept.status["owner"]) == ("own", "ours")
            assert kept.done() == []
        assert child_program.pids() == [pid]
    assert len(child_program.boots()) == 1


async def test_failures_of_an_earlier_life_are_not_forgotten(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"exit_code": 1, "last_words": ["Error: Cannot find module 'left-pad'"]})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.told_of("status", phase="quarantine")
        before = kept.daemon.mind.state.domains["liveness"].governor
        boots = len(child_program.boots())
    async with keeping(settings(child_program, folder)) as later:
        await later.until(lambda: later.status["owner"] == "none" and later.daemon.mind.view().config is not None)
        await later.until(lambda: later.status["phase"] == "quarantine")
        after = later.daemon.mind.state.domains["liveness"].governor
        assert (after.level, after.quarantined, after.same) == (before.level, True, before.same)
        assert later.status["restarts"]["pendingUntil"] is not None
        assert len(child_program.boots()) == boots, "it is no way around the wait to restart regrow"
