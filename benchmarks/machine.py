"""What the real-gateway benchmarks share: the installed OpenClaw, its files, boots, probes and a keeper over it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

import rig_path  # noqa: F401  (first of all: it finds the rig)
from regrow.host.openclaw import Installation, find_openclaw
from rig.machine import CURRENT, cache_root, one_boot
from rig.real import RealGateway

_MINE = ("PATH", "LANG", "LC_ALL", "TZ")
WITHIN = 90.0


def host() -> str:
    """One line about this machine."""
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start"
    )


def openclaw() -> Installation:
    """The version the tests use, from their cache."""
    entry = cache_root() / "openclaw" / CURRENT / "node_modules" / "openclaw"
    if not entry.exists():
        raise SystemExit(f"OpenClaw {CURRENT} is not in {cache_root()}: python tests/rig/machine.py installs it")
    return find_openclaw(str(entry))


@contextlib.contextmanager
def files(**options: Any) -> Iterator[RealGateway]:
    """A gateway's files, port and token in a directory of their own; whatever runs on them is ended."""
    with tempfile.TemporaryDirectory(prefix="regrow-bench-", ignore_cleanup_errors=True) as folder, one_boot():
        gateway = RealGateway(Path(folder) / "gateway", openclaw(), **options)
        try:
            yield gateway
        finally:
            clear(gateway)


def family(gateway: RealGateway) -> list[psutil.Process]:
    """Every process of this state directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("OPENCLAW_STATE_DIR") == str(gateway.state_dir):
                found.append(process)
    return found


def clear(gateway: RealGateway) -> None:
    """End it all, without its consent."""
    for process in family(gateway):
        with contextlib.suppress(psutil.Error):
            process.kill()
            process.wait(5)


def probe(port: int, path: str = "/startupz") -> int:
    """The status of one probe; 0 if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def wait_up(port: int, within: float = WITHIN) -> float:
    """Wait for `/startupz` 200; gives the moment."""
    until = time.monotonic() + within
    while time.monotonic() < until:
        if probe(port) == 200:
            return time.monotonic()
        time.sleep(0.02)
    raise TimeoutError(f"not up within {within:.0f} s")


class Keeper:
    """`regrow run` over a gateway's files, told to use nothing else."""

    def __init__(self, gateway: RealGateway, home: Path, section: str = "") -> None:
        self.gateway = gateway
        self.home = home
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        shared = cache_root() / "regrow-cache"  # compiled code outlives a keeper
        shared.mkdir(exist_ok=True)
        if not (home / "cache").exists():
            (home / "cache").symlink_to(shared)
        (home / "token").touch(0o600)
        (home / "token").write_text(gateway.token)
        (home / "config.toml").write_text(
            f'[gateway]\nmode = "own"\nstate_dir = "{gateway.state_dir}"\nport = {gateway.port}\n'
            f'token_file = "{home / "token"}"\nentry = "{gateway.installation.entry}"\n'
            f'node = "{gateway.installation.node.path}"\n'
            f'env = {{ HOME = "{gateway.home}", TMPDIR = "{gateway.root / "tmp"}" }}\n{section}\n'
        )
        self.env = {name: os.environ[name] for name in (*_MINE, "PYTHONPATH") if name in os.environ} | {
            "HOME": str(gateway.home), "REGROW_HOME": str(home),
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it."""
        with (self.home / "said").open("ab") as said:
            self.process = subprocess.Popen(
                self.argv("run"), env=self.env, cwd=self.home, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip

    def argv(self, *words: str) -> list[str]:
        """A command line of regrow."""
        return [sys.executable, "-m", "regrow", *words]

    def ask(self, *words: str, within: float = 120.0) -> subprocess.CompletedProcess[bytes]:
        """A command beside it, to its end."""
        return subprocess.run(
            self.argv(*words), env=self.env, cwd=self.home, capture_output=True, timeout=within, check=False
        )

    def status(self) -> dict[str, Any]:
        """`regrow status --json`."""
        found: dict[str, Any] = json.loads(self.ask("status", "--json").stdout or b"{}")
        return found

    def wait_ready(self, within: float = WITHIN) -> dict[str, Any]:
        """Wait until it believes its gateway to be ready."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            with contextlib.suppress(ValueError):
                status = self.status()
                if status.get("gatewayReady"):
                    return status
            time.sleep(0.3)
        raise TimeoutError(f"not ready within {within:.0f} s:\n{(self.home / 'said').read_text()[-3000:]}")

    def kill(self) -> None:
        """End the keeper; the gateway lives on."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
