"""regrow as a process: signals, systemd, exit codes, its settings read again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rig.kept import PATIENCE, keeping, settings
from rig.mortal import mortal
from rig.programs import ChildProgram

pytestmark = pytest.mark.usefixtures("no_leaks")


@contextlib.asynccontextmanager
async def systemd(tmp_path: Path) -> AsyncIterator[tuple[str, asyncio.Queue[list[str]]]]:
    """The service manager's datagram socket and what it receives."""
    received: asyncio.Queue[list[str]] = asyncio.Queue()
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(manager, lambda: received.put_nowait(manager.recv(4096).decode().splitlines()))
        try:
            yield str(path), received
        finally:
            loop.remove_reader(manager)


async def test_systemd_is_told_ready_alive_what_and_stopping(
    child_program: ChildProgram, folder: Path, tmp_path: Path
) -> None:
    async with (
        systemd(tmp_path) as (address, received),
        mortal(child_program, folder, env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}) as keeper,
    ):
        told: list[str] = []

        async def until(line: str) -> None:
            async with asyncio.timeout(PATIENCE):
                while line not in told:
                    told.extend(await received.get())

        await until("READY=1")
        assert told[0] == "READY=1"
        assert str(child_program.state_dir) in told[1]
        await until("STATUS=running")
        await until("WATCHDOG=1")
        assert "NOTIFY_SOCKET" not in child_program.boots()[0]["env"], "the gateway must not speak for us"
        keeper.signal(signal.SIGTERM)
        await until("STOPPING=1")
        assert await keeper.ended() == 0
    assert child_program.pids() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_gateway_first_in_good_order(
    child_program: ChildProgram, folder: Path, number: signal.Signals
) -> None:
    child_program.script({"term_takes": 0.3})
    async with mortal(child_program, folder) as keeper:
        await keeper.step("say:gateway:ready")
        keeper.signal(number)
        assert await keeper.ended() == 0
        assert child_program.pids() == []
        assert keeper.names.index("say:action:done:terminate") < keeper.names.index("fact:child-exited")
        exit_ = next(step for step in keeper.steps if step["step"] == "say:exit")
        assert (exit_["data"]["expected"], exit_["data"]["code"]) == (True, 0)
    assert not keeper.socket.exists()
    assert not (folder / "status.json").exists()
    assert not (child_program.state_dir / "regrow.lease").exists()


async def test_told_twice_it_ends_at_once_and_the_gateway_lives_on(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"term_takes": 30})
    async with mortal(child_program, folder, stop_budget=60.0) as keeper:
        await keeper.step("say:gateway:ready")
        keeper.signal(signal.SIGINT)
        await keeper.step("say:action:done:terminate")
        keeper.signal(signal.SIGINT)
        assert await keeper.ended() == 0
        assert "say:regrow:leaving" in keeper.names
        assert len(child_program.pids()) == 1


async def test_left_running_it_is_taken_over_by_the_next(child_program: ChildProgram, folder: Path) -> None:
    async with mortal(child_program, folder) as keeper:
        await keeper.step("say:gateway:ready")
        pid = child_program.pids()[0]
        keeper.config.write_text(keeper.config.read_text() + "leave_running = true\n")
        keeper.signal(signal.SIGHUP)
        reloaded = await keeper.step("say:config:reloaded")
        assert reloaded["data"] == {"changed": ["regrow.leave_running"], "needRestart": []}
        keeper.signal(signal.SIGTERM)
        assert await keeper.ended() == 0
        assert "plan:terminate" not in keeper.names
    assert child_program.pids() == [pid]
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        assert kept.pid == pid
        assert kept.status["owner"] == "ours"


async def test_a_broken_configuration_of_ours_is_said_and_the_old_one_stays(
    child_program: ChildProgram, folder: Path
) -> None:
    async with mortal(child_program, folder) as keeper:
        await keeper.step("say:gateway:ready")
        good = keeper.config.read_text()
        keeper.config.write_text(good + "leave_runing = true\n")
        keeper.signal(signal.SIGHUP)
        rejected = await keeper.step("say:config:rejected")
        assert "leave_running" in str(rejected["data"]["problems"]), "did you mean"
        keeper.config.write_text("[gateway\n")
        keeper.signal(signal.SIGHUP)
        await keeper.step("say:config:rejected", 2)
        assert (await keeper.status())["gatewayReady"]
        keeper.config.write_text(good + "[heal.liveness]\nstart_budget = 60\n")
        keeper.signal(signal.SIGHUP)
        reloaded = await keeper.step("say:config:reloaded")
        assert reloaded["data"]["changed"] == ["heal.liveness.start_budget"]
        keeper.config.write_text(good.replace(f"port = {child_program.port}", "port = 1"))
        keeper.signal(signal.SIGHUP)
        assert (await keeper.step("say:config:reloaded", 2))["data"]["needRestart"] == ["gateway.port"]
        keeper.signal(signal.SIGTERM)
        assert await keeper.ended() == 0


async def test_a_second_keeper_of_the_same_name_says_so_and_may_try_again(
    child_program: ChildProgram, folder: Path
) -> None:
    async with mortal(child_program, folder) as first:
        await first.step("say:gateway:ready")
        second = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "regrow", "run", "--config", str(first.config), env=first.env,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await second.communicate()
        assert second.returncode == 75, (out, err)
        assert b"another regrow" in err
        assert b"--name" in err
        assert b"Traceback" not in err
        assert (await first.status())["gatewayReady"]
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0


async def test_the_gateway_is_not_held_by_our_death(child_program: ChildProgram, folder: Path) -> None:
    async with mortal(child_program, folder) as keeper:
        await keeper.step("say:gateway:ready")
        pid = child_program.pids()[0]
        assert os.getsid(pid) == pid
        keeper.signal(signal.SIGKILL)
        await keeper.ended()
    code, body = await child_program.http("/healthz")
    assert (code, body["status"]) == (200, "live")
    assert child_program.pids() == [pid]
