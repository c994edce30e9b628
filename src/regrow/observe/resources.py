"""Memory, descriptors and children of the gateway's processes, and the disks it writes to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from regrow.host.process import LINUX, alive
from regrow.model.gateway import Process
from regrow.model.resources import ResourcesSeen, Volume
from regrow.observe.base import Now, Poller, Post

EVERY = 30.0
UNLIMITED = 1 << 60  # what a control group says when it has no limit is larger than any memory


class Resources:
    """Looks every half minute.

    Args:
        post: Takes the facts.
        clock: Tells the time.
        process: The gateway that runs now, if it is on this host.
        places: Directories whose volumes matter.
    """

    def __init__(
        self, post: Post, clock: Now, process: Callable[[], Process | None], places: Iterable[Path], *,
        every: float = EVERY,
    ) -> None:  # fmt: skip
        self._post = post
        self._clock = clock
        self._process = process
        self._places = tuple(places)
        self._poller = Poller("resources", self.look, every)

    async def run(self) -> None:
        """Look until cancelled."""
        await self._poller.run()

    async def look(self) -> None:
        """Look once; in a thread, as a network volume may take its time."""
        seen = await asyncio.to_thread(look, self._process(), self._places, self._clock.now())
        self._post(seen)


def look(process: Process | None, places: Iterable[Path], at: float) -> ResourcesSeen:
    """What is to be seen now."""
    seen = volumes(places)
    if process is None or not alive(process):
        return ResourcesSeen(at=at, volumes=seen)
    try:
        main = psutil.Process(process.pid)
        tree = [main, *main.children(recursive=True)]
        rss = sum(filter(None, map(_rss, tree)))
        descriptors = main.num_fds() if hasattr(main, "num_fds") else None
    except psutil.Error:
        return ResourcesSeen(at=at, volumes=seen)
    if not alive(process):
        return ResourcesSeen(at=at, volumes=seen)  # it ended meanwhile: what was added up is somebody else's
    return ResourcesSeen(
        at=at, process=process, rss=rss, limit=memory_limit(process.pid), descriptors=descriptors,
        descriptor_limit=_descriptor_limit(process.pid), children=len(tree) - 1, volumes=seen,
    )  # fmt: skip


def volumes(places: Iterable[Path]) -> tuple[Volume, ...]:
    """The volumes these lie on, each once."""
    found: dict[int, Volume] = {}
    for place in places:
        try:
            device = place.stat().st_dev
            usage = os.statvfs(place)
        except OSError:
            continue
        size = usage.f_frsize
        volume = Volume(str(place), usage.f_blocks * size, usage.f_bavail * size, usage.f_files, usage.f_favail)
        found.setdefault(device, volume)
    return tuple(found.values())


def memory_limit(pid: int, *, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The memory a process can have: the smallest limit of its control groups, else the host's."""
    limits = [psutil.virtual_memory().total]
    if LINUX:
        try:
            lines = (proc / str(pid) / "cgroup").read_text().splitlines()
        except OSError:
            lines = []
        inside = next((line.split(":", 2)[2] for line in lines if line.startswith("0::")), "")
        group = groups / inside.strip("/")
        for place in (group, *group.parents):
            if not place.is_relative_to(groups):
                break
            limits += _number(place / "memory.max")
    return min(limits)


def _number(path: Path) -> list[int]:
    try:
        number = int(path.read_text())
    except (OSError, ValueError):  # "max" is no number
        return []
    return [number] if 0 < number < UNLIMITED else []


def _rss(process: psutil.Process) -> int | None:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return None


def _descriptor_limit(pid: int) -> int | None:
    try:
        soft, _hard = psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE)
    except (psutil.Error, AttributeError, OSError):
        return None
    return int(soft) if 0 < soft < UNLIMITED else None
