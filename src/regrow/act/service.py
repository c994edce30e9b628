"""Starts and stops a gateway through the service manager that owns it."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import suppress
from typing import Literal

from regrow.host.process import identify
from regrow.host.services import Unit
from regrow.model.errors import Fatal, Retryable
from regrow.model.gateway import Process

ANSWER = 15.0  # seconds for one question to the manager
_FIRST_LOOK = 0.05
_LONGEST_LOOK = 1.0


async def tell(unit: Unit, verb: Literal["start", "stop"]) -> None:
    """Have the manager start or stop it; its end is not waited for.

    Raises:
        Fatal: The manager refuses, or there is none.
        Retryable: It does not answer.
    """
    code, text = await _run(unit.argv(verb))
    if code:
        raise Fatal(f"{unit.kind} would not {verb} {unit.name} (exit {code}): {text.strip()[-300:]}")


async def main_process(unit: Unit) -> Process | None:
    """Its main process, if it has one now."""
    if unit.kind == "launchd":
        code, text = await _run(["launchctl", "list", unit.name])
        found = re.search(r'"PID" = (\d+);', text)
    else:
        scope = ["--user"] if unit.kind == "systemd-user" else []
        code, text = await _run(["systemctl", *scope, "show", unit.name, "--property", "MainPID,ActiveState"])
        found = re.search(r"^MainPID=(\d+)$", text, re.MULTILINE)
        if code == 0 and re.search(r"^ActiveState=failed$", text, re.MULTILINE):
            raise Fatal(f"{unit.name} failed to start: see journalctl {' '.join([*scope, '-u', unit.name])}")
    return identify(int(found[1])) if code == 0 and found is not None else None


async def wait_main_process(unit: Unit, within: float, *, other_than: Process | None = None) -> Process:
    """Wait until it has a main process, newer than the one that was there before.

    Raises:
        Fatal: The start failed.
        Retryable: It has none in time.
    """
    pause = _FIRST_LOOK
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while True:
                found = await main_process(unit)
                if found is not None and found != other_than:
                    return found
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_LOOK)
    raise Retryable(f"{unit.name} has no process {within:g} s after its start was asked for", after=5.0)


async def _run(argv: list[str]) -> tuple[int, str]:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError as error:
        raise Fatal(f"cannot run {argv[0]}: {os.strerror(error.errno or 0)}") from None
    try:
        async with asyncio.timeout(ANSWER):
            out, _ = await process.communicate()
    except TimeoutError:
        raise Retryable(f"{argv[0]} did not answer within {ANSWER:g} s", after=10.0) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(errors="replace")
