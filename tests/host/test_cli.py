"""An OpenClaw command ends in time, in bounded memory, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from regrow.host.cli import run_openclaw
from regrow.host.openclaw import Installation, Node
from regrow.host.process import identify
from regrow.model.errors import Fatal, Retryable

ENV = {"PATH": os.defpath}


def program(tmp_path: Path, script: str) -> Installation:
    entry = tmp_path / "openclaw.mjs"
    entry.write_text(script)
    return Installation(str(entry), "2026.9.6", Node("/bin/sh", "24.19.0"))


async def test_streams_are_kept_apart_and_the_code_is_told(tmp_path: Path) -> None:
    done = await run_openclaw(program(tmp_path, 'echo "$1 $2"; echo oops >&2; exit 3'), ["config", "validate"], env=ENV)
    assert (done.code, done.stdout, done.stderr, done.cut) == (3, "config validate\n", "oops\n", False)


async def test_too_much_is_cut_and_does_not_block(tmp_path: Path) -> None:
    done = await run_openclaw(program(tmp_path, "yes | head -c 3000000; echo x >&2"), [], env=ENV, cap=1000)
    assert len(done.stdout) == 1000
    assert (done.stderr, done.cut, done.code) == ("x\n", True, 0)


async def test_one_that_does_not_end_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $! > {pids}; trap '' TERM; sleep 600"
    with pytest.raises(Retryable, match=r"did not end within 0\.5 s"):
        await run_openclaw(program(tmp_path, script), ["doctor"], env=ENV, timeout=0.5)
    async with asyncio.timeout(5):
        while identify(int(pids.read_text())) is not None:
            await asyncio.sleep(0.01)


async def test_being_cancelled_ends_it_too(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(
            run_openclaw(program(tmp_path, f"echo $$ > {pids}.new; mv {pids}.new {pids}; sleep 600"), [], env=ENV)
        )
        while not pids.exists():
            await asyncio.sleep(0.01)
        task.cancel()
    assert identify(int(pids.read_text())) is None


async def test_a_missing_node_is_said_clearly(tmp_path: Path) -> None:
    lost = Installation(str(tmp_path / "x.mjs"), "1", Node(str(tmp_path / "node"), "24"))
    with pytest.raises(Fatal, match="install OpenClaw again"):
        await run_openclaw(lost, ["config"], env=ENV)
    (tmp_path / "node").write_text("")
    (tmp_path / "node").chmod(stat.S_IRUSR)
    with pytest.raises(Fatal):
        await run_openclaw(lost, ["config"], env=ENV)
