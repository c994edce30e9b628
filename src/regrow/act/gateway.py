"""Asks the running gateway to restart inside its process, or to read its settings and secrets again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from regrow.act import files
from regrow.act.child import signal_restart
from regrow.act.world import World
from regrow.config.redaction import redact
from regrow.host.includes import changed_at
from regrow.host.launch import restart_signal
from regrow.link.client import GatewayClient
from regrow.model.actions import Reload, RestartGateway, RestartInPlace
from regrow.model.errors import GatewayError, Refused, TransportError
from regrow.model.gateway import Mode, Process
from regrow.model.verdicts import Verdict

REQUEST = "gateway.restart.request"
PREFLIGHT = "gateway.restart.preflight"
RELOAD = "secrets.reload"
SERVICE_RESTART = 1012
HOT_WITHIN = 6.0  # the gateway notices a change by itself and applies what needs no restart; measured 0.6 to 1.7 s
_HOT_EVERY = 0.5
SETTLED = 1.0  # a gateway answers config.get from a snapshot for a moment after a change; measured 0.26 s


_ITSELF = Verdict(result="done", detail="the gateway restarts by itself to apply what had changed")


async def judged(world: World) -> Mapping[str, Any]:
    """The gateway's own judgement of openclaw.json, of the bytes that lie there now."""
    age = time.time() - changed_at(files.parts_of(world.config_path))
    if age < SETTLED:
        await asyncio.sleep(min(SETTLED, SETTLED - age))
    return _mapping(await world.call("config.get", {}, 8.0))


def _restarting(error: Exception) -> bool:
    """Whether the gateway refuses because it is about to restart."""
    if not isinstance(error, GatewayError) or error.code != "UNAVAILABLE":
        return False
    return "restarting" in str(error.details.get("reason", "")) or "during gateway restart" in error.message


async def restart_in_place(world: World, action: RestartInPlace) -> Verdict:
    """Have the gateway restart. Done means accepted: a new boot proves that it happened.

    Raises:
        Refused: The file on disk would not boot, or this version offers no way that is ours.
        GatewayError, TransportError: The gateway said no, or said nothing.
    """
    methods = world.methods()
    try:
        if world.line is not None and world.line.client is not None and not action.force:
            _need_valid(await judged(world))
    except GatewayError as error:
        if _restarting(error):
            return Verdict(result="done", detail="it is restarting already")
        raise
    if REQUEST not in methods:
        return _by_signal(world)
    summary = await _preflight(world) if PREFLIGHT in methods else ""
    params: dict[str, Any] = {"reason": redact(action.reason)[:200]}
    if action.skip_drain:
        params["skipDeferral"] = True
    client = world.line.client if world.line is not None else None
    try:
        answer = _mapping(await world.call(REQUEST, params, 12.0))
    except GatewayError as error:
        return _declined(world, error)
    except TransportError:
        if await _left_to_restart(client):
            return Verdict(result="done", detail="it went down for the restart before it answered")
        raise
    status = str(answer.get("status", "accepted"))
    blockers = _blockers(_mapping(answer.get("preflight")))
    waits = f", it first finishes: {blockers}" if status == "deferred" and blockers else ""
    return Verdict(result="done", detail=f"{status}{waits}" + (f" ({summary})" if summary else ""))


async def hand_over(world: World, action: RestartGateway) -> Verdict:  # noqa: ARG001  (effects are alike)
    """Nothing is done here: supervision takes the wish on when it hears that it was handed over."""
    return Verdict(result="done", detail="the restart is supervision's now: validated, drained, proven")


def _by_signal(world: World) -> Verdict:
    process = world.view().process
    if process is None:
        raise Refused("this version has no restart request and its process is not known", by="version")
    if world.view().mode is not Mode.OWN:
        raise Refused("this version has no restart request, and the process is not regrow's to signal", by="owner")
    if not signal_restart(world, process):
        return Verdict(result="failed", detail=f"process {process.pid} had ended already")
    return Verdict(result="done", detail=f"its restart signal was sent to pid {process.pid}")


async def _preflight(world: World) -> str:
    """What the gateway says about restarting now; it never looks at the configuration."""
    try:
        said = _mapping(await world.call(PREFLIGHT, {}, 8.0))
    except (GatewayError, TransportError):
        return ""  # only words: the request itself defers when it must
    return redact(str(said.get("summary", "")))[:200]


def _declined(world: World, error: GatewayError) -> Verdict:
    after = error.retry_after
    if after is None and error.retryable:
        after = 10.0
    retry_at = None if after is None else world.clock.now() + after
    return Verdict(result="failed", detail=redact(f"the gateway answered: {error}"), retry_at=retry_at)


async def reload(world: World, action: Reload) -> Verdict:  # noqa: ARG001  (effects are alike)
    """Have the gateway read its secrets and settings again.

    Returns:
        Done when what is on disk is what runs; failed with `restart-needed` when only a restart can apply it.

    Raises:
        Refused: The file on disk is invalid.
    """
    methods = world.methods()
    if RELOAD not in methods or world.view().protocol in (1, 2, 3):
        return _reload_old(world)
    try:
        seen = await judged(world)
    except GatewayError as error:
        if _restarting(error):
            return _ITSELF
        raise
    _need_valid(seen)
    if "appliedConfigHash" not in seen:
        return _reload_old(world)
    if not _applied(seen):
        differs = await _wait_applied(world)
        if differs is not None:
            return differs
        words = "the gateway applied what had changed"
    else:
        words = "nothing on disk differs from what runs"
    try:
        await world.call(RELOAD, {}, 12.0)
    except GatewayError as error:
        if error.code == "FORBIDDEN":
            raise Refused(f"regrow may not ask for {RELOAD}: {error.message}", by="scope") from None
        return _declined(world, error)
    return Verdict(result="done", detail=f"{words}; secrets were read again")


def _reload_old(world: World) -> Verdict:
    """Early 2026: only a restart inside the process reads everything again."""
    process: Process | None = world.view().process
    if process is None or world.view().mode is not Mode.OWN or restart_signal(world.running_version()) is None:
        return Verdict(result="failed", detail="restart-needed: this version cannot reload without a restart")
    if not signal_restart(world, process):
        return Verdict(result="failed", detail=f"restart-needed: process {process.pid} had ended already")
    return Verdict(result="done", detail="it restarts inside its process and reads everything again")


async def _wait_applied(world: World) -> Verdict | None:
    """Give the gateway's own hot reload its time. None once what is on disk runs."""
    paths: list[str] = []
    client = world.line.client if world.line is not None else None
    try:
        async with asyncio.timeout(HOT_WITHIN):
            while True:
                seen = _mapping(await world.call("config.get", {}, HOT_WITHIN))
                _need_valid(seen)
                if _applied(seen):
                    return None
                paths = _changed(seen)
                if paths and await _needs_restart(world, paths):
                    break
                await asyncio.sleep(_HOT_EVERY)
    except TimeoutError:
        pass
    except (GatewayError, TransportError, Refused) as error:
        if isinstance(error, Refused) and error.by != "link":
            raise
        if await _left_to_restart(client) or _restarting(error):
            return _ITSELF
        raise
    what = ", ".join(paths[:8]) or "openclaw.json"
    return Verdict(result="failed", detail=f"restart-needed: {what} changed and is not applied while it runs")


async def _left_to_restart(client: GatewayClient | None) -> bool:
    """Whether the connection ended because the gateway restarts."""
    return client is not None and client.is_closed and (await client.wait_closed())[0] == SERVICE_RESTART


async def _needs_restart(world: World, paths: list[str]) -> bool:
    """Whether the gateway itself says that one of these takes a restart."""
    if "config.schema.lookup" not in world.methods():
        return False
    for path in paths[:8]:
        try:
            said = _mapping(await world.call("config.schema.lookup", {"path": path}, 5.0))
        except GatewayError:
            continue
        if said.get("reloadKind") == "restart":
            return True
    return False


def _changed(seen: Mapping[str, Any]) -> list[str]:
    """Where the file and what runs differ, two levels deep; the gateway shows both without secrets."""
    disk, runs = _mapping(seen.get("sourceConfig") or seen.get("parsed")), _mapping(seen.get("runtimeConfig"))
    if not disk or not runs:
        return []
    found: list[str] = []
    for key in disk:
        ours, theirs = disk[key], runs.get(key)
        if ours == theirs or key == "meta":
            continue
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            # what runs also holds defaults: only what the file says counts
            found += [f"{key}.{name}" for name, value in ours.items() if not _within(value, theirs.get(name))]
        else:
            found.append(key)
    return found


def _within(value: Any, other: Any) -> bool:
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return all(_within(part, other.get(name)) for name, part in value.items())
    return bool(value == other)


def _applied(seen: Mapping[str, Any]) -> bool:
    applied = seen.get("appliedConfigHash")
    return applied is not None and seen.get("configRevisionHash") == applied


def _need_valid(answer: Any) -> None:
    """Refuse what would not boot.

    Raises:
        Refused: The gateway says that openclaw.json on disk is invalid.
    """
    seen = _mapping(answer)
    if seen.get("valid") is not False:
        return
    problems = "; ".join(issues(seen)[:3]) or "the gateway gave no reason"
    raise Refused(f"openclaw.json is not valid: {problems}. Mend or restore it, or use --force", by="config")


def issues(seen: Mapping[str, Any]) -> list[str]:
    """What is wrong with a configuration, one line each."""
    raw = seen.get("issues")
    found = [_mapping(issue) for issue in raw] if isinstance(raw, list) else []
    lines = [f"{issue.get('path') or '(file)'}: {issue.get('message', '')}" for issue in found]
    return [redact(line) for line in lines]


def _blockers(preflight: Mapping[str, Any]) -> str:
    raw = preflight.get("blockers")
    found = [_mapping(blocker) for blocker in raw] if isinstance(raw, list) else []
    return redact("; ".join(str(blocker.get("message") or blocker.get("kind", "")) for blocker in found[:5]))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
