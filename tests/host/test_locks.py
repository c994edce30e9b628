"""A lock file is believed only if it is whole and the very process it names lives."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regrow.host import locks
from regrow.host.locks import owner, read_lock
from regrow.host.process import identify
from regrow.model.gateway import Process

ME = identify(os.getpid())
assert ME is not None


def stamp(offset: float = 0.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=offset)).isoformat().replace("+00:00", "Z")


def current(state: Path, process: Process = ME, **change: Any) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "ownerId": "2f1c",
        "cronOwnerProjection": "dynamic-default-v1",
        "createdAt": stamp(),
        "configPath": str(state / "openclaw.json"),
        "stateDir": str(state),
        "port": 19001,
        "startTime": process.started,
    } | change


def write(state: Path, content: dict[str, Any] | bytes, name: str = "gateway.state.lock") -> Path:
    folder = state / "tmp" / f"openclaw-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    raw = content if isinstance(content, bytes) else json.dumps(content, indent=2).encode()
    path.write_bytes(raw + b" " * 64 + b"\n")
    return path


def test_the_current_lock_names_its_gateway(tmp_path: Path) -> None:
    path = write(tmp_path, current(tmp_path))
    lock = owner(tmp_path, tmp=())
    assert lock is not None
    assert lock.process == ME
    assert lock.port == 19001
    assert lock.state_dir == tmp_path
    assert lock.config_path == tmp_path / "openclaw.json"
    assert lock.path == path
    assert lock.created is not None
    assert abs(lock.created - time.time()) < 60


def test_the_lock_of_early_2026_lies_in_the_temporary_directory(tmp_path: Path) -> None:
    state, tmp = tmp_path / "state", tmp_path / "tmp"
    config = state / "openclaw.json"
    name = f"gateway.{hashlib.sha256(str(config).encode()).hexdigest()[:8]}.lock"
    folder = tmp / "openclaw-1000"
    folder.mkdir(parents=True)
    state.mkdir()
    payload = {"pid": ME.pid, "createdAt": stamp(), "configPath": str(config), "startTime": ME.started}
    (folder / name).write_text(json.dumps(payload))
    lock = owner(state, tmp=(tmp,))
    assert lock is not None
    assert lock.process == ME
    assert lock.port is None
    assert owner(tmp_path / "other", tmp=(tmp,)) is None
    (folder / name).write_text(json.dumps(payload | {"configPath": "/elsewhere/openclaw.json"}))
    assert owner(state, tmp=(tmp,)) is None


def test_a_state_directory_reached_by_a_link_is_the_same(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    write(real, current(real))
    assert owner(tmp_path / "link", tmp=()) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"startTime": ME.started + 1},
        {"startTime": ME.started - 1},
        {"pid": 2**22 - 1},
        {"pid": 1},
        {"pid": 0},
        {"pid": -5},
        {"stateDir": "/another/state"},
        {"role": "doctor"},
        {"pid": "12"},
        {"pid": None},
        {"port": "19001"},
    ],
)
def test_a_lock_that_does_not_fit_is_not_believed(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path, current(tmp_path, **change))
    assert owner(tmp_path, tmp=()) is None


def test_a_reused_pid_is_another_life(tmp_path: Path) -> None:
    child = subprocess.Popen(["/bin/sleep", "600"])
    found = identify(child.pid)
    assert found is not None
    write(tmp_path, current(tmp_path, found))
    assert owner(tmp_path, tmp=()) is not None
    os.kill(child.pid, signal.SIGKILL)
    while identify(child.pid) is not None:
        os.sched_yield()
    assert owner(tmp_path, tmp=()) is None, "a zombie holds nothing"
    child.wait()
    assert owner(tmp_path, tmp=()) is None


def test_without_a_start_time_only_a_process_older_than_the_lock_is_believed(tmp_path: Path) -> None:
    content = current(tmp_path)
    del content["startTime"]
    write(tmp_path, content)
    lock = owner(tmp_path, tmp=())
    assert lock is not None
    assert lock.process == ME
    write(tmp_path, content | {"createdAt": stamp(-7 * 86400)})
    assert owner(tmp_path, tmp=()) is None
    write(tmp_path, content | {"createdAt": "yesterday"})
    assert owner(tmp_path, tmp=()) is None


def test_a_lock_written_by_another_user_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, current(tmp_path))
    monkeypatch.setattr(locks, "uid", lambda _: os.getuid() + 1)
    assert owner(tmp_path, tmp=()) is None


def test_a_stale_lock_does_not_hide_a_good_one(tmp_path: Path) -> None:
    write(tmp_path, current(tmp_path, startTime=1))
    write(tmp_path, current(tmp_path), "gateway.0a1b2c3d.lock")
    assert owner(tmp_path, tmp=()) is not None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   \n",
        b"\0" * 200,
        b"{",
        b"[]",
        b"null",
        b"12",
        b"\xff\xfe\x00",
        b'{"pid": 1e400}',
        b'{"pid": 99999999999999999999999999}',
        b'{"pid": true}',
        b'{"pid": 12, "startTime": -1}',
        b'{"pid": 12, "startTime": 1e300}',
        b"[" * 5000,
    ],
)
def test_broken_files_are_no_locks(tmp_path: Path, raw: bytes) -> None:
    assert read_lock(write(tmp_path, raw)) is None
    assert owner(tmp_path, tmp=()) is None


def test_every_half_written_lock_is_no_lock(tmp_path: Path) -> None:
    whole = json.dumps(current(tmp_path)).encode()
    for length in range(len(whole)):
        assert read_lock(write(tmp_path, whole[:length])) is None
    assert read_lock(write(tmp_path, whole)) is not None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_upset_it(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.lock").write_bytes(raw)
    read_lock(tmp_path / "x.lock")


def test_what_is_no_plain_file_is_no_lock(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "loop", tmp_path / "absent", Path("/dev/zero")):
        assert read_lock(path) is None
    path = write(tmp_path, json.dumps(current(tmp_path)).encode() + b" " * 100_000)
    assert read_lock(path) is None, "oversized"


def test_an_impossible_port_is_unknown(tmp_path: Path) -> None:
    lock = read_lock(write(tmp_path, current(tmp_path, port=70000)))
    assert lock is not None
    assert lock.port is None
