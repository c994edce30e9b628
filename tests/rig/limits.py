"""How long a test may take, which tests belong on this platform, and what a machine lacks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster

LIMITS = {"rehearsal": 900, "real": 120}
PLATFORMS = {"macos": sys.platform == "darwin", "windows": sys.platform == "win32"}
REQUIRE_ALL = os.environ.get("REGROW_REQUIRE_ALL") == "1"
_LACKING = pytest.StashKey[dict[str, int]]()


def need(what: str, *, present: bool = False) -> None:
    """Skip this test because the machine lacks something, unless it is `present`.

    With REGROW_REQUIRE_ALL=1 the test fails instead: a machine that shall prove everything has everything.
    """
    if not present:
        pytest.skip(f"this machine lacks: {what}")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LACKING] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test its limit and put aside those of other platforms."""
    here, elsewhere = [], []
    for item in items:
        limit = next((seconds for name, seconds in LIMITS.items() if item.get_closest_marker(name)), None)
        if limit and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(limit))
        foreign = [name for name, here_now in PLATFORMS.items() if item.get_closest_marker(name) and not here_now]
        (elsewhere if foreign else here).append(item)
        for name in foreign:
            counts = config.stash[_LACKING]
            counts[name] = counts.get(name, 0) + 1
    if elsewhere:
        config.hook.pytest_deselected(items=elsewhere)
        items[:] = here


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where everything is required a skipped test is a failed one."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"REGROW_REQUIRE_ALL=1, but {item.nodeid} did not run: {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what did not run here, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons: dict[str, int] = {}
    for report in skipped:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text.removeprefix("Skipped: ")] = reasons.get(text.removeprefix("Skipped: "), 0) + 1
    counts = config.stash[_LACKING]
    if reasons or counts:
        terminalreporter.section("not run on this machine")
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"{count:4} skipped: {reason}")
        for name, count in sorted(counts.items()):
            terminalreporter.line(f"{count:4} deselected: only on {name}")


# Files on a local disk and /proc are read where they are needed: microseconds. These would hold up the loop.
_BLOCKING = ("time.sleep", "socket.", "ssl.", "sqlite3.", "builtins.input")


@pytest.fixture(autouse=True)
def _no_blocking(request: pytest.FixtureRequest) -> Iterator[None]:
    """A call that blocks inside a coroutine of ours fails the test."""
    buster = BlockBuster(scanned_modules=["regrow"])
    for name, function in buster.functions.items():
        if name.startswith(_BLOCKING):
            # the one exception: it waits neither for the disk nor for another program
            function.can_block_in("regrow/record/store.py", "write_at_once").activate()
    yield
    buster.deactivate()
