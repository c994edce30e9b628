"""Runs `regrow` as a person or a program does: in a process of its own, with a home of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from regrow.host import paths


class Ran:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    def __repr__(self) -> str:
        return f"<{self.code}\n{self.out}\n--\n{self.err}>"


class Shell:
    """A home directory and commands run in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program: tuple[str, ...] = ("-m", "regrow")
        self.env = {
            "PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "REGROW_HOME": str(home / "r"),
            "LANG": "C.UTF-8", "TZ": "UTC", "TERM": "dumb", "PYTHONWARNINGS": "error",
        }  # fmt: skip
        for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    @property
    def root(self) -> Path:
        """What REGROW_HOME names."""
        return self.home / "r"

    def state(self, name: str = "default") -> Path:
        return self.root / "state" / name

    def socket(self, name: str = "default") -> Path:
        return paths.socket_path(self.state(name))

    async def start(self, *args: str, **env: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, *self.program, *args, cwd=self.home, env={**self.env, **env},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def __call__(self, *args: str, stdin: str | None = None, **env: str) -> Ran:
        if stdin is None:
            return await finished(await self.start(*args, **env))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *self.program, *args, cwd=self.home, env={**self.env, **env},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return await finished(process, stdin)


async def finished(process: asyncio.subprocess.Process, stdin: str | None = None) -> Ran:
    """Wait for its end; a test that fails meanwhile leaves nothing behind."""
    try:
        out, err = await process.communicate(stdin.encode() if stdin is not None else None)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """`await shell("status", "--json")`."""
    return Shell(tmp_path)
