"""Files that are damaged, disks that are full, directories that may not be written, clocks that were set back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from regrow.daemon.memory import Memory, recalled
from regrow.decide.domains.base import registry
from regrow.decide.engine import Setup, first_state
from regrow.decide.supervise.governor import Governor
from regrow.model.errors import Fatal
from rig.kept import Kept, keeping, settings
from rig.limits import need
from rig.programs import ChildProgram

pytestmark = pytest.mark.usefixtures("no_leaks")


def troubles(kept: Kept) -> list[str]:
    return [said.get("what") or said.get("message") or "" for type_, said in kept.told if type_ in (
        "trouble", "journal:degraded", "journal:moved-aside"
    )]  # fmt: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for one megabyte."""
    need("root, to mount a small disk", present=os.geteuid() == 0 and shutil.which("mount") is not None)
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True)
    need("the right to mount a small disk", present=done.returncode == 0)
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(b"x" * 4096):
                pass
        except OSError:
            pass


async def test_a_full_disk_keeps_no_gateway_down_and_is_told_once(
    child_program: ChildProgram, folder: Path, small_disk: Path
) -> None:
    async with keeping(settings(child_program, small_disk / "keeper")) as kept:
        await kept.ready()
        fill(small_disk)
        for count in (2, 3):
            os.kill(kept.pid, signal.SIGKILL)
            await kept.ready(count)
        assert len(kept.all("journal:degraded")) == 1
        assert sum("memory.json" in text for text in troubles(kept)) <= 1
        assert len(child_program.pids()) == 1
        (small_disk / "ballast").unlink()
    assert json.loads((small_disk / "keeper" / "memory.json").read_text()) is not None


async def test_a_disk_that_is_full_from_the_first_moment(
    child_program: ChildProgram, folder: Path, small_disk: Path
) -> None:
    async with keeping(settings(child_program, small_disk / "keeper", regrow_leave_running=True)) as kept:
        await kept.ready()
        pid = kept.pid
    fill(small_disk)
    async with keeping(settings(child_program, small_disk / "keeper")) as kept:
        await kept.ready()
        assert kept.pid == pid
        assert len(kept.all("journal:degraded")) == 1
        (small_disk / "ballast").unlink()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b'{"governor": {"level": "high"}}'])
async def test_a_damaged_memory_is_said_and_costs_nothing_else(
    child_program: ChildProgram, folder: Path, content: bytes
) -> None:
    folder.mkdir(mode=0o700)
    (folder / "memory.json").write_bytes(content)
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        assert [text for text in troubles(kept) if "memory.json" in text and "forgotten" in text]
        assert len(troubles(kept)) == 1


async def test_a_damaged_journal_is_moved_aside_whole(child_program: ChildProgram, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "journal.db").write_bytes(b"SQLite format 3\0" + b"nonsense" * 4000)
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        (moved,) = kept.all("journal:moved-aside")
        assert Path(moved["to"]).read_bytes().endswith(b"nonsense")
        assert len(troubles(kept)) == 1


async def test_a_journal_of_another_program_is_not_touched(child_program: ChildProgram, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "journal.db").write_bytes(b"these are my notes\n" * 100)
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        found = [file for file in folder.iterdir() if file.name.startswith("journal") and file.is_file()]
        assert any(file.read_bytes().startswith(b"these are my notes") for file in found)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"port": "x"}', b'{"port": 1, "process": [1, 2]}'])
async def test_a_damaged_note_of_the_last_life_costs_no_gateway(
    child_program: ChildProgram, folder: Path, content: bytes
) -> None:
    async with keeping(settings(child_program, folder, regrow_leave_running=True)) as kept:
        await kept.ready()
        pid = kept.pid
    (folder / "gateway.life.json").write_bytes(content)
    async with keeping(settings(child_program, folder)) as kept:
        await kept.until(lambda: kept.status["gatewayReady"])
        assert kept.pid == pid
        assert "regrow adopt" in kept.status["observeOnly"], "what cannot be proven ours is only watched"
        assert kept.done() == []
        await kept.ask("adopt")
        await kept.until(lambda: not kept.status["observeOnly"])
    assert child_program.pids() == []


async def test_a_clock_set_back_between_two_lives_freezes_nothing(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"exit_code": 1, "last_words": ["Error: Cannot find module 'left-pad'"]})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.told_of("status", phase="quarantine")
        await kept.ask("stop")
    ahead = 400 * 86400.0
    raw = json.loads((folder / "memory.json").read_text())
    governor = raw["governor"]
    for key in ("level_at", "not_before", "booked"):
        governor[key] = governor.get(key, 0.0) + ahead
    governor["boots"] = [at + ahead for at in governor.get("boots", [])]
    (folder / "memory.json").write_text(json.dumps(raw))
    child_program.script({})
    async with keeping(settings(child_program, folder)) as kept:
        assert kept.status["want"] == "stopped"
        assert (await kept.ask("start"))[-1]["state"] == "done"


def test_times_of_the_future_are_taken_as_now(tmp_path: Path) -> None:
    domains = registry()
    configs = {name: domain.config() for name, domain in domains.items()}
    state = first_state(Setup(domains=tuple(domains.values()), configs=configs))
    path = tmp_path / "memory.json"
    future = Governor(level=3, level_at=9e9, not_before=9e9, booked=9e9, boots=(9e9, 1.0), ready_since=9e9)
    path.write_bytes(msgspec.json.encode(Memory(governor=future, kills=(9e9,))))
    found, problem = recalled(state, path, 1000.0)
    governor = found.domains["liveness"].governor
    assert problem == ""
    assert (governor.level, governor.level_at, governor.booked, governor.ready_since) == (3, 1000.0, 1000.0, None)
    assert governor.boots == (1000.0, 1.0)
    assert 1000.0 <= governor.not_before <= 1360.0
    assert found.domains["liveness"].kills == (1000.0,)


async def test_a_state_directory_that_may_not_be_written(
    child_program: ChildProgram, folder: Path, small_disk: Path
) -> None:
    """The gateway's, not ours: we cannot take our claim on it, say so once, and go on."""
    state = small_disk / "state"
    shutil.copytree(child_program.state_dir, state)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    child_program.script({"exit_code": 1, "last_words": ["EROFS: read-only file system"]})
    config = settings(child_program, folder, state_dir=state, config=state / "openclaw.json")
    async with keeping(config) as kept:
        await kept.told_of("exit")
        await kept.until(lambda: kept.status["lastError"])
        assert len([text for text in troubles(kept) if "regrow.lease" in text]) == 1
        await kept.ask("stop")
        assert kept.status["phase"] == "stopped"


async def test_a_directory_of_ours_that_cannot_be_used_is_named(child_program: ChildProgram, tmp_path: Path) -> None:
    wall = tmp_path / "wall"
    wall.write_text("")
    with pytest.raises(Fatal, match="wall"):
        async with keeping(settings(child_program, wall / "keeper")):
            pass
