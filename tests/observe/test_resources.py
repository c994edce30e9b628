"""A real process, real volumes, and control groups as files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from observe.mailbox import Box
from regrow.host.process import identify
from regrow.model.gateway import Process
from regrow.model.resources import ResourcesSeen
from regrow.observe.resources import Resources, look, memory_limit, volumes


async def test_our_own_process_is_seen_with_what_it_holds(tmp_path: Path) -> None:
    box = Box()
    me = identify(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        await Resources(box.post, box.clock, lambda: me, [tmp_path, tmp_path]).look()
    finally:
        child.communicate(b"\n")
    (seen,) = box.of(ResourcesSeen)
    assert seen.process == me
    assert seen.rss is not None
    assert seen.limit is not None
    assert psutil.Process().memory_info().rss // 2 < seen.rss < seen.limit
    assert seen.descriptors
    assert seen.descriptor_limit
    assert seen.children
    assert len(seen.volumes) == 1
    assert 0 < seen.volumes[0].free <= seen.volumes[0].total


@pytest.mark.parametrize("process", [None, Process(2**22 + 1, 5)])
def test_without_a_process_only_the_volumes_are_seen(tmp_path: Path, process: Process | None) -> None:
    seen = look(process, [tmp_path, tmp_path / "missing"], 1.0)
    assert (seen.process, seen.rss, len(seen.volumes)) == (None, None, 1)
    assert volumes([tmp_path / "missing"]) == ()


def test_the_smallest_limit_of_all_groups_counts(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "7").mkdir(parents=True)
    (proc / "7" / "cgroup").write_text("1:name=systemd:/x\n0::/user/gateway\n")
    (groups / "user" / "gateway").mkdir(parents=True)
    host = psutil.virtual_memory().total
    assert memory_limit(7, proc=proc, groups=groups) == host
    (groups / "user" / "memory.max").write_text("1048576\n")
    (groups / "user" / "gateway" / "memory.max").write_text("max\n")
    assert memory_limit(7, proc=proc, groups=groups) == 1048576
    assert memory_limit(8, proc=proc, groups=groups) == host
