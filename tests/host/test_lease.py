"""At most one keeper holds a state directory, whatever dies and however it dies."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from regrow.host import lease as leases
from regrow.host.lease import FILE, STALE, Lease, host_key
from regrow.host.process import identify
from regrow.model.errors import Fatal

HOLDER = """
import sys
from pathlib import Path
from regrow.host.lease import Lease
lease = Lease(Path(sys.argv[1]), name="other", version="9")
print(lease.take(), flush=True)
sys.stdin.read()
lease.release()
"""

RACER = """
import sys
from pathlib import Path
from regrow.host.lease import Lease
sys.stdin.readline()
held = 0
while held < 20:
    lease = Lease(Path(sys.argv[1]))
    if lease.take():
        guard = Path(sys.argv[1]) / "inside"
        guard.touch(exist_ok=False)
        held += 1
        guard.unlink()
        lease.release()
print(held)
"""


def python(script: str, *args: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def record(path: Path, **change: object) -> None:
    me = identify(os.getpid())
    assert me is not None
    found = {"pid": me.pid, "started": me.started, "name": "x", "at": 1000.0, "version": "", "host": host_key()}
    path.write_text(json.dumps(found | change))


def test_one_takes_it_and_says_who_it_is(tmp_path: Path) -> None:
    lease = Lease(tmp_path, name="keeper", version="1.2", now=lambda: 5000.0)
    assert lease.holder() is None
    assert lease.take()
    assert lease.take(), "what is ours already can be taken"
    assert lease.held
    found = lease.holder()
    assert found is not None
    assert (found.pid, found.name, found.version, found.at) == (os.getpid(), "keeper", "1.2", 5000.0)
    assert found.process == identify(os.getpid())
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    second = Lease(tmp_path)
    assert not second.take()
    assert not second.held
    lease.release()
    lease.release()
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"
    assert second.take()
    second.release()


def test_a_beat_is_seen_by_others(tmp_path: Path) -> None:
    times = iter([100.0, 107.0, 107.0, 107.0])
    lease = Lease(tmp_path, now=lambda: next(times))
    assert lease.take()
    assert lease.take(), "a look, which is no beat"
    assert lease.renew()
    found = Lease(tmp_path).holder()
    assert found is not None
    assert found.at == 107.0
    lease.release()


def test_it_ends_with_its_holder_however_that_dies(tmp_path: Path) -> None:
    other = python(HOLDER, tmp_path)
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "True\n"
    mine = Lease(tmp_path)
    assert not mine.take()
    found = mine.holder()
    assert found is not None
    assert (found.pid, found.name) == (other.pid, "other")
    other.send_signal(signal.SIGSTOP)
    assert not mine.take(), "a stopped holder still holds"
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    assert (tmp_path / FILE).exists()
    assert mine.holder() is None, "a killed holder is stale by identity, its beat fresh or not"
    assert mine.take()
    mine.release()


def test_a_spawned_process_does_not_inherit_it(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    assert lease.take()
    child = subprocess.Popen(["/bin/sleep", "600"], close_fds=False)
    try:
        lease.release()
        assert Lease(tmp_path).take()
    finally:
        child.kill()
        child.wait()


def test_two_processes_never_hold_it_together(tmp_path: Path) -> None:
    racers = [python(RACER, tmp_path) for _ in range(2)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    results = [racer.communicate()[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert results == ["20\n", "20\n"]


@pytest.mark.parametrize("content", ["", "{", "null", "[1]", '{"pid": "x"}', "\0" * 600, "x" * 9000])
def test_a_broken_file_is_taken_over(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    lease = Lease(tmp_path)
    assert lease.holder() is None
    assert lease.take()
    assert lease.holder() is not None
    lease.release()


def test_where_locks_are_not_shared_a_live_holder_is_respected(tmp_path: Path) -> None:
    child = subprocess.Popen(["/bin/sleep", "600"])
    found = identify(child.pid)
    assert found is not None
    record(tmp_path / FILE, pid=found.pid, started=found.started)
    lease = Lease(tmp_path, now=lambda: 10_000.0)
    assert not lease.take()
    record(tmp_path / FILE, pid=found.pid, started=found.started + 1)
    assert lease.take(), "that pid is another life now"
    lease.release()
    child.kill()
    child.wait()


def test_a_holder_on_another_host_counts_by_its_beat(tmp_path: Path) -> None:
    record(tmp_path / FILE, host="elsewhere:1", at=1000.0)
    assert not Lease(tmp_path, now=lambda: 1000.0 + STALE - 1).take()
    assert Lease(tmp_path, now=lambda: 1000.0 + STALE - 1).holder() is not None
    assert Lease(tmp_path, now=lambda: 1000.0 + STALE).holder() is None
    late = Lease(tmp_path, now=lambda: 1000.0 + STALE)
    assert late.take()
    late.release()


def test_a_lost_lease_is_noticed(tmp_path: Path) -> None:
    lease = Lease(tmp_path)
    assert lease.take()
    (tmp_path / FILE).unlink()
    usurper = Lease(tmp_path)
    assert usurper.take()
    assert not lease.take()
    assert not lease.held
    assert not lease.renew()
    lease.release()
    assert usurper.renew(), "giving up what was lost takes nothing from the new holder"
    usurper.release()


def test_a_full_disk_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease(tmp_path)
    assert lease.take()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    assert lease.renew()
    monkeypatch.undo()
    assert lease.renew()
    lease.release()


def test_a_file_system_without_locks_falls_back_to_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(leases.fcntl, "flock", unsupported)
    lease = Lease(tmp_path)
    assert lease.take()
    lease.release()


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="does not exist"):
        Lease(tmp_path / "absent").take()
    (tmp_path / "d" / FILE).mkdir(parents=True)
    with pytest.raises(Fatal, match=FILE):
        Lease(tmp_path / "d").take()
    (tmp_path / "f").mkdir()
    os.mkfifo(tmp_path / "f" / FILE)
    with pytest.raises(Fatal, match="not a plain file"):
        Lease(tmp_path / "f").take()
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / FILE).symlink_to(precious)
    with pytest.raises(Fatal, match="cannot write"):
        Lease(tmp_path / "l").take()
    assert precious.read_text() == "keep"
