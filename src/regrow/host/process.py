"""Who a process is, what it does, and signals that reach only the one that was meant."""

from __future__ import annotations

import os
import re
import signal as signals
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from regrow.model.errors import Fatal
from regrow.model.gateway import Process

LINUX = sys.platform == "linux"
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_GONE = "ZXx"  # a zombie runs nothing, holds no port and no lock: as a process it is gone

PLAIN_ENVIRON = (
    "OPENCLAW_STATE_DIR",
    "OPENCLAW_CONFIG_PATH",
    "OPENCLAW_HOME",
    "OPENCLAW_PROFILE",
    "OPENCLAW_GATEWAY_PORT",
    "OPENCLAW_SUPERVISOR_MODE",
    "OPENCLAW_NO_RESPAWN",
    "OPENCLAW_SYSTEMD_UNIT",
    "OPENCLAW_LAUNCHD_LABEL",
    "INVOCATION_ID",
    "HOME",
    "TMPDIR",
)  # what tells a gateway's identity and owner, and holds no secret


def identify(pid: int) -> Process | None:
    """The process that holds `pid` now, or None: nobody, a zombie, or only a thread of another process."""
    if pid <= 0:
        return None
    if not LINUX:
        return _identify_elsewhere(pid)
    stat = _stat(pid)
    if stat is None or stat[0] in _GONE or not _leads_its_threads(pid):
        return None
    return Process(pid=pid, started=stat[3])


def alive(process: Process) -> bool:
    """Whether this very life still runs (a zombie does not)."""
    return identify(process.pid) == process


def look(process: Process) -> tuple[str, float, int] | None:
    """State (R, S, D, T, t, Z), CPU seconds so far and resident bytes, or None once it is gone.

    Unlike `alive` this still sees an unreaped zombie, as state Z. Costs about ten microseconds on Linux.
    """
    if not LINUX:
        return _look_elsewhere(process)
    stat = _stat(process.pid)
    if stat is None or stat[3] != process.started:
        return None
    return stat[0], stat[1], stat[2]


def command(process: Process) -> list[str]:
    """Its command line with secrets removed; empty if it is gone or hidden. A gateway retitles itself."""
    argv = _read_strings(process, "cmdline") if LINUX else _psutil(process, "cmdline")
    return redact_argv([part for part in argv if part])


def environ(process: Process, names: Iterable[str] = PLAIN_ENVIRON) -> dict[str, str]:
    """The named environment variables it was started with; empty if it is gone or not ours to read."""
    wanted = frozenset(names)
    if LINUX:
        pairs = [entry.partition("=") for entry in _read_strings(process, "environ")]
        return {name: value for name, sep, value in pairs if sep and name in wanted}
    return {name: value for name, value in _psutil_environ(process).items() if name in wanted}


def uid(process: Process) -> int | None:
    """The user it runs as, or None if that cannot be seen."""
    import psutil

    try:
        owner = int(psutil.Process(process.pid).uids().effective)
    except psutil.Error:
        return None
    return owner if alive(process) else None


def catches(process: Process, signal: int) -> bool | None:
    """Whether it has a handler of its own for `signal`; None where nobody can say."""
    status = _proc(process.pid, "status") if LINUX else None
    if status is None:
        return None
    found = re.search(rb"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
    if found is None or not alive(process):
        return None
    return bool(int(found[1], 16) >> (signal - 1) & 1)


def send(process: Process, signal: int, *, proof: Callable[[Process], bool]) -> bool:
    """Signal a process after proving, on a handle that cannot be reused, that it is the one meant.

    Args:
        process: The life that is meant.
        signal: The signal's number.
        proof: Called last; says whether this is the gateway we may signal (command, state directory, lock).

    Returns:
        True if the signal was delivered; False if the process is gone or was not proven.

    Raises:
        Fatal: The process is proven but belongs to another user.
    """
    if process.pid <= 1 or process.pid == os.getpid():
        return False
    if not hasattr(os, "pidfd_open"):
        return alive(process) and proof(process) and _kill(process, lambda: os.kill(process.pid, signal))
    try:
        handle = os.pidfd_open(process.pid)
    except (ProcessLookupError, OSError):
        return False
    try:
        # The handle was opened before the proof: if the pid changed hands since, the signal finds a dead handle.
        if not (alive(process) and proof(process)):
            return False
        return _kill(process, lambda: signals.pidfd_send_signal(handle, signal))
    finally:
        os.close(handle)


def tree(process: Process) -> list[Process]:
    """Everything that descends from it, parents before children, whatever session or group they moved to."""
    import psutil

    try:
        root = psutil.Process(process.pid)
        if not alive(process):
            return []
        pids = [child.pid for child in root.children(recursive=True)]
    except psutil.Error:
        return []
    return [found for pid in pids if (found := identify(pid)) is not None]


# ── secrets ──

_SECRET_OPTION = re.compile(
    r"^-{1,2}(?:[\w-]*[-_])?(?:token|password|passwd|secret|api[-_]?key|auth[-_]?key|private[-_]?key|credentials?)$",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:\w*TOKEN|\w*PASSWORD|\w*PASSWD|\w*SECRET|\w*KEY|\w*CREDENTIALS?)$", re.IGNORECASE
)
_URL_SECRET = re.compile(r"(://)[^/\s@]+(?=@)|([?&#](?:token|auth|password|key)=)[^&\s]+", re.IGNORECASE)
HIDDEN = "***"


def is_secret(name: str) -> bool:
    """Whether an environment variable or option of this name holds a secret."""
    return bool(_SECRET_NAME.search(name) or _SECRET_OPTION.match(name))


def redact_argv(argv: Sequence[str]) -> list[str]:
    """The same command line with the values of tokens, passwords and keys replaced."""
    shown: list[str] = []
    hide_next = False
    for part in argv:
        name, sep, value = part.partition("=")
        if hide_next:
            shown.append(HIDDEN)
            hide_next = False
        elif sep and value and is_secret(name):
            shown.append(f"{name}={HIDDEN}")
        else:
            hide_next = bool(_SECRET_OPTION.match(part))
            shown.append(_URL_SECRET.sub(rf"\1\2{HIDDEN}", part))
    return shown


# ── Linux: read /proc directly, psutil costs ten times as much ──


def _proc(pid: int, name: str) -> bytes | None:
    """One small file of /proc/<pid>, whole."""
    try:
        handle = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    parts: list[bytes] = []
    try:
        while part := os.read(handle, 65536):
            parts.append(part)
    except OSError:
        return None  # it ended between the calls
    finally:
        os.close(handle)
    return b"".join(parts)


def _stat(pid: int) -> tuple[str, float, int, int] | None:
    """State, CPU seconds, resident bytes and start ticks from /proc/<pid>/stat; None if there is no such process."""
    raw = _proc(pid, "stat")
    if raw is None:
        return None
    # the name may hold spaces and parentheses: the fields begin after the last one
    fields = raw[raw.rfind(b")") + 2 :].split()
    if len(fields) < 22:
        return None
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS
    return fields[0].decode(), cpu, int(fields[21]) * _PAGE, int(fields[19])


def started(pid: int) -> int | None:
    """The start time of whoever holds this pid, a zombie included."""
    if LINUX:
        stat = _stat(pid)
        return None if stat is None else stat[3]
    found = _identify_elsewhere(pid)
    return None if found is None else found.started


def _leads_its_threads(pid: int) -> bool:
    """Linux answers /proc/<thread id> too; a thread is nobody's gateway."""
    status = _proc(pid, "status")
    found = None if status is None else re.search(rb"^Tgid:\s*(\d+)", status, re.MULTILINE)
    return found is not None and int(found[1]) == pid


def _read_strings(process: Process, name: str) -> list[str]:
    raw = _proc(process.pid, name)
    # Checked after reading: a pid is held without a gap, so if it is this life now it was this life then.
    if raw is None or not alive(process):
        return []
    return raw.decode(errors="replace").split("\0")


def _kill(process: Process, deliver: Callable[[], None]) -> bool:
    try:
        deliver()
    except ProcessLookupError:
        return False
    except PermissionError:
        raise Fatal(f"process {process.pid} belongs to another user: run regrow as that user to signal it") from None
    return True


# ── elsewhere: psutil ──


def _identify_elsewhere(pid: int) -> Process | None:
    import psutil

    with suppress(psutil.Error):
        found = psutil.Process(pid)
        if found.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
            return Process(pid=pid, started=round(found.create_time() * 100))
    return None


_STATES = {"running": "R", "sleeping": "S", "disk-sleep": "D", "stopped": "T", "tracing-stop": "t", "zombie": "Z"}


def _look_elsewhere(process: Process) -> tuple[str, float, int] | None:
    import psutil

    with suppress(psutil.Error):
        found = psutil.Process(process.pid)
        with found.oneshot():
            if round(found.create_time() * 100) != process.started:
                return None
            times = found.cpu_times()
            return _STATES.get(found.status(), "S"), times.user + times.system, int(found.memory_info().rss)
    return None


def _psutil(process: Process, name: str) -> list[str]:
    import psutil

    with suppress(psutil.Error):
        argv: list[str] = getattr(psutil.Process(process.pid), name)()
        if alive(process):
            return argv
    return []


def _psutil_environ(process: Process) -> dict[str, str]:
    import psutil

    with suppress(psutil.Error):
        values: dict[str, str] = psutil.Process(process.pid).environ()
        if alive(process):
            return values
    return {}
