"""What tests share on a machine: the download cache, the OpenClaw versions in it, one boot at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from regrow.host.filelock import try_lock
from regrow.host.install import Progress, install
from regrow.host.openclaw import Installation

CURRENT = "2026.9.6"
SPRING = "2026.4.29"


def cache_root() -> Path:
    """Where downloads and installed versions are kept between runs, outside the tree."""
    given = os.environ.get("REGROW_TEST_CACHE")
    root = Path(given) if given else Path.home() / ".cache" / "regrow-tests"
    root.mkdir(parents=True, exist_ok=True)
    return root.resolve()


@contextlib.contextmanager
def machine_lock(name: str) -> Iterator[None]:
    """One process of all test runs on this machine at a time."""
    path = cache_root() / f"{name}.lock"
    while (fd := try_lock(path)) is None:
        time.sleep(0.1)
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def one_boot() -> Iterator[None]:
    """Booting a gateway takes ten CPU-seconds: two at once disturb each other and every measurement."""
    with machine_lock("boot"):
        yield


@pytest.fixture(scope="session")
def openclaw() -> Callable[[str], Installation]:
    """`openclaw("2026.9.6")`: that version, installed by regrow's own installer, once per machine."""
    known: dict[str, Installation] = {}

    def get(version: str = CURRENT) -> Installation:
        if version not in known:
            with ThreadPoolExecutor(1) as elsewhere:  # the test may be in a loop of its own
                known[version] = elsewhere.submit(asyncio.run, install(version, cache_root() / "openclaw")).result()
        return known[version]

    return get


def prepare() -> None:
    """Install every version the tests use, saying what happens: it takes a minute or two on a fresh machine."""
    for version in (CURRENT, SPRING):
        said = ""

        def tell(progress: Progress, version: str = version) -> None:
            nonlocal said
            text = f"OpenClaw {version}: {progress.phase}" + (f" {progress.done}" if progress.done % 50 == 49 else "")
            if text != said and (progress.phase not in said or progress.done % 50 == 49):
                said = text
                print(text, flush=True)

        asyncio.run(install(version, cache_root() / "openclaw", tell))
        print(f"OpenClaw {version} is at hand", flush=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Installing takes longer than any test may: it is done before the first one that needs it."""
    if not session.config.option.collectonly and any(
        item.get_closest_marker(name) for item in session.items for name in ("real", "rehearsal")
    ):
        prepare()


def remember(pid: int) -> Path:
    """Note a gateway we started, so that the next run can end it should this one be killed."""
    folder = cache_root() / "running"
    folder.mkdir(exist_ok=True)
    note = folder / f"{pid}.json"
    me = psutil.Process()
    note.write_text(json.dumps({
        "pid": pid, "started": psutil.Process(pid).create_time(), "owner": me.pid, "owner_started": me.create_time(),
    }))  # fmt: skip
    return note


def pytest_sessionstart(session: pytest.Session) -> None:
    """End what a killed test run left behind, and nothing else: pid and start time must match our note."""
    for note in (cache_root() / "running").glob("*.json"):
        try:
            said = json.loads(note.read_text())
        except (OSError, ValueError):
            continue
        if _lives(said["owner"], said["owner_started"]):
            continue
        if _lives(said["pid"], said["started"]):
            with contextlib.suppress(psutil.Error):
                left = psutil.Process(said["pid"])
                for process in [*left.children(recursive=True), left]:
                    process.send_signal(signal.SIGKILL)
        note.unlink(missing_ok=True)


def _lives(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 0.05
    except psutil.Error:
        return False


if __name__ == "__main__":
    prepare()
