"""Turns an event into a line for a person: what happened, what regrow does about it, what they may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from regrow.cli.words import clock, paint, span

Data = dict[str, Any]


class Line(NamedTuple):
    """A text and how loud it is: `good`, `warn`, `bad`, `dim` or "" for the usual."""

    text: str
    mood: str = ""


_ACTIONS = {
    "start": "starting the gateway",
    "restart-in-place": "restarting the gateway inside its process",
    "terminate": "telling the gateway to end",
    "kill": "killing the gateway, which did not end by itself",
    "continue": "letting the stopped gateway run again",
    "revive": "waking the gateway, which lives without listening",
    "reload": "having the gateway read its settings again",
    "doctor": "letting OpenClaw's doctor repair openclaw.json",
    "file-issue": "filing an issue",
    "restore-config": "putting back an openclaw.json that worked",
    "restart-gateway": "asking for a restart of the gateway",
    "undo": "putting back what regrow changed",
    "switch-model": "giving a session another model for this turn",
}
_PHASES = {
    "stopped": Line("the gateway is stopped", "warn"),  # more is told where a person wants it so
    "starting": Line("starting"),
    "running": Line("running", "good"),
    "reconnecting": Line("the connection to the gateway is gone; dialling again", "warn"),
    "stopping": Line("the gateway finishes what it is at, then it ends"),
    "backoff": Line("the gateway does not run; it is started again shortly", "warn"),
    "quarantine": Line(
        "the gateway keeps failing to start; it is tried rarely from now on: `regrow logs` tells why", "bad"
    ),
    "held": Line("starting the gateway cannot help until something changes: `regrow check` tells what", "bad"),
    "foreign": Line("somebody else holds the gateway's port or its files: `regrow status` tells who", "bad"),
}


_SUBJECTS = {
    "liveness:process": "the gateway",
    "liveness:link": "the connection to the gateway",
    "settings:config": "the configuration",
}


def subject(episode: Data) -> str:
    """What an episode is about, as a person calls it."""
    domain, name = str(episode.get("domain", "")), str(episode.get("subject", ""))
    return _SUBJECTS.get(f"{domain}:{name}") or f"{domain} {name}".strip()


def tell(type_: str, data: Data) -> Line | None:
    """The line for an event, or None if no person needs it."""
    if type_ in _QUIET or type_.startswith("fact:"):
        return None
    if type_.startswith("action:") and type_ not in _TELLERS:
        return _action(type_.removeprefix("action:"), data)
    if type_.startswith("episode:"):
        return _episode(type_.removeprefix("episode:"), data)
    speak = _TELLERS.get(type_)
    return speak(data) if speak else Line(f"{type_}{_pairs(data)}", "dim")


def printed(line: Line, at_ms: float | None = None) -> str:
    """The line as it is printed, with its time if one is given."""
    text = paint(line.text, line.mood) if line.mood else line.text
    return text if at_ms is None else f"{paint(clock(at_ms), 'dim')}  {text}"


def _action(stage: str, data: Data) -> Line | None:
    kind = str(data.get("action") or data.get("kind") or "")
    doing = _ACTIONS.get(kind, kind)
    reason = f" ({data['reason']})" if data.get("reason") else ""
    detail = str(data.get("detail") or "")
    match stage:
        case "intended":
            return Line(f"{doing}{reason}") if kind in _ACTIONS else None
        case "would":
            return Line(f"dry run: this would be {doing}{reason}{f': {detail}' if detail else ''}", "blue")
        case "refused":
            return Line(f"not {doing}: {detail or data.get('by', '')}", "warn")
        case "failed":
            return Line(f"{doing} failed: {detail or data.get('by', '')}", "bad")
        case _:
            return None  # "done" means carried out; what became of it is told by what is seen next


def _episode(stage: str, data: Data) -> Line:
    what = f"{subject(data)}: {data.get('evidence', '')}"
    match stage:
        case "opened":
            return Line(f"trouble with {what}", "warn")
        case "escalated":
            return Line(f"a person is needed for {what}; see `regrow status`", "bad")
        case _:
            how = "was cured" if data.get("state") == "cured" else "is over"
            opened, closed = data.get("openedAt"), data.get("closedAt")
            took = f" after {span(closed - opened)}" if opened and closed else ""
            return Line(f"the trouble with {subject(data)} {how}{took}", "good")


def _status(data: Data) -> Line | None:
    line = _PHASES.get(str(data.get("phase")))
    if data.get("phase") in {"running", "starting"}:
        return None  # `gateway:ready` says it with its time; the start itself is an action
    if data.get("phase") == "stopped" and data.get("want") == "stopped":
        by = f" by {data['wantBy']}" if data.get("wantBy") else ""
        return Line(f"the gateway is stopped{by}; it stays so until `regrow start`", "warn")
    return line


def _ready(data: Data) -> Line:
    version = f"OpenClaw {data['version']} " if data.get("version") else "the gateway "
    took = f" after {data['took']:.1f} s" if isinstance(data.get("took"), int | float) else ""
    return Line(f"{version}is ready{took}", "good")


def _put_off(data: Data) -> Line:
    return Line(f"it is started again in {span(data.get('retryAfterMs', 0) / 1000)}, as it failed before", "warn")


def _exit(data: Data) -> Line:
    code = data.get("code")
    how = "its code is unknown" if code is None else (f"signal {-code}" if code < 0 else f"code {code}")
    if data.get("expected"):
        return Line(f"the gateway (pid {data.get('pid')}) has ended: {how}")
    return Line(f"the gateway (pid {data.get('pid')}) ended by itself: {how}; `regrow logs` has its last words", "warn")


def _withheld(data: Data) -> Line:
    until = f" until {clock(data['until'] * 1000)}" if isinstance(data.get("until"), int | float) else ""
    kind = str(data.get("key") or data.get("action") or "")
    return Line(f"not now{until}: {_ACTIONS.get(kind, kind)}: {data.get('detail') or data.get('by', '')}", "warn")


def _output(data: Data) -> Line:
    repeated = f" (again, {data['repeated']} times)" if data.get("repeated") else ""
    return Line(f"the gateway says: {data.get('text', '')}{repeated}", "dim")


def _changed(data: Data) -> Line:
    topics = ", ".join(map(str, data.get("topics") or ())) or "its settings"
    warnings = "; ".join(map(str, data.get("warnings") or ()))
    return Line(f"changed: {topics}{f' ({warnings})' if warnings else ''}", "warn" if warnings else "")


def _reloaded(data: Data) -> Line:
    changed, later = data.get("changed") or (), data.get("needRestart") or ()
    if not changed:
        return Line("the configuration was read again; nothing is different")
    waits = f"; only after a restart of regrow: {', '.join(later)}" if later else ""
    return Line(f"the configuration was read again: {', '.join(changed)}{waits}", "warn" if later else "")


def _paused(data: Data) -> Line:
    until = f" until {clock(data['until'] * 1000)}" if data.get("until") else ""
    return Line(f"healing is paused{until} by {data.get('by', '')}; `regrow resume` ends it", "warn")


# episodes and actions say the same with their reasons
_QUIET = frozenset({"reply", "channel:status", "error", "gateway:reconnect", "gateway:restarted"})
_TELLERS: dict[str, Callable[[Data], Line | None]] = {
    "status": _status,
    "gateway:ready": _ready,
    "gateway:output": _output,
    "gateway:restart-suppressed": _put_off,
    "exit": _exit,
    "runtime:changed": _changed,
    "withheld": _withheld,
    "action:withheld": _withheld,
    "fault": lambda data: Line(f"regrow contradicts itself, please report this: {data.get('what', '')}", "bad"),
    "config:doctored": lambda data: Line(f"openclaw.json was repaired; undo is in {data.get('undo', '')}", "good"),
    "config:restored": lambda data: Line(f"openclaw.json was put back; undo is in {data.get('undo', '')}", "good"),
    "config:reverted": lambda data: Line(
        f"openclaw.json is not what was put back any more, since the gateway booted ({data.get('aside') or 'no copy'})",
        "bad",
    ),
    "journal:degraded": lambda data: Line(str(data.get("message", "")), "bad"),
    "journal:recovered": lambda data: Line(str(data.get("message", "")), "good"),
    "journal:moved-aside": lambda data: Line(str(data.get("message", "")), "bad"),
    "journal:refused": lambda data: Line(f"{data.get('count', 'some')} {data.get('message', '')}", "bad"),
    "trouble": lambda data: Line(f"trouble: {data.get('what', '')}", "bad"),
    "regrow:started": lambda data: Line(f"regrow {data.get('version', '')} is at work (pid {data.get('pid')})"),
    "regrow:stopped": lambda _data: Line("regrow has ended"),
    "regrow:leaving": lambda data: Line(str(data.get("why", "")), "warn"),
    "intent:open": lambda data: Line(
        f"an earlier run meant to do this and nobody knows whether it did: {data.get('key', '')}; it is not repeated",
        "warn",
    ),
    "config:reloaded": _reloaded,
    "config:rejected": lambda data: Line(
        f"the new configuration is not taken: {'; '.join(map(str, data.get('problems') or ()))}", "bad"
    ),
    "issue:opened": lambda data: Line(f"an issue was opened: {data.get('repo')}#{data.get('number')}"),
    "issue:updated": lambda data: Line(f"a comment was added to the issue {data.get('repo')}#{data.get('number')}"),
    "proposal:created": lambda data: Line(
        f"regrow asks: {data.get('action', '')} {data.get('subject', '')} ({data.get('reason', '')})? "
        f"`regrow approve {data.get('id', '')}` or `regrow reject {data.get('id', '')}`",
        "warn",
    ),
    "proposal:approved": lambda data: Line(f"{data.get('by', 'somebody')} approved {data.get('id', '')}", "good"),
    "proposal:rejected": lambda data: Line(f"{data.get('by', 'somebody')} rejected {data.get('id', '')}"),
    "proposal:expired": lambda data: Line(f"the proposal {data.get('id', '')} is over: {data.get('why', '')}", "dim"),
    "healing:paused": _paused,
    "healing:resumed": lambda data: Line(f"healing goes on ({data.get('by', '')})", "good"),
    "evidence": lambda data: Line(f"what could be learned about it is in {data.get('file', '')}", "dim"),
    "events:skipped": lambda data: Line(f"{data.get('count', 'some')} events came too fast and are not shown", "dim"),
}


def _pairs(data: Data) -> str:
    shown = [f"{key}={value}" for key, value in data.items() if isinstance(value, str | int | float | bool)]
    return f" {' '.join(shown)}"[:300] if shown else ""
