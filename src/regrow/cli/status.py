"""`regrow status`: how the gateway is, at a glance."""

from __future__ import annotations

from typing import Any

import click

from regrow.cli.asking import refused
from regrow.cli.narrate import subject
from regrow.cli.place import Place, json_option, placed
from regrow.cli.words import ago, clock, complain, paint, say, show_json, since, span
from regrow.serve.client import NoAnswer, NotRunning, one

HEALTHY, DEGRADED, DOWN, NO_KEEPER = range(4)
MARKS = {HEALTHY: ("●", "good"), DEGRADED: ("●", "warn"), DOWN: ("●", "bad")}


@click.command("status")
@placed
@json_option
def command(place: Place, *, as_json: bool) -> int:
    """How the gateway is, at a glance.

    Exit code: 0 healthy, 1 degraded (starting, reconnecting, or something is wrong), 2 down, 3 no keeper is running.
    """
    try:
        answer = one(place.socket, {"op": "status"})
    except (NotRunning, NoAnswer) as error:
        if as_json:
            show_json({"status": "disconnected", "keeper": "not running", "error": str(error)})
        complain(str(error))
        return NO_KEEPER
    if answer.get("ok") is not True or not isinstance(answer.get("result"), dict):
        refused(answer, as_json=as_json)
        return NO_KEEPER
    status = answer["result"]
    if as_json:
        show_json(status)
    else:
        for line in lines(status, place.option):
            say(line)
    return health(status)


def health(status: dict[str, Any]) -> int:
    """0 healthy, 1 degraded, 2 down."""
    state = status.get("lifecycleState")
    if state in {"stopped", "error"}:
        return DOWN
    if status.get("status") == "connected" and status.get("gatewayReady") and not status.get("episodes"):
        return HEALTHY
    if status.get("status") == "disconnected" and state == "running":
        return DOWN
    return DEGRADED


def lines(status: dict[str, Any], option: str = "") -> list[str]:
    """The status for a person, most important first."""
    mark, colour = MARKS[health(status)]
    told = [f"{paint(mark, colour)} {paint(_headline(status), 'bold')}"]
    told += [f"  {name:<10} {text}" for name, text in _details(status) if text]
    told += [f"  {paint('trouble', 'warn'):<10} {text}" for text in _troubles(status)]
    for p in status.get("proposals") or ():
        if isinstance(p, dict) and p.get("state") == "waiting":
            asks = f"{p.get('action')} {p.get('subject')}: `regrow approve{option} {p.get('id')}`"
            told.append(f"  {paint('asks', 'warn'):<10} {asks}")
    if status.get("paused"):
        until = f" until {clock(status['pausedUntil'])}" if status.get("pausedUntil") else ""
        told.append(f"  {paint('paused', 'warn'):<10} healing is paused{until}; `regrow resume{option}` ends it")
    if status.get("want") == "stopped":
        told.append(f"  {'next':<10} regrow start{option}")
    elif status.get("observeOnly"):
        told.append(f"  {'watching':<10} {status['observeOnly']}")
    return told


def _headline(status: dict[str, Any]) -> str:
    state = str(status.get("lifecycleState", "unknown"))
    if status.get("want") == "stopped" and state == "stopped":
        by = f" by {status['wantBy']}" if status.get("wantBy") else ""
        when = f" since {clock(status['wantSince'])}" if status.get("wantSince") else ""
        return f"stopped{by}{when}; it stays stopped until `regrow start`"
    if state == "running" and status.get("gatewayReady"):
        up = status.get("uptime")
        return f"running, ready{f' for {span(up / 1000)}' if isinstance(up, int | float) else ''}"
    phase = status.get("phase")
    more = f" ({phase})" if phase and phase != state else ""
    return f"{state}{more}"


def _details(status: dict[str, Any]) -> list[tuple[str, str]]:
    restarts = status.get("restarts") or {}
    link = status.get("status", "unknown")
    if status.get("connectedAt"):
        link = f"{link} since {clock(status['connectedAt'])}"
    if status.get("reconnectAttempts"):
        link = f"{link}, attempt {status['reconnectAttempts']}"
    counted = f"{restarts.get('executed', 0)} done, {restarts.get('suppressed', 0)} withheld"
    if restarts.get("pending"):
        counted += ", one pending"
    if restarts.get("executed") and restarts.get("lastReason"):
        counted += f"; last: {restarts['lastReason']}"
    return [
        ("gateway", _gateway(status)),
        ("link", str(link)),
        ("restarts", counted),
        ("alive", ago((status.get("diagnostics") or {}).get("lastAliveAt"))),
        ("error", str(status.get("lastError") or "")),
        ("dry run", "nothing is changed; this is what regrow would do" if status.get("dryRun") else ""),
    ]


def _gateway(status: dict[str, Any]) -> str:
    parts = [f"OpenClaw {status['version']}" if status.get("version") else ""]
    parts += [f"{name} {status[name]}" for name in ("pid", "port") if status.get(name)]
    parts.append(str(status.get("mode") or ""))
    return ", ".join(part for part in parts if part)


def _troubles(status: dict[str, Any]) -> list[str]:
    told = []
    for episode in status.get("episodes") or ():
        if not isinstance(episode, dict):
            continue
        evidence = episode.get("evidence") or ()
        last = evidence if isinstance(evidence, str) else (evidence[-1] if evidence else "")
        opened = episode.get("openedAt") or episode.get("opened")
        lasts = f" (for {since(_milliseconds(opened))})" if isinstance(opened, int | float) else ""
        human = "; a person is needed" if episode.get("state") == "human" else ""
        told.append(f"{subject(episode)}: {last}{lasts}{human}")
    return told


def _milliseconds(when: float) -> float:
    return when if when > 1e11 else when * 1000
