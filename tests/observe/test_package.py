"""A package directory as npm leaves and changes it."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from observe.mailbox import Box
from regrow.model.facts import PackageSeen
from regrow.observe.package import SETTLED, Package


class Now:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    root = tmp_path / "node_modules"
    install(root, "2026.9.6")
    return root


def install(modules: Path, version: str) -> None:
    package = modules / "openclaw"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": "openclaw", "version": version}))


def make(modules: Path) -> tuple[Package, Box, Now]:
    box, now = Box(), Now()
    return Package(box.post, now, lambda: modules / "openclaw" / "openclaw.mjs"), box, now


async def settled(package: Package, now: Now) -> None:
    await package.look()
    now.at += SETTLED
    await package.look()


async def test_a_settled_package_is_told_once(modules: Path) -> None:
    package, box, now = make(modules)
    await settled(package, now)
    await package.look()
    *_, seen = box.of(PackageSeen)
    assert (seen.version, seen.quiet) == ("2026.9.6", True)
    assert [fact.quiet for fact in box.of(PackageSeen)] == [False, True]  # it was written a moment ago


async def test_an_update_is_not_quiet_until_it_settled(modules: Path) -> None:
    package, box, now = make(modules)
    await settled(package, now)
    shutil.rmtree(modules / "openclaw")
    await package.look()
    gone = box.of(PackageSeen)[-1]
    install(modules, "2026.10.1")
    await package.look()
    fresh = box.of(PackageSeen)[-1]
    now.at += SETTLED - 1
    await package.look()
    assert box.of(PackageSeen)[-1] is fresh
    now.at += 1
    await package.look()
    done = box.of(PackageSeen)[-1]
    assert (gone.version, gone.stamp, gone.quiet) == ("2026.9.6", "", False)
    assert (fresh.version, fresh.quiet) == ("2026.10.1", False)
    assert (done.version, done.stamp, done.quiet) == ("2026.10.1", fresh.stamp, True)


@pytest.mark.parametrize("name", [".openclaw-Xa9_kQ2z", ".package-lock.json"])
async def test_npm_at_work_is_seen(modules: Path, name: str) -> None:
    package, box, now = make(modules)
    await settled(package, now)
    (modules / name).touch()
    await package.look()
    busy = box.of(PackageSeen)[-1]
    old = time.time() - 3600
    os.utime(modules / name, (old, old))
    await package.look()
    assert (busy.quiet, box.of(PackageSeen)[-1].quiet) == (False, True)


async def test_no_package_no_fact() -> None:
    box = Box()
    await Package(box.post, box.clock, lambda: None).look()
    assert box.facts == []


async def test_a_damaged_package_json_keeps_the_last_version(modules: Path) -> None:
    package, box, now = make(modules)
    await settled(package, now)
    (modules / "openclaw" / "package.json").write_text('{"version": ')
    await package.look()
    assert (box.of(PackageSeen)[-1].version, box.of(PackageSeen)[-1].quiet) == ("2026.9.6", False)
