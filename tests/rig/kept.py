"""A keeper in this process that tends a scripted gateway: asked, listened to and looked into while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec import convert
from msgspec.structs import replace

from regrow.config.schema import Config, Secret
from regrow.daemon import Daemon
from regrow.decide.engine import Outcome
from regrow.decide.profiles import DEFAULT, Policy
from regrow.model.facts import AnyFact
from rig.programs import ChildProgram

# what is waited for here is scripted to come at once; a keeper of a real gateway is in no such hurry
HASTY = replace(
    DEFAULT, name="hasty", ready_probes=(0.1, 0.2, 0.3, 0.5), probe_every=0.2, probe_within=0.5, reconnect_first=0.05,
    reconnect_cap=0.2, stop_budget=8.0, lease_every=0.2, update_settled=0.0, stranger_grace=1.5,
)  # fmt: skip
PATIENCE = 10.0


def settings(program: ChildProgram | None, folder: Path, **gateway: Any) -> Config:
    """The configuration of a keeper of this gateway. Keys that begin with `regrow_` or `heal_` go to that section."""
    own = {key.removeprefix("regrow_"): gateway.pop(key) for key in list(gateway) if key.startswith("regrow_")}
    heal = {key.removeprefix("heal_"): gateway.pop(key) for key in list(gateway) if key.startswith("heal_")}
    token = gateway.pop("token", program.token if program is not None else None)
    if program is not None:
        gateway = {
            "state_dir": program.state_dir, "config": program.config_path, "port": program.port, "entry": program.entry,
            "node": program.node, "env": {"HOME": str(program.home)}, "mode": "own", **gateway,
        }  # fmt: skip
    base = Config()
    heal_config = convert(heal, type(base.heal)) if heal else base.heal
    return replace(
        base,
        gateway=replace(base.gateway, token=Secret(token) if token else None, **gateway),
        regrow=replace(base.regrow, state_dir=folder, **own),
        heal=heal_config,
    )


class Kept:
    """One keeper at work.

    Attributes:
        told: Events (type, data) in order.
        facts: Facts with what followed from them.
        code: What its `run` gave, once it has ended.
    """

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.facts: list[tuple[AnyFact, Outcome]] = []
        self.code: int | None = None
        self.news = asyncio.Condition()
        self.running: asyncio.Task[int] | None = None

    def hear(self, type_: str, data: dict[str, Any]) -> None:
        self.told.append((type_, data))

    @property
    def types(self) -> list[str]:
        return [type_ for type_, _ in self.told]

    def all(self, type_: str, **data: Any) -> list[dict[str, Any]]:
        """Events of a type that say this."""
        return [said for kind, said in self.told if kind == type_ and data.items() <= said.items()]

    def done(self, result: str = "done") -> list[str]:
        """The changes that were made, in order."""
        return [data["action"] for type_, data in self.told if type_ == f"action:{result}"]

    async def until(self, claim: Callable[[], Any], within: float = PATIENCE) -> Any:
        """Wait until something is so."""
        try:
            async with asyncio.timeout(within):
                while not (found := claim()):
                    if self.running is not None and self.running.done():
                        self.running.result()
                        raise AssertionError("the keeper ended")
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"it did not come about; told: {self.told[-25:]}") from None
        return found

    async def told_of(self, type_: str, count: int = 1, within: float = PATIENCE, **data: Any) -> dict[str, Any]:
        """Wait for the count-th event of a type that says this."""
        await self.until(lambda: len(self.all(type_, **data)) >= count, within)
        return self.all(type_, **data)[count - 1]

    async def ready(self, count: int = 1) -> dict[str, Any]:
        """Wait until the gateway was proven ready so many times."""
        return await self.told_of("gateway:ready", count)

    async def ask(self, verb: str, **more: Any) -> list[dict[str, Any]]:
        """Ask over the control socket; every answer, the final one last."""
        replies: list[dict[str, Any]] = []
        async with contextlib.aclosing(self.talk({"op": "ask", "verb": verb, "by": "test", **more})) as answers:
            async for answer in answers:
                replies.append(answer.get("reply", answer))
                if replies[-1].get("state") != "queued":
                    break
        return replies

    async def op(self, op: str, **more: Any) -> dict[str, Any]:
        """Any other request with one answer."""
        async with contextlib.aclosing(self.talk({"op": op, **more})) as answers:
            return await anext(answers)

    async def talk(self, request: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Every answer to a request, as it comes. No thread is used: the keeper in this process needs them."""
        reader, writer = await asyncio.open_unix_connection(str(self.daemon.place.socket), limit=1 << 24)
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            while True:
                async with asyncio.timeout(PATIENCE):
                    line = await reader.readline()
                if not line:
                    return
                yield json.loads(line)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @property
    def status(self) -> dict[str, Any]:
        return self.daemon.status()

    @property
    def pid(self) -> int:
        process = self.daemon.mind.view().process
        assert process is not None
        return process.pid

    async def end(self) -> int:
        """Tell it to end, and wait."""
        assert self.running is not None
        self.daemon.quit()
        async with asyncio.timeout(PATIENCE):
            return await self.running


@contextlib.asynccontextmanager
async def keeping(
    config: Config, *, policy: Policy = HASTY, kind: type[Daemon] = Daemon, reload: Callable[[], Config] | None = None
) -> AsyncIterator[Kept]:
    """A keeper at work for as long as the block lasts; the gateway is ended with it unless told otherwise."""
    made: list[Kept] = []

    def hear(type_: str, data: dict[str, Any]) -> None:
        made[0].hear(type_, data)

    daemon = kind(config, say=hear, reload=reload, policy=policy)
    kept = Kept(daemon)
    made.append(kept)
    kept.running = asyncio.create_task(daemon.run(), name="keeper")
    try:
        await kept.until(lambda: "regrow:started" in kept.types)
        daemon.mind.listeners.append(lambda fact, outcome: kept.facts.append((fact, outcome)))
        await kept.until(daemon.control.listening.is_set)
        yield kept
        if not kept.running.done():
            kept.code = await kept.end()
        else:
            kept.code = kept.running.result()
    finally:
        kept.running.cancel()
        await asyncio.wait([kept.running])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The keeper's directory; everything else of regrow's lies in this test's directory too."""
    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "regrow"))
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "keeper"


@pytest.fixture
def no_leaks() -> Any:
    """No open file, task or process is left when the test is over."""
    before = _descriptors()
    mine = psutil.Process()
    children = {child.pid for child in mine.children(recursive=True)}
    yield
    left = {fd: where for fd, where in _descriptors().items() if fd not in before}
    assert not [where for where in left.values() if "event" not in where and "socket" not in where], left
    for child in mine.children(recursive=True):
        if child.pid not in children and child.status() == psutil.STATUS_ZOMBIE:
            child.wait(1)  # what an earlier keeper of this same process left is ours to reap, not the later one's
    assert {child.pid for child in mine.children(recursive=True)} <= children


def _descriptors() -> dict[str, str]:
    found = {}
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[fd.name] = str(fd.readlink())
    return found
