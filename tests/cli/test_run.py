"""`regrow run` from the first line to the exit code, over a scripted gateway process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rig.programs import ChildProgram
from rig.shell import Shell, finished

WITHIN = 15.0
QUICK = str(Path(__file__).parent.parent / "programs" / "quick.py")


class Run:
    """A `regrow run` and what it has said so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def until(self, words: str) -> str:
        """Read on until a line holds these words."""
        assert self.process.stdout is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHIN):
                while raw := await self.process.stdout.readline():
                    self.said.append(raw.decode().rstrip("\n"))
                    if words in self.said[-1]:
                        return self.said[-1]
        code = await self.end(signal.SIGKILL)
        pytest.fail(f"{words!r} was not said; exit {code}: {self.said}\n{self.complaints}")

    async def end(self, number: int = signal.SIGINT) -> int:
        """Tell it to end and wait for that."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(WITHIN):
            ran = await finished(self.process)
        self.said += ran.out.splitlines()
        self.complaints = ran.err
        return ran.code


class Desk:
    """Starts keepers of one scripted gateway."""

    def __init__(self, shell: Shell, program: ChildProgram) -> None:
        self.shell, self.program = shell, program
        self.runs: list[Run] = []
        shell.program = (QUICK,)
        shell.root.mkdir(exist_ok=True)
        self.file = shell.root / "config.toml"
        self.write()

    def write(self, regrow: str = "") -> None:
        p = self.program
        self.file.write_text(
            f'[gateway]\nstate_dir = "{p.state_dir}"\nentry = "{p.entry}"\nnode = "{p.node}"\n'
            f'port = {p.port}\ntoken = "{p.token}"\n[regrow]\n{regrow}\n'
        )
        self.file.chmod(0o600)

    async def run(self, *args: str, **env: str) -> Run:
        run = Run(await self.shell.start("run", *args, **env))
        self.runs.append(run)
        return run


@pytest.fixture
async def desk(shell: Shell, tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(shell, ChildProgram(tmp_path / "openclaw"))
    yield made
    for run in made.runs:
        with contextlib.suppress(TimeoutError):
            await run.end()
    for pid in made.program.pids():
        os.kill(pid, signal.SIGKILL)


async def test_a_gateway_is_kept_from_start_to_end(desk: Desk) -> None:
    run = await desk.run()
    await run.until("starting the gateway")
    await run.until("is ready after")
    status = await desk.shell("status", "--json")
    assert status.code == 0, status
    assert (status.json["pid"], status.json["port"]) == (desk.program.pids()[0], desk.program.port)
    assert (await desk.shell("rpc", "health")).code == 0
    assert (await desk.shell("stop")).code == 0
    down = await desk.shell("status")
    assert (down.code, "stays stopped" in down.out) == (2, True)
    assert desk.program.pids() == []
    assert (await desk.shell("start", "--reason", "again")).code == 0
    assert (await desk.shell("restart")).code == 0
    assert (await desk.shell("events", "--json", "--type", "gateway:ready")).lines
    assert await run.end() == 0
    assert desk.program.pids() == []
    assert run.complaints == ""
    assert run.said[-1].endswith("regrow has ended")
    assert (await desk.shell("status")).code == 3


async def test_programs_get_one_json_object_per_event(desk: Desk) -> None:
    run = await desk.run("--log-format", "json")
    ready = json.loads(await run.until('"gateway:ready"'))
    assert set(ready) == {"at", "type", "data"}
    assert await run.end(signal.SIGTERM) == 0
    assert {"regrow:started", "exit", "regrow:stopped"} <= {json.loads(line)["type"] for line in run.said}


async def test_a_dry_run_starts_nothing_and_says_what_it_would(desk: Desk) -> None:
    run = await desk.run("--dry-run")
    line = await run.until("dry run")
    assert "starting the gateway" in line
    assert desk.program.token not in line
    assert await run.end() == 0
    assert desk.program.boots() == []


async def test_the_gateway_may_live_on_and_is_taken_over(desk: Desk) -> None:
    first = await desk.run("--leave-running")
    await first.until("is ready after")
    [pid] = desk.program.pids()
    assert await first.end() == 0
    assert desk.program.pids() == [pid]
    second = await desk.run()
    async with asyncio.timeout(WITHIN):
        while (await desk.shell("status", "--json")).code != 0:
            pass
    assert (await desk.shell("status", "--json")).json["pid"] == pid
    assert len(desk.program.boots()) == 1
    assert await second.end() == 0
    assert desk.program.pids() == []


async def test_sighup_reads_the_configuration_again(desk: Desk) -> None:
    run = await desk.run()
    await run.until("is ready after")
    desk.write('log_level = "debug"\nprofile = "classic"')
    run.process.send_signal(signal.SIGHUP)
    line = await run.until("the configuration was read again")
    assert "regrow.log_level" in line
    assert "only after a restart of regrow: regrow.profile" in line
    desk.write("log_level = 7\nnonsense = 1")
    run.process.send_signal(signal.SIGHUP)
    line = await run.until("is not taken")
    assert "regrow.log_level" in line
    assert "regrow.nonsense" in line
    assert (await desk.shell("rpc", "health")).code == 0
    assert await run.end() == 0


async def test_a_second_keeper_of_the_same_name_steps_back(desk: Desk) -> None:
    first = await desk.run()
    await first.until("is ready after")
    second = await desk.run()
    async with asyncio.timeout(WITHIN):
        ran = await finished(second.process)
    assert ran.code == 75, ran
    assert "Traceback" not in ran.err
    assert ran.err
    assert (await desk.shell("status")).code == 0
    assert len(desk.program.boots()) == 1


async def test_on_a_terminal_the_start_is_seen_to_move(desk: Desk) -> None:
    import pty

    desk.program.script({"boot": 2.5})
    main, end = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, QUICK, "run", cwd=desk.shell.home, env={**desk.shell.env, "TERM": "xterm"},
        stdin=end, stdout=end, stderr=end,
    )  # fmt: skip
    os.close(end)
    told = b""
    try:
        async with asyncio.timeout(WITHIN):
            while b"is ready after" not in told:
                told += await asyncio.to_thread(os.read, main, 65536)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(WITHIN):
            while process.returncode is None:
                with contextlib.suppress(OSError):  # the other end is closed
                    told += await asyncio.to_thread(os.read, main, 65536)
                await asyncio.sleep(0)
    finally:
        if process.returncode is None:
            process.kill()
        assert await process.wait() == 0
        os.close(main)
    text = told.decode()
    assert "starting… 1 s" in text
    assert "\x1b[32m" in text, "good news is green"


async def test_a_sandbox_leaves_the_user_alone(desk: Desk) -> None:
    desk.file.write_text(f'[gateway]\nentry = "{desk.program.entry}"\nnode = "{desk.program.node}"\n')
    run = await desk.run("--sandbox")
    assert "regrow status --name sandbox" in await run.until("from another terminal")
    assert "regrow check" in await run.until("to tend your own")
    await run.until("is ready after")
    status = await desk.shell("status", "--name", "sandbox", "--json")
    assert (status.code, status.json["name"]) == (0, "sandbox")
    assert (await desk.shell("status")).code == 3
    assert await run.end() == 0
    assert not (desk.shell.home / ".openclaw").exists()
    [token] = (desk.shell.root / "data" / "sandbox").glob("*/token")
    assert token.read_text().strip() not in "\n".join(run.said)
