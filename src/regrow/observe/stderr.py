"""The table that tells what a line of the gateway's output means, and what a crash's last words have in common."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

Level = Literal["drop", "debug", "warn"]
Kind = Literal["progress", "ready", "startup-failed", "breaker-tripped", "breaker-recovered", "trouble"]


class Meaning(Struct, frozen=True):
    """What one line means.

    Attributes:
        level: Whether it is worth a person's look, a developer's, or nobody's.
        kind: The fact it makes, or None if it makes none.
        topic: A short name for what it is about, the same in every version.
        blames_config: True if it says that the configuration kept the gateway from starting.
    """

    level: Level
    kind: Kind | None = None
    topic: str = ""
    blames_config: bool = False


class _Row(Struct, frozen=True):
    pattern: re.Pattern[str]
    meaning: Meaning
    since: tuple[int, int] = (0, 0)  # year, month of the first release this holds for
    until: tuple[int, int] = (9999, 0)  # and of the first for which it no longer does


def _row(
    pattern: str,
    topic: str,
    level: Level = "warn",
    kind: Kind | None = "trouble",
    *,
    config: bool = False,
    since: tuple[int, int] = (0, 0),
    until: tuple[int, int] = (9999, 0),
) -> _Row:
    return _Row(re.compile(pattern), Meaning(level, kind, topic, config), since, until)


# The first row that matches decides. Patterns name the subsystem where there is one: words that a person or a model
# said can stand in the output too, and must not be taken for the gateway's own.
_START = r"^(?:\[gateway\] )?"
_TABLE: tuple[_Row, ...] = (
    # ── milestones of a boot, in their order ──
    _row(_START + r"loading configuration", "configuration", "debug", "progress"),
    _row(_START + r"resolving authentication", "authentication", "debug", "progress"),
    _row(r"^\[gateway\] starting\.\.\.", "starting", "debug", "progress"),
    _row(r"^\[gateway\] \[plugins\] staging bundled runtime deps", "plugin packages", "debug", "progress"),
    _row(r"^\[gateway\] spawn broker ready", "spawn broker", "debug", "progress"),
    _row(r"^\[gateway\] starting HTTP server", "http server", "debug", "progress"),
    _row(r"^\[gateway\] http server listening", "listening", "debug", "progress"),
    _row(r"^\[gateway\] listening on ", "listening", "debug", "progress"),
    _row(r"^\[gateway\] starting channels and sidecars", "channels", "debug", "progress"),
    _row(r"^\[gateway\] startup outcomes:", "outcomes", "debug", "progress"),
    _row(r"^\[gateway\] ready\s*$", "ready", "debug", "ready", since=(2026, 5)),
    # early releases print it with the listener, followed by what they loaded
    _row(r"^\[gateway\] ready\b(?: \(|\s*$)", "ready", "debug", "ready", until=(2026, 5)),
    # ── a restart inside the process that failed: alive, and nobody listens ──
    _row(r"^\[gateway\] startup failed: .*[Ii]nvalid config", "startup failed", kind="startup-failed", config=True),
    _row(r"^\[gateway\] startup failed:", "startup failed", kind="startup-failed"),
    # ── the breaker that mutes channels ──
    _row(r"restart-loop breaker tripped", "breaker tripped", kind="breaker-tripped"),
    _row(r"restart-loop breaker recovered", "breaker recovered", "debug", "breaker-recovered"),
    # ── somebody else holds the state directory or the port; the advice to run doctor that follows is wrong ──
    _row(r"StateDatabaseCoordinatorContentionError|another OpenClaw process owns ", "state held"),
    _row(r"gateway already running \(pid \d+\)|lock timeout after \d+ms", "state held"),
    _row(r"another gateway instance is already listening|\bEADDRINUSE\b", "port taken"),
    _row(r"^Port \d+ is already in use|^Another process is listening on this port", "port taken"),
    _row(r"failed to acquire plugin lifecycle lease", "plugin lease held"),
    _row(r"another supervisor may be managing this Gateway", "another supervisor", kind=None),
    # ── the state database ──
    _row(r"database disk image is malformed|file is not a database|SqliteIntegrityError", "database damaged"),
    _row(r"integrity_check failed", "database damaged"),
    _row(r"uses newer schema version \d+", "database too new"),
    _row(r"database is locked|failureKind=lock-contention", "database locked"),
    _row(r"requires state migration", "state migration"),
    # ── the configuration ──
    _row(r"^\[reload\] config reload skipped", "config edit ignored"),
    _row(r"^Config auto-restored from|^Config observe anomaly:|Config auto-restored from ", "config restored"),
    _row(r"config was written by version|^Refusing to run automatic gateway startup", "config too new"),
    _row(r"is older than the config last written by", "config too new"),
    _row(
        r"^Gateway failed to start: Invalid config|^Gateway start blocked: existing config|^Invalid config at "
        r"|^OpenClaw config is invalid|^Config invalid\b|^Failed to read config at |^InvalidConfigError:"
        r"|Failed to start CLI: (?:Syntax)?Error: (?:Invalid config|JSON5)",
        "config invalid",
        config=True,
    ),
    # ── crashes ──
    _row(r"JavaScript heap out of memory|^FATAL ERROR: .*(?:heap|[Aa]llocation)", "out of memory"),
    _row(r"^<--- (?:Last few|JS stacktrace)", "out of memory", "debug", None),
    _row(r"Non-fatal unhandled rejection|[Uu]nhandled (?:promise )?rejection.*\(continuing\)", "rejection", kind=None),
    _row(r"Unhandled (?:promise )?rejection:", "unhandled rejection"),
    _row(r"Uncaught exception|^Uncaught ", "uncaught exception"),
    _row(r"ERR_MODULE_NOT_FOUND|Cannot find (?:module|package) '", "module missing"),
    _row(r"gateway\.installation_replaced|gateway install(?:ation)? changed", "package replaced"),
    _row(r"installation changed while the Gateway was running", "package replaced"),
    _row(r"\bEMFILE\b|too many open files", "too many open files"),
    _row(r"\bENOSPC\b|no space left on device", "disk full"),
    _row(r"\bEACCES\b|permission denied", "permission"),
    _row(r"(?:Gateway failed to start|Failed to start CLI):", "start failed"),
    _row(r"^\[plugins\] \S+ failed ", "plugin failed"),
    # ── of interest, without a consequence of its own ──
    _row(r"^\[shutdown\] |^\[gateway\] (?:received SIG|signal SIG|restart mode:)", "shutdown", "debug", None),
    _row(r"liveness warning:|timer delayed \d+ms", "event loop late", kind=None),
    _row(r"during shutdown; ignoring", "shutdown", "debug", None),
    _row(r"^Run \"openclaw doctor|^If startup is still blocked|^If the gateway is supervised", "advice", "debug", None),
    _row(r"^\s*at (?:\S+ \(|async |file:|/|node:)", "stack", "debug", None),
    _row(r"^\s*$|^Config write audit:|^\(Use `node --trace", "noise", "drop", None),
    _row(r"ExperimentalWarning|DeprecationWarning|\[DEP\d+\]", "noise", "drop", None),
    _row(r"^(?:\[[\w.:-]+\] )?(?:[A-Z]\w*)?Error(?: \[\w+\])?: ", "error", kind=None),
    _row(r"^\[[\w./:-]+\] (?:.* )?(?:error|failed|fatal)\b", "error", kind=None),
)
_ORDINARY = Meaning("debug", None, "")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\s+")
_VERSION = re.compile(r"^v?(\d{4})\.(\d{1,2})\.")


def read(line: str, version: str = "") -> Meaning:
    """What a line of the gateway's output means.

    Args:
        line: As it was printed, with or without colours and time stamp.
        version: The gateway's version; unknown means the current one.
    """
    text = bare(line)
    found = _VERSION.match(version)
    release = (int(found[1]), int(found[2])) if found else (9998, 0)
    for row in _TABLE:
        if row.since <= release < row.until and row.pattern.search(text):
            return row.meaning
    return _ORDINARY


def bare(line: str) -> str:
    """A line without colours and time stamp."""
    return _STAMP.sub("", _ANSI.sub("", line)).rstrip()


# ── last words ──

_HEADLINE = re.compile(
    r"^(?:Gateway failed to start|Gateway start blocked|Refusing to run|OpenClaw config is invalid)"
    r"|^(?:FATAL ERROR|Invalid config)"
    r"|^\[gateway\] startup failed:|Failed to start CLI:|[Uu]nhandled (?:promise )?rejection:|Uncaught "
    r"|^(?:\[[\w.:-]+\] )?(?:[A-Z]\w*)?Error(?: \[\w+\])?(?::|$)"
)
_READY = re.compile(r"^\[gateway\] ready\b")
_CONTINUES = re.compile(r"Non-fatal|\(continuing\)|^\[(?!openclaw\]|gateway\])[\w.:-]+\] ")
_FRAME = re.compile(r"^\s*at (?:async )?(?:(?P<function>[^()]+?) \()?(?P<place>(?:file://)?[^()\s]+?):\d+:\d+\)?")
_FOREIGN = ("node:", "<anonymous>", "internal/")
_PLUGIN_PATH = re.compile(r"[/\\](?:extensions|plugins)[/\\]((?:@[\w.-]+[/\\])?[\w-][\w.-]*)[/\\]")
_PLUGIN_LINE = re.compile(r"^\[plugins\] (?P<name>\S+?):? failed\b")
_ADVICE = re.compile(r"^(?:Run |If |Use |See |Check:)")
_LAST = 60  # lines: what came before is not about this end

# ended in good order, or by a signal from outside: whatever it said before is not why
_NO_CRASH = frozenset({0, -1, -2, -9, -15, 129, 130, 137, 143})

_BLUR = (
    (re.compile(r"(?:file://)?(?:~|[A-Za-z]:)?(?:[/\\][\w.@+~-]+){2,}[/\\]?"), "<path>"),
    (re.compile(r"\b[\w-]+-[A-Za-z0-9_-]{8}(?=\.m?js\b)"), "<chunk>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b"), "<id>"),
    (re.compile(r"\d+(?:\.\d+)*"), "#"),
)


def fingerprint(lines: Iterable[str], code: int | None = None) -> str:
    """Names a crash by its message and its topmost own frame, the same for the same cause on any day and host.

    Args:
        lines: The last lines it wrote.
        code: Its exit code; an end in good order, or by somebody's signal, has no fingerprint.

    Returns:
        Twelve hexadecimal digits, or "" if it left no words.
    """
    if code in _NO_CRASH:
        return ""
    words = _last_words([bare(line) for line in lines])
    if not words:
        return ""
    frame = next(filter(None, map(_own_frame, words)), "")
    headline = words[0]
    if headline.endswith((":", "config:")):  # the cause stands on the next line
        headline += next((f" {line.strip()}" for line in words[1:] if not _ADVICE.match(line)), "")
    return hashlib.sha256(f"{blurred(headline)}\n{frame}".encode()).hexdigest()[:12]


def culprit(lines: Sequence[str], code: int | None = None) -> str:
    """The plugin that a crash's last words point at, or ""."""
    plain = [] if code in _NO_CRASH else [bare(line) for line in lines]
    words = _last_words(plain)
    for line in words:
        found = _PLUGIN_PATH.search(line) if _FRAME.match(line) else None
        if found:
            return found[1].replace("\\", "/")
    for line in reversed(plain[-_LAST:] if words else []):
        said = _PLUGIN_LINE.match(line)
        if said:
            return said["name"]
    return ""


def blames_config(lines: Iterable[str], version: str = "") -> bool:
    """Whether the last words of a gateway blame the configuration, and nothing that came after contradicts."""
    blamed = False
    for line in list(lines)[-_LAST:]:
        meaning = read(line, version)
        if meaning.kind == "ready" or meaning.topic in {"state held", "database damaged", "config too new"}:
            blamed = False
        elif meaning.blames_config:
            blamed = True
    return blamed


def blurred(text: str) -> str:
    """A line without what differs from one time to the next: numbers, paths, ids, hashed file names."""
    text = bare(text)
    for pattern, word in _BLUR:
        text = pattern.sub(word, text)
    return text[:300]


def _last_words(lines: list[str]) -> list[str]:
    """From the last headline of a failure on; a stack trace belongs to the headline above it."""
    lines = lines[-_LAST:]
    for index in range(len(lines) - 1, -1, -1):
        if _READY.match(lines[index]):
            return []
        if _HEADLINE.search(lines[index]) and not _CONTINUES.search(lines[index]):
            return lines[index:]
    return []


def _own_frame(line: str) -> str:
    """Function and file of a stack frame that is not Node's own; chunk names change with every release."""
    found = _FRAME.match(line)
    if found is None or any(mark in found["place"] for mark in _FOREIGN):
        return ""
    file = re.split(r"[/\\]", found["place"])[-1]
    file = re.sub(r"-[A-Za-z0-9_-]{8}(\.m?js)$", r"\1", file)
    return f"{found['function'] or ''} {file}"
