"""A child outlives us, its end is noticed at once, and its last words are kept."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from regrow.host import child as children
from regrow.host.child import adopt, spawn
from regrow.host.process import alive, identify, look, send
from regrow.model.errors import Fatal, RegrowError, Retryable
from regrow.model.gateway import Process

ENV = {"PATH": os.defpath, "MARK": "yes"}


def sh(script: str, log: Path | None, cwd: Path | None = None) -> children.Child:
    return spawn(["/bin/sh", "-c", script], ENV, cwd, log)


def open_handles() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def end(process: Process) -> None:
    send(process, signal.SIGKILL, proof=lambda _: True)


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 78", 78), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("exit 134", 134)]
)
async def test_the_exit_code_is_told(tmp_path: Path, script: str, code: int) -> None:
    child = sh(script, tmp_path / "x.log")
    assert await child.wait() == code
    assert child.code == code
    assert child.ended
    assert child.cpu is not None
    assert child.cpu >= 0
    assert await child.wait() == code, "a second waiter is told the same"
    with pytest.raises(ChildProcessError):
        os.waitpid(child.process.pid, 0)


async def test_output_is_followed_to_its_very_last_word(tmp_path: Path) -> None:
    child = sh("echo one; echo two >&2; sleep 0.1; printf 'no newline'; exit 3", tmp_path / "x.log", tmp_path)
    assert [line async for line in child.lines()] == ["one", "two", "no newline"]
    assert child.code == 3
    assert child.last() == ("one", "two", "no newline")
    assert child.last(1) == ("no newline",)


async def test_it_gets_what_was_planned_and_nothing_else(tmp_path: Path) -> None:
    kept = os.open("/dev/null", os.O_RDONLY)
    child = sh(
        "pwd; echo $MARK; echo ${HOME-unset}; ls /proc/self/fd | wc -l; cat; ps -o sid= -p $$", tmp_path / "x", tmp_path
    )
    lines = [line async for line in child.lines()]
    os.close(kept)
    assert lines[:3] == [str(tmp_path), "yes", "unset"]
    assert int(lines[3]) == 4, "0, 1, 2 and the directory ls itself opened"
    assert int(lines[4]) == child.process.pid, "a session of its own; and its input is empty"


async def test_many_wait_at_once_and_a_cancelled_one_harms_nobody(tmp_path: Path) -> None:
    child = sh("exec sleep 600", tmp_path / "x.log")
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(child.wait()) for _ in range(3)]
        quitter = group.create_task(child.wait())
        await asyncio.sleep(0)
        quitter.cancel()
        await asyncio.sleep(0)
        end(child.process)
    assert [waiter.result() for waiter in waiters] == [-9, -9, -9]


async def test_without_process_handles_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    monkeypatch.setattr(children, "_POLL", 0.001)
    child = sh("echo hi; exit 7", tmp_path / "x.log")
    assert [line async for line in child.lines()] == ["hi"]
    assert await child.wait() == 7


async def test_a_child_reaped_by_others_is_gone_without_a_code(tmp_path: Path) -> None:
    child = sh("exit 9", tmp_path / "x.log")
    os.waitpid(child.process.pid, 0)
    assert await child.wait() is None
    assert child.cpu is None


async def test_closing_leaves_it_alone(tmp_path: Path) -> None:
    child = sh("exec sleep 600", tmp_path / "x.log")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.01):
            await child.wait()
    child.close()
    child.close()
    assert alive(child.process)
    end(child.process)
    os.waitpid(child.process.pid, 0)


async def test_a_full_disk_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    child = sh("exit 4", blocked / "x.log")
    assert "output is not kept" in child.output_error
    assert child.log is None
    assert [line async for line in child.lines()] == []
    assert child.code == 4
    assert child.last() == ()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/no/such/node", "secret-arg"], "No such file"),
        (["/etc/passwd", "secret-arg"], "Permission denied"),
        (["/bin/sh", "-c", "secret-arg\0"], "NUL"),
    ],
)
def test_a_program_that_cannot_run_is_named_and_final(tmp_path: Path, argv: list[str], words: str) -> None:
    with pytest.raises(Fatal) as caught:
        spawn(argv, ENV, tmp_path, tmp_path / "x.log")
    assert words in str(caught.value)
    assert argv[0] in str(caught.value)
    assert "secret-arg" not in str(caught.value)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="nowhere"):
        spawn(["/bin/sh"], ENV, tmp_path / "nowhere", tmp_path / "x.log")


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ETXTBSY])
def test_a_short_host_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def popen(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", popen)
    before = open_handles()
    with pytest.raises(Retryable) as caught:
        sh("exit 0", tmp_path / "x.log")
    assert caught.value.after
    assert open_handles() == before, "no handle leaks"


def test_too_many_arguments_are_final(tmp_path: Path) -> None:
    with pytest.raises(RegrowError, match="too long"):
        spawn(["/bin/true", "x" * (4 * 1024 * 1024)], ENV, tmp_path, None)


SPAWNER = """
import sys, time
from pathlib import Path
from regrow.host.child import spawn
writer = "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done"
child = spawn(["/bin/sh", "-c", writer], {"PATH": "/usr/bin:/bin"}, None, Path(sys.argv[1]))
print(child.process.pid, child.process.started, flush=True)
time.sleep(600)
"""


async def test_it_lives_and_writes_on_when_we_are_killed_and_can_be_taken_over(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    keeper = subprocess.Popen([sys.executable, "-c", SPAWNER, str(log)], stdout=subprocess.PIPE, start_new_session=True)
    assert keeper.stdout is not None
    pid, begun = map(int, keeper.stdout.readline().split())
    process = Process(pid=pid, started=begun)
    try:
        os.killpg(keeper.pid, signal.SIGKILL)
        keeper.wait()
        keeper.stdout.close()
        assert alive(process)
        child = adopt(process, log)
        assert child.adopted
        seen: list[str] = []
        async for line in child.lines(backlog=0):
            seen.append(line)
            if len(seen) == 3:
                end(process)
        assert len(seen) >= 3, "written after its spawner died"
        assert not alive(process)
        assert await child.wait() is None, "it was not our child: nobody knows its code"
    finally:
        end(process)


async def test_a_grandchild_is_adopted_and_its_end_is_told(tmp_path: Path) -> None:
    parent = spawn(["/bin/sh", "-c", "setsid sleep 600 & echo $!; wait"], ENV, None, tmp_path / "x.log")
    async for line in parent.lines():
        pid = int(line)
        break
    found = identify(pid)
    assert found is not None
    grandchild = adopt(found)
    end(found)
    assert await grandchild.wait() is None
    assert await parent.wait() == 0


def test_the_wrong_life_is_not_adopted(tmp_path: Path) -> None:
    child = sh("exec sleep 600", tmp_path / "x.log")
    before = open_handles()
    with pytest.raises(Retryable):
        adopt(Process(pid=child.process.pid, started=child.process.started + 1))
    assert open_handles() == before
    end(child.process)
    os.waitpid(child.process.pid, 0)
    child.close()
    with pytest.raises(Retryable):
        adopt(child.process)


async def test_the_end_of_an_adopted_process_of_another_parent_is_an_event(tmp_path: Path) -> None:
    process = subprocess.Popen(["/bin/sleep", "600"])
    found = identify(process.pid)
    assert found is not None
    child = adopt(found)
    waiter = threading.Thread(target=process.wait)
    waiter.start()
    process.kill()
    assert await child.wait() is None
    waiter.join()


async def test_stopped_is_not_ended(tmp_path: Path) -> None:
    child = sh("exec sleep 600", tmp_path / "x.log")
    assert send(child.process, signal.SIGSTOP, proof=lambda _: True)
    while (seen := look(child.process)) is not None and seen[0] != "T":
        await asyncio.sleep(0)
    assert not child.poll()
    end(child.process)
    assert await child.wait() == -9
