"""A gateway process: spawned or adopted, its end awaited, its output followed; it survives us."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from regrow.host import output
from regrow.host.process import alive, started
from regrow.model.errors import Fatal, RegrowError, Retryable
from regrow.model.gateway import Process

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
_POLL = 0.1  # only where no handle tells the end


class Child:
    """One life of a gateway process. Made by `spawn` or `adopt`.

    Its output goes to a file and never through a pipe of ours: our death, however sudden, takes nothing from it.

    Attributes:
        process: Its identity.
        log: Where its output is, if it is known.
        adopted: True if it was running before.
        output_error: Why its output could not be kept, or "".
        code: Its exit code once it ended, negative for a signal; None if unknown (it was not our child).
        cpu: CPU seconds this life and its reaped children burnt, once it ended; None if unknown.
    """

    def __init__(
        self, process: Process, log: Path | None, *, adopted: bool, handle: int | None, output_error: str = ""
    ) -> None:
        self.process = process
        self.log = log
        self.adopted = adopted
        self.output_error = output_error
        self.code: int | None = None
        self.cpu: float | None = None
        self._handle = handle
        self._ended = asyncio.Event()
        self._watched: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        kind = "adopted" if self.adopted else "own"
        return f"<Child {kind} pid={self.process.pid} {'ended' if self.ended else 'running'}>"

    @property
    def ended(self) -> bool:
        """Whether its end has been noticed (by `wait` or `poll`)."""
        return self._ended.is_set()

    async def wait(self) -> int | None:
        """Wait until it has ended, which costs nothing meanwhile; may be called by several tasks.

        Returns:
            Its exit code, negative for a signal, or None if nobody can tell us.
        """
        if not self.poll():
            if self._watch():
                await self._ended.wait()
            else:
                while not self.poll():  # noqa: ASYNC110  (this platform has no event for it)
                    await asyncio.sleep(_POLL)
        return self.code

    def poll(self) -> bool:
        """Whether it has ended, asked now; reaps it if it is our own child."""
        if self._ended.is_set():
            return True
        gone = not alive(self.process) if self.adopted else self._reap()
        if gone:
            self._finish()
        return gone

    async def lines(self, *, backlog: int | None = None) -> AsyncIterator[str]:
        """Its output, line by line without colours, until it has ended and all was read.

        Args:
            backlog: How many bytes of what it wrote before now to begin with; None begins with its first line.
        """
        if self.log is None:
            await self.wait()
            return
        tail = output.Tail(self.log, backlog=backlog)
        pause = _FIRST_PAUSE
        try:
            while True:
                ended = self.poll() if self._watched is None else self._ended.is_set()
                quiet = True
                for line in tail.read(final=ended):
                    quiet = False
                    yield line
                if ended:
                    return
                tail.cut()
                pause = min(pause * 2, _LONGEST_PAUSE) if quiet else _FIRST_PAUSE
                await self._pause(pause)
        finally:
            tail.close()

    def last(self, count: int = 20) -> tuple[str, ...]:
        """The last lines it wrote. They may hold secrets: redact before they are kept or shown."""
        return () if self.log is None else output.last_lines(self.log, count)

    def close(self) -> None:
        """Stop watching. The process is left alone."""
        if self._watched is not None and self._handle is not None and not self._watched.is_closed():
            self._watched.remove_reader(self._handle)
        self._watched = None
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    async def _pause(self, seconds: float) -> None:
        if not self._watch():
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()

    def _watch(self) -> bool:
        """Have the loop tell us its end; False where no handle does."""
        if self._handle is None:
            return self.ended
        if self._watched is None:
            loop = asyncio.get_running_loop()
            try:
                loop.add_reader(self._handle, self._on_end)
            except NotImplementedError:
                return False
            self._watched = loop
        return True

    def _on_end(self) -> None:
        if not self.adopted:
            self._reap()
        self._finish()

    def _reap(self) -> bool:
        try:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        except ChildProcessError:
            return True  # somebody else reaped it: it is gone and its code with it
        if pid == 0:
            return False
        self.code = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        return True

    def _finish(self) -> None:
        self._ended.set()
        self.close()


def spawn(argv: Sequence[str], env: Mapping[str, str], cwd: Path | None, log: Path | None) -> Child:
    """Start a process in a session of its own, its output appended to a private file. Costs about half a millisecond.

    Args:
        argv: Program and arguments; the program as a path.
        env: The whole environment.
        cwd: Its working directory.
        log: Its output; earlier ones are kept as `.1` to `.4`. If it cannot be written the process runs without.

    Raises:
        Retryable: The host is short of memory, processes or file handles.
        Fatal: The program or its directory does not exist or may not be run.
    """
    sink, problem = _sink(log)
    try:
        popen = subprocess.Popen(  # noqa: S603  (argv comes from the launch plan, no shell is involved)
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise _explain(error, argv, cwd) from None
    except ValueError:
        # an embedded NUL: the message would repeat the argument, which may be a secret
        raise Fatal(f"cannot start {argv[0]!r}: its arguments or environment contain a NUL character") from None
    finally:
        if sink != subprocess.DEVNULL:
            os.close(sink)
    pid = popen.pid
    # We wait for it ourselves: without this the object would warn about, and reap, a child it no longer owns.
    popen.returncode = 0
    begun = started(pid)  # a child that died already is an unreaped zombie and still tells
    if begun is None:
        begun = 0
    return Child(
        Process(pid=pid, started=begun),
        None if problem else log,
        adopted=False,
        handle=_open_handle(pid),
        output_error=problem,
    )


def adopt(process: Process, log: Path | None = None) -> Child:
    """Take over a running process, without touching it.

    Args:
        process: The life that is meant.
        log: Where its output goes, if an earlier life of ours started it.

    Raises:
        Retryable: It is gone.
    """
    handle = _open_handle(process.pid)
    # the handle came first: if the identity still holds now, the handle is that life's
    if not alive(process):
        if handle is not None:
            os.close(handle)
        raise Retryable(f"process {process.pid} ended before it could be taken over")
    return Child(process, log, adopted=True, handle=handle)


def _sink(log: Path | None) -> tuple[int, str]:
    """Where output goes; a full disk must not keep a gateway from starting."""
    if log is None:
        return subprocess.DEVNULL, ""
    try:
        return output.create(log), ""
    except OSError as error:
        return subprocess.DEVNULL, f"output is not kept: {log}: {os.strerror(error.errno or 0)}"


def _open_handle(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


_SHORTAGES = {
    errno.ENOMEM: "the host has no memory for another process",
    errno.EAGAIN: "the limit of processes is reached",
    errno.EMFILE: "regrow has too many files open",
    errno.ENFILE: "the host has too many files open",
    errno.ETXTBSY: "the program is being replaced",
}


def _explain(error: OSError, argv: Sequence[str], cwd: Path | None) -> RegrowError:
    """One clear error; arguments beyond the program's name stay out of it."""
    if error.errno in _SHORTAGES:
        return Retryable(f"cannot start {argv[0]}: {_SHORTAGES[error.errno]}", after=5.0)
    reason = os.strerror(error.errno) if error.errno else "unknown error"
    if cwd is not None and str(error.filename) == str(cwd):
        return Fatal(f"cannot start {argv[0]} in {cwd}: {reason}")
    if error.errno == errno.E2BIG:
        return Fatal(f"cannot start {argv[0]}: its arguments and environment are too long")
    return Fatal(f"cannot start {argv[0]}: {reason}; check that Node is installed there and may be run")
