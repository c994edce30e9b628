"""A keeper in a process of its own that tends a real gateway: told, killed and looked at from outside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from regrow.act.settings import ConfigStore
from regrow.host import paths
from regrow.serve import client
from rig.machine import CURRENT, cache_root, one_boot, remember
from rig.real import RealGateway

PATIENCE = 100.0  # less than a test may take: it fails with what was seen, not at its limit
PASSED = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


class Told(NamedTuple):
    """One event that the keeper printed."""

    type: str
    data: dict[str, Any]
    at: float = 0.0

    @property
    def action(self) -> str:
        return str(self.data.get("action", ""))


class Tended:
    """`python -m regrow run` with a home of its own, over the files of one gateway.

    Args:
        gateway: Files, port and token of the gateway; usually its process is the keeper's to start.
        home: The keeper's REGROW_HOME; a second one makes a second keeper.
        section: More lines for the `[gateway]` section and what follows it.
        beside: The gateway is somebody else's too: it is left alone until the whole test is over.
    """

    def __init__(self, gateway: RealGateway, home: Path, section: str = "", *, beside: bool = False) -> None:
        self.beside = beside
        self.gateway = gateway
        self.home = home
        self.process: asyncio.subprocess.Process | None = None
        self.told: list[Told] = []
        self.said = ""
        self._news = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None
        self._notes: list[Path] = []
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        shared = cache_root() / "regrow-cache"  # compiled code is shared, or every first boot takes twice as long
        shared.mkdir(exist_ok=True)
        if not (home / "cache").exists():
            (home / "cache").symlink_to(shared)
        token = home / "token"
        token.write_text(gateway.token)
        token.chmod(0o600)
        settings = home / "config.toml"
        settings.touch(0o600)
        settings.write_text(
            f'[gateway]\nmode = "own"\nstate_dir = "{gateway.state_dir}"\nport = {gateway.port}\n'
            f'token_file = "{token}"\n'
            f'entry = "{gateway.installation.entry}"\nnode = "{gateway.installation.node.path}"\n'
            f'env = {{ HOME = "{gateway.home}", TMPDIR = "{gateway.root / "tmp"}" }}\n{section}\n'
        )
        self.env = {name: os.environ[name] for name in PASSED if name in os.environ}
        self.env |= {"HOME": str(gateway.home), "REGROW_HOME": str(home), "PYTHONWARNINGS": "error"}

    # ── its life ──

    @property
    def socket(self) -> Path:
        return paths.socket_path(self.home / "state" / "default")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def run(self, *args: str) -> int:
        """Start it; gives the place where what it tells begins."""
        place = self.now
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "regrow", "run", "--log-format", "json", *args, cwd=self.home, env=self.env,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self._notes.append(remember(self.process.pid))
        self._reading = asyncio.create_task(self._read(self.process))
        return place

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := (await process.stdout.readline()).decode():
            async with self._news:
                try:
                    said = json.loads(line)
                    told = Told(said["type"], said["data"], said["at"] / 1000)
                except (ValueError, KeyError, TypeError):
                    self.said += line
                else:
                    self.told.append(told)
                    self._note(told)
                self._news.notify_all()
        await process.wait()
        async with self._news:
            self.told.append(Told("(the keeper ended)", {"code": process.returncode}))
            self._news.notify_all()

    def _note(self, told: Told) -> None:
        """A test run that is killed leaves no gateway behind for the next one."""
        started = re.match(r"pid (\d+)", str(told.data.get("detail")))
        if told.type == "action:done" and told.action == "start" and started:
            with contextlib.suppress(psutil.Error):
                self._notes.append(remember(int(started[1])))

    async def killed(self) -> None:
        """SIGKILL to the keeper; what it tended is left alone."""
        assert self.process is not None
        self.process.kill()
        await self.ended()

    async def ended(self) -> int:
        """Wait for its end; gives its exit code."""
        assert self.process is not None
        assert self._reading is not None
        async with asyncio.timeout(PATIENCE * 4):
            await self._reading
        assert self.process.returncode is not None
        return self.process.returncode

    async def quit(self) -> int:
        """SIGTERM, as a service manager or Ctrl-C would."""
        assert self.process is not None
        self.process.terminate()
        return await self.ended()

    async def clear(self) -> None:
        """End the keeper and whatever it started, however the test went."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
        if self._reading is not None:
            await self._reading
        if not self.beside:
            await asyncio.to_thread(self.sweep)

    def sweep(self) -> None:
        """Kill what is left of keeper and gateway."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
        for process in self.gateways(family=True):
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)
                process.wait(5)
        for note in self._notes:
            note.unlink(missing_ok=True)

    # ── what it tells ──

    @property
    def now(self) -> int:
        """A place in what it told: what comes after is news."""
        return len(self.told)

    async def until(self, type_: str, *, since: int = 0, within: float = PATIENCE, **data: Any) -> int:
        """Wait for an event of this type with this data; gives the place after it."""
        seen = since

        def there() -> bool:
            nonlocal seen
            while seen < len(self.told):
                one = self.told[seen]
                seen += 1
                if one.type == type_ and all(_like(one.data.get(key), value) for key, value in data.items()):
                    return True
                if one.type == "(the keeper ended)":
                    pytest.fail(f"the keeper ended before it told {type_} {data}:\n{self.story(since)}")
            return False

        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(there)
        except TimeoutError:
            pytest.fail(f"no {type_} {data} within {within:.0f} s; it told:\n{self.story(since)}")
        return seen

    async def ready(self, since: int = 0, within: float = PATIENCE) -> int:
        return await self.until("gateway:ready", since=since, within=within)

    def acts(self, since: int = 0) -> list[str]:
        """What it set about to do."""
        return [told.action for told in self.told[since:] if told.type == "action:intended"]

    def types(self, since: int = 0) -> list[str]:
        return [told.type for told in self.told[since:]]

    def story(self, since: int = 0) -> str:
        """All it told, for a failure's text."""
        first = self.told[0].at if self.told else 0.0
        lines = (f"{told.at - first:7.2f} {told.type} {json.dumps(told.data)[:300]}" for told in self.told[since:])
        return "\n".join((*lines, self.said))

    # ── what it is asked ──

    async def answers(self) -> None:
        """Wait until it takes calls."""

        async def does() -> bool:
            try:
                await self.status()
            except client.NotRunning:
                return False
            return True

        await self.comes(does)

    async def kept(self, digest: str) -> None:
        """Wait until this configuration is stored as proven."""
        store = ConfigStore(self.home / "state" / "default" / "kept")
        await self.comes(lambda: any(one.digest == digest for one in store.kept()))

    async def comes(self, so: Callable[[], Any], within: float = PATIENCE) -> None:
        """Wait for something that no event tells."""
        end = asyncio.get_running_loop().time() + within
        while not (await found if asyncio.iscoroutine(found := so()) else found):
            if asyncio.get_running_loop().time() > end:
                pytest.fail(f"it did not come within {within:.0f} s; it told:\n{self.story()}")
            await asyncio.sleep(0.02)

    async def status(self) -> dict[str, Any]:
        answer = await asyncio.to_thread(client.one, self.socket, {"op": "status"})
        assert answer["ok"], answer
        found: dict[str, Any] = answer["result"]
        return found

    async def ask(self, verb: str, **fields: Any) -> list[dict[str, Any]]:
        """Every reply to a request, the final one last."""
        wish = {"op": "ask", "verb": verb, "by": "test", **fields}

        def answers() -> list[dict[str, Any]]:
            replies = []
            with contextlib.closing(client.ask(self.socket, wish, patience=None)) as stream:  # type: ignore[type-var]
                for said in stream:
                    replies.append(said["reply"])
                    if replies[-1]["state"] != "queued":
                        break
            return replies

        return await asyncio.to_thread(answers)

    async def begin(self, verb: str, **fields: Any) -> None:
        """Hand a request over and do not wait for what becomes of it."""
        wish = {"op": "ask", "verb": verb, "by": "test", **fields}

        def first() -> None:
            with contextlib.closing(client.ask(self.socket, wish)) as stream:  # type: ignore[type-var]
                next(stream)

        await asyncio.to_thread(first)

    async def cli(self, *args: str) -> tuple[int, str]:
        """A command in a process of its own: exit code and output."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "regrow", *args, cwd=self.home, env=self.env,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode()

    # ── the gateway from outside ──

    def gateways(self, *, family: bool = False) -> list[psutil.Process]:
        """The gateway processes of this state directory; with `family` whatever they started too."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("OPENCLAW_STATE_DIR") != str(self.gateway.state_dir):
                    continue
                words = " ".join(process.cmdline())
                if process.status() != psutil.STATUS_ZOMBIE and (
                    family or "openclaw-gateway" in words or "gateway run" in words
                ):
                    found.append(process)
        return found

    async def config(self, config: dict[str, Any] | str) -> None:
        """Replace openclaw.json."""
        await asyncio.to_thread(self.gateway.write_config, config)


def _like(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) and isinstance(found, str):
        return wanted in found
    return bool(found == wanted)


Tend = Callable[..., AbstractAsyncContextManager[Tended]]


@pytest.fixture
def tended(gateway_files: Callable[..., RealGateway], tmp_path: Path) -> Iterator[Tend]:
    """`async with tended("2026.9.6") as keeper`: files for keeper and gateway; nothing of both is left behind."""
    made: list[Tended] = []

    @contextlib.asynccontextmanager
    async def make(
        version: str = CURRENT,
        *,
        section: str = "",
        home: str = "regrow",
        gateway: RealGateway | None = None,
        limit: float = 112.0,
        **files: Any,
    ) -> AsyncIterator[Tended]:
        keeper = Tended(
            gateway or gateway_files(version, **files), tmp_path / home, section, beside=gateway is not None
        )
        made.append(keeper)
        async with contextlib.AsyncExitStack() as stack:
            if gateway is None:  # else it was booted elsewhere, and whoever did that holds the lock as long as needed
                lock = one_boot()
                await asyncio.to_thread(lock.__enter__)
                stack.callback(lock.__exit__, None, None, None)
            try:
                async with asyncio.timeout(limit):  # a little less than the test may take: then it can say what it saw
                    yield keeper
            except TimeoutError:
                pytest.fail(f"not over within {limit:.0f} s; it told:\n{keeper.story()}")
            finally:
                await keeper.clear()

    yield make
    for keeper in made:  # a test that was cut off cleared nothing
        keeper.sweep()
