"""A scripted OpenClaw: same files, same command line, same wire as a real one, boots at once, fails on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from regrow.host.openclaw import Installation, Node
from regrow.host.ports import free_port

PROGRAM = Path(__file__).parent.parent / "programs" / "gateway.py"
_NODE = """#!/bin/sh
unset COVERAGE_PROCESS_START COVERAGE_PROCESS_CONFIG PYTHONWARNINGS
case "$1" in --version) echo v{node}; exit 0;; esac
exec "{python}" -X frozen_modules=on "$@"
"""


class ChildProgram:
    """A scripted OpenClaw installation with one gateway's files.

    Script keys for a boot: `before` (s until the port opens), `boot` (s from open to ready), `exit_code` (end at
    once; with `exit_after` so many s after ready), `last_words`, `says` (stderr lines), `signal_after` with
    `exit_signal` (default SIGKILL), `hang_after` with `hang_for`, `ignore_term`, `term_takes`, `term_code`, `restart`
    (s an in-place restart takes), `zombie_on_restart`, `no_listener`, `keep_lock`, `child` (leaves a subprocess),
    `reverts` (text it puts into openclaw.json at its boot, the file aside),
    `protocol` (3 for early 2026), `version`, `active` (work in flight), `suppressed`, `answers`, `tick`.
    """

    def __init__(self, root: Path, *, version: str = "2026.9.6", node: str = "24.19.0") -> None:
        self.root = root
        self.port = free_port()
        self.token = secrets.token_hex(8)
        self.home = root / "home"
        self.state_dir = self.home / ".openclaw"
        self.config_path = self.state_dir / "openclaw.json"
        package = root / "node_modules" / "openclaw"
        (package / "dist").mkdir(parents=True)
        self.state_dir.mkdir(parents=True, mode=0o700)
        self.entry = package / "openclaw.mjs"
        self.entry.write_text(f"import runpy\nrunpy.run_path({str(PROGRAM)!r}, run_name='__main__')\n")
        (package / "package.json").write_text(
            json.dumps(
                {
                    "name": "openclaw",
                    "version": version,
                    "bin": {"openclaw": "openclaw.mjs"},
                    "engines": {"node": ">=22"},
                }
            )
        )
        self.node = root / "node"
        self.node.write_text(_NODE.format(node=node, python=sys.executable))
        self.node.chmod(0o755)
        self.installation = Installation(str(self.entry), version, Node(str(self.node), node))
        self.write_config({"gateway": {"mode": "local", "bind": "loopback", "port": self.port}})

    @property
    def url(self) -> str:
        """Where its WebSocket is."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def argv(self) -> list[str]:
        """The command line a supervisor would use."""
        return self.installation.argv("gateway", "run", "--port", str(self.port), "--bind", "loopback")

    @property
    def env(self) -> dict[str, str]:
        """The environment a supervisor would give it."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "OPENCLAW_STATE_DIR": str(self.state_dir),
            "OPENCLAW_CONFIG_PATH": str(self.config_path),
            "OPENCLAW_GATEWAY_TOKEN": self.token,
            "OPENCLAW_NO_RESPAWN": "1",
        }

    def write_config(self, config: dict[str, Any] | str) -> None:
        """Replace its configuration. A key that begins with `bogus` makes it invalid."""
        self.config_path.write_text(config if isinstance(config, str) else json.dumps(config))
        self.config_path.chmod(0o600)

    def script(self, *boots: dict[str, Any]) -> None:
        """Say what the next boots do, one table each; the last one holds for all that follow."""
        (self.state_dir / "boots.jsonl").unlink(missing_ok=True)
        (self.state_dir / "script.json").write_text(json.dumps(boots or [{}]))

    def boots(self) -> list[dict[str, Any]]:
        """Every boot so far: `pid`, `at`, `argv`, `env`."""
        notes = self.state_dir / "boots.jsonl"
        return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []

    def pids(self) -> list[int]:
        """The gateway processes of this installation that live, found by their command line."""
        found = []
        for process in psutil.process_iter(["cmdline", "status"]):
            line = process.info["cmdline"] or []
            if str(self.entry) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        return found

    async def wait_boots(self, count: int, within: float = 10.0) -> list[dict[str, Any]]:
        """Wait until it was started so many times."""
        async with asyncio.timeout(within):
            while len(self.boots()) < count:
                await asyncio.sleep(0.01)
        return self.boots()

    async def wait_listening(self, within: float = 10.0) -> None:
        """Wait until its port accepts."""
        async with asyncio.timeout(within):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    await _close(writer)
                    return
                await asyncio.sleep(0.01)

    async def http(self, path: str, within: float = 2.0) -> tuple[int, Any]:
        """Status and JSON of one probe; 0 if nobody answers."""
        try:
            async with asyncio.timeout(within):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                    raw = await reader.read()
                finally:
                    await _close(writer)
        except (OSError, TimeoutError):
            return 0, None
        head, _, body = raw.partition(b"\r\n\r\n")
        try:
            return int(head.split()[1]), json.loads(body)
        except (ValueError, IndexError):
            return 0, None

    def end_all(self) -> None:
        """End whatever of it still runs, with everything it started."""
        for pid in self.pids():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
                    process.send_signal(signal.SIGKILL)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@pytest.fixture
def child_programs(tmp_path: Path) -> Iterator[Callable[..., ChildProgram]]:
    """`child_programs(version=…)`: scripted OpenClaw installations, ended after the test."""
    made: list[ChildProgram] = []

    def make(**options: Any) -> ChildProgram:
        program = ChildProgram(tmp_path / f"program{len(made)}", **options)
        made.append(program)
        return program

    yield make
    for program in made:
        program.end_all()


@pytest.fixture
def child_program(child_programs: Callable[..., ChildProgram]) -> ChildProgram:
    """One scripted OpenClaw installation."""
    return child_programs()
