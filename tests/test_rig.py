"""What tests rely on: limits by marker, other platforms counted, a lack listed or fatal, blocking noticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RIG = Path(__file__).parent
TESTS = """
import sys, time
import pytest
from rig.limits import need

def test_passes(): pass
def test_lacks(): need("a thing")
def test_has(): need("a thing", present=True)
@pytest.mark.windows
def test_elsewhere(): raise AssertionError
@pytest.mark.real
def test_real(request): assert request.node.get_closest_marker("timeout").args == (120,)
@pytest.mark.rehearsal
def test_long(request): assert request.node.get_closest_marker("timeout").args == (900,)
"""
INI = "[pytest]\nmarkers =\n  real\n  rehearsal\n  macos\n  windows\nasyncio_mode = auto\n"


def run(folder: Path, tests: str, **env: str) -> tuple[int, str]:
    (folder / "test_inner.py").write_text(tests)
    (folder / "pytest.ini").write_text(INI)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "rig.limits", "-p", "no:cacheprovider", "-p", "no:xdist", str(folder)],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(RIG), "REGROW_REQUIRE_ALL": "0", **env},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the inner tests are written for other platforms")
def test_a_lack_is_listed_and_other_platforms_are_counted(tmp_path: Path) -> None:
    code, out = run(tmp_path, TESTS)
    assert code == 0, out
    assert "1 skipped: this machine lacks: a thing" in out
    assert "1 deselected: only on windows" in out
    assert "4 passed, 1 skipped, 1 deselected" in out


def test_where_all_is_required_a_lack_fails(tmp_path: Path) -> None:
    code, out = run(tmp_path, TESTS, REGROW_REQUIRE_ALL="1")
    assert code == 1
    assert "did not run" in out
    assert "1 failed, 4 passed, 1 deselected" in out


def test_a_coroutine_of_ours_that_blocks_fails(tmp_path: Path) -> None:
    tests = """
import time
from regrow.host.filelock import locked

async def test_blocks(tmp_path):
    (tmp_path / "taken").mkdir()
    import fcntl
    with (tmp_path / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with locked(tmp_path / "lock", waiting=lambda: time.sleep(0.01)): pass
"""
    code, out = run(tmp_path, tests)
    assert code == 1
    assert "BlockingError" in out
