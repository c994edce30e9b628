"""Real OpenClaw gateways: each with its own home, state, port and token, and gone when the test is over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest

from regrow.host.openclaw import Installation
from regrow.host.ports import free_port
from rig.machine import CURRENT, cache_root, one_boot, remember

READY_WITHIN = 90.0
EARLY = ("2026.3.", "2026.4.")
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")


class RealGateway:
    """One OpenClaw gateway process and where its things are."""

    def __init__(
        self,
        root: Path,
        installation: Installation,
        *,
        config: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        args: tuple[str, ...] = (),
    ) -> None:
        self.root = root
        self.installation = installation
        self.version = installation.version
        self.port = free_port()
        self.token = secrets.token_hex(16)
        self.home = root / "home"
        self.state_dir = self.home / ".openclaw"
        self.config_path = self.state_dir / "openclaw.json"
        self.log = root / "gateway.log"  # what it prints
        self.log_file = root / "openclaw.jsonl"  # its own log
        self.args = args
        self.process: subprocess.Popen[bytes] | None = None
        self._family: list[psutil.Process] = []
        (root / "tmp").mkdir(parents=True, exist_ok=True)
        self.state_dir.mkdir(parents=True, mode=0o700)
        base: dict[str, Any] = {
            "gateway": {"mode": "local", "bind": "loopback", "port": self.port},
            "logging": {"file": str(self.log_file)},
        }
        if self.version.startswith(EARLY):
            base["plugins"] = {"enabled": False}  # else it runs npm for 35 packages before it listens
        self.write_config(_merged(base, config or {}))
        cache = cache_root() / "compile" / self.version
        cache.mkdir(parents=True, exist_ok=True)
        self.env = {key: os.environ[key] for key in _KEPT if key in os.environ} | {
            "HOME": str(self.home),
            "TMPDIR": str(root / "tmp"),
            "OPENCLAW_STATE_DIR": str(self.state_dir),
            "OPENCLAW_CONFIG_PATH": str(self.config_path),
            "OPENCLAW_GATEWAY_TOKEN": self.token,
            "OPENCLAW_NO_RESPAWN": "1",
            "NODE_COMPILE_CACHE": str(cache),
            "OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED": "1",
        }
        self.env["PATH"] = os.pathsep.join([str(Path(installation.node.path).parent), self.env.get("PATH", os.defpath)])
        self.env |= env or {}

    @property
    def url(self) -> str:
        """Where its WebSocket is."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http(self) -> str:
        """Where its probes are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def argv(self) -> list[str]:
        """The command line it is started with."""
        return self.installation.argv("gateway", "run", "--port", str(self.port), "--bind", "loopback", *self.args)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.poll() is None

    def write_config(self, config: dict[str, Any] | str) -> None:
        """Replace its configuration file."""
        text = config if isinstance(config, str) else json.dumps(config, indent=2)
        self.config_path.write_text(text)
        self.config_path.chmod(0o600)

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it is ready unless told otherwise."""
        with one_boot(), self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, env=self.env, cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
            self._note = remember(self.process.pid)
            if wait:
                self.wait_ready()

    def wait_ready(self, within: float = READY_WITHIN) -> None:
        """Wait until it says that its boot is over; fail at once if it ends instead."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if not self.running:
                assert self.process is not None
                pytest.fail(f"gateway ended with {self.process.returncode} while booting:\n{self.tail()}")
            if self.is_ready():
                self._family = psutil.Process(self.pid).children(recursive=True)
                return
            time.sleep(0.1)
        pytest.fail(f"gateway not ready within {within:.0f} s:\n{self.tail()}")

    def is_ready(self) -> bool:
        """`/startupz` on current versions; early 2026 answers it with a page, there `/readyz` tells."""
        path = "/readyz" if self.version.startswith(EARLY) else "/startupz"
        status, body = self.probe(path)
        return status == 200 and isinstance(body, dict)

    def probe(self, path: str, within: float = 2.0) -> tuple[int, Any]:
        """Status and JSON of one HTTP probe; 0 if nobody answers."""
        try:
            with urllib.request.urlopen(self.http + path, timeout=within) as answer:
                status, raw = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, raw = error.code, error.read()
        except OSError:
            return 0, None
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, None

    def tail(self, lines: int = 30) -> str:
        """The last lines it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def stop(self, within: float = 20.0) -> int | None:
        """End it (TERM, then KILL), prove that nothing of it is left, and give its exit code."""
        if self.process is None:
            return None
        with contextlib.suppress(psutil.Error):
            self._family = list({*self._family, *psutil.Process(self.pid).children(recursive=True)})
        if self.running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(10)
        left = _still_there(self._family, within=5)
        for process in left:
            process.kill()
        self._note.unlink(missing_ok=True)
        assert not left, f"gateway {self.pid} left processes behind: {left}"
        return code


Boot = Callable[..., AbstractAsyncContextManager[RealGateway]]


@pytest.fixture
def gateway_files(tmp_path: Path, openclaw: Callable[[str], Installation]) -> Iterator[Callable[..., RealGateway]]:
    """`gateway_files(version, config=…)`: a gateway's files, port and token; ended after the test if it runs."""
    made: list[RealGateway] = []

    def make(version: str = CURRENT, **options: Any) -> RealGateway:
        gateway = RealGateway(tmp_path / f"gateway{len(made)}", openclaw(version), **options)
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        gateway.stop()


@pytest.fixture
def real_gateway(gateway_files: Callable[..., RealGateway]) -> Boot:
    """`async with real_gateway("2026.9.6", config=…, env=…) as gw`: a real gateway, ready."""

    @contextlib.asynccontextmanager
    async def boot(version: str = CURRENT, *, wait: bool = True, **options: Any) -> AsyncIterator[RealGateway]:
        gateway = gateway_files(version, **options)
        try:
            await asyncio.to_thread(gateway.start, wait=wait)
            yield gateway
        finally:
            await asyncio.to_thread(gateway.stop)

    return boot


@pytest.fixture(scope="session")
def shared_gateway(
    tmp_path_factory: pytest.TempPathFactory, openclaw: Callable[[str], Installation]
) -> Iterator[Callable[[str], RealGateway]]:
    """`shared_gateway(version)`: one ready gateway for all tests that only talk to it and break nothing."""
    known: dict[str, RealGateway] = {}

    def get(version: str = CURRENT) -> RealGateway:
        if version not in known:
            known[version] = RealGateway(tmp_path_factory.mktemp("shared") / version, openclaw(version))
            known[version].start()
        assert known[version].running, "an earlier test ended the shared gateway"
        return known[version]

    yield get
    for gateway in known.values():
        gateway.stop()


def _still_there(family: list[psutil.Process], within: float) -> list[psutil.Process]:
    """Those that still run after a while. A zombie is gone: it only waits for a parent that may never reap it."""
    end = time.monotonic() + within
    while True:
        left = []
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    left.append(process)
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.05)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in over.items():
        mine = both.get(key)
        both[key] = _merged(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return both
