"""Runs a command to its end, OpenClaw's most of all: bounded in time and output, nothing of it left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from regrow.host.openclaw import Installation
from regrow.model.errors import Fatal, Retryable

CAP = 1024 * 1024
_CHUNK = 64 * 1024
_REAP = 5.0  # after SIGKILL


class Finished(Struct, frozen=True):
    """How a command ended.

    Attributes:
        code: Its exit code, negative for a signal.
        stdout: What it printed, cut at the cap.
        stderr: What it complained, cut at the cap.
        cut: True if it printed more than was kept.
    """

    code: int
    stdout: str
    stderr: str
    cut: bool = False


async def run_openclaw(
    installation: Installation,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout: float = 60.0,  # noqa: ASYNC109  (the process group has to be ended with it)
    cap: int = CAP,
) -> Finished:
    """Run `openclaw …` and wait for its end. It costs seconds of a core: not for routine looks.

    Args:
        installation: Which OpenClaw, with which Node.
        argv: Its arguments; no secrets, everybody can read them.
        env: The whole environment, as `launch.plan` makes it.
        timeout: Seconds after which it is killed, with all it started.
        cap: Bytes kept of each stream; the rest is read and dropped, so that it never blocks.

    Raises:
        Retryable: It did not end in time, or the host could not start it.
        Fatal: The program does not exist or may not be run.
    """
    what = f"openclaw {' '.join(argv)}"
    return await run_command(
        installation.argv(*argv), what, env=env, timeout=timeout, cap=cap, missing="install OpenClaw again"
    )


async def run_command(
    argv: Sequence[str],
    what: str,
    *,
    env: Mapping[str, str],
    timeout: float = 60.0,  # noqa: ASYNC109  (as above)
    cap: int = CAP,
    missing: str = "install it",
) -> Finished:
    """Run a program without a shell and wait for its end.

    Args:
        argv: The program and its arguments.
        what: What to call it in messages.
        env, timeout, cap: As above.
        missing: What to do when the program is not there.

    Raises:
        Retryable, Fatal: As above.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError) as error:
        raise Fatal(f"cannot run {what}: {os.strerror(error.errno or 0)}; {missing}") from None
    except OSError as error:
        raise Retryable(f"cannot run {what}: {os.strerror(error.errno or 0)}", after=5.0) from None
    done = False
    try:
        async with asyncio.timeout(timeout):
            (out, more), (complaints, much), code = await asyncio.gather(
                _read(process.stdout, cap), _read(process.stderr, cap), process.wait()
            )
        done = True
    except TimeoutError:
        raise Retryable(f"{what} did not end within {timeout:g} s and was killed") from None
    finally:
        if not done:
            await _kill(process)
    return Finished(code, out, complaints, cut=more or much)


async def _read(stream: asyncio.StreamReader | None, cap: int) -> tuple[str, bool]:
    """All of a stream, of which the first bytes are kept."""
    assert stream is not None  # noqa: S101  (a pipe was asked for)
    kept, cut = bytearray(), False
    while chunk := await stream.read(_CHUNK):
        room = cap - len(kept)
        kept += chunk[:room]
        cut = cut or len(chunk) > room
    return kept.decode(errors="replace"), cut


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End it with all it started: as long as one of them holds our pipes, the group's number is theirs."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_REAP):
            await process.wait()
