"""A world to act on: a scripted gateway's files, what is believed set by hand, and everything that was told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from regrow.act.world import World
from regrow.decide.view import View, fold
from regrow.host.child import Child
from regrow.host.clock import Clock
from regrow.link.line import Line
from regrow.model.facts import AnyFact
from regrow.model.gateway import Mode
from regrow.model.verdicts import Verdict
from rig.programs import ChildProgram

SCOPES = ("operator.read", "operator.write", "operator.admin")


class Memory:
    """A journal in memory."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []
        self.broken = False

    async def intend(self, action: Any, *, durable: bool | None = None) -> int:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.lines.append(("intend", action.kind, bool(durable)))
        return len(self.lines)

    def conclude(self, intent: int, verdict: Verdict) -> None:
        self.lines.append(("conclude", intent, verdict.result))

    async def record_changes(self, changes: Any) -> bool:
        if self.broken:
            return False
        self.lines += [("change", change.id, change.subject) for change in changes]
        return True

    def close_changes(self, ids: Any, *, at: float, why: str) -> None:
        self.lines += [("gone", name, why) for name in ids]

    def keep_config(self, digest: str, version: str, **more: Any) -> None:
        self.lines.append(("keep", digest, version))

    def forget_config(self, digest: str, version: str) -> None:
        self.lines.append(("forget", digest, version))


class Stage:
    """The world with what was posted and said."""

    def __init__(self, program: ChildProgram | None, folder: Path, **options: Any) -> None:
        self.facts: list[AnyFact] = []
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.children: list[Child] = []
        self.view = View(mode=Mode.OWN)
        self.clock = Clock()
        self.journal = Memory()
        self._news = asyncio.Event()
        if program is not None:
            options = {"port": program.port, "token": program.token, "state_dir": program.state_dir,
                       "config_path": program.config_path} | options  # fmt: skip
        folder.mkdir(exist_ok=True, mode=0o700)
        self.world = World(
            folder=folder, post=self.post, view=lambda: self.view, clock=self.clock, journal=self.journal,
            say=lambda kind, data: self.said.append((kind, data)), on_child=self.children.append,
            **options,
        )  # fmt: skip
        if program is not None:
            self.world.use(program.installation)

    def post(self, fact: AnyFact) -> None:
        self.facts.append(fact)
        self.view = fold(self.view, fact)
        self._news.set()

    def believe(self, **what: Any) -> None:
        self.view = replace(self.view, **what)

    def posted(self, kind: type) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def wait_for(
        self, kind: type, count: int = 1, within: float = 10.0, where: Callable[[Any], bool] = bool
    ) -> Any:
        """The newest fact of a kind, once there are so many of them."""
        async with asyncio.timeout(within):
            while len(found := [fact for fact in self.posted(kind) if where(fact)]) < count:
                self._news.clear()
                await self._news.wait()
        return found[-1]

    @contextlib.asynccontextmanager
    async def line(self, url: str, token: str | None, **options: Any) -> AsyncIterator[Line]:
        """A line that is running, not dialled."""
        line = Line(lambda: url, lambda: token, None, SCOPES, clock=self.clock, post=self.post, **options)
        self.world.line = line
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(line.run())
            try:
                yield line
            finally:
                task.cancel()
