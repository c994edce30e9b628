"""What a fake gateway answers to calls and to HTTP probes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from regrow.model.errors import GatewayError
from regrow.testing.sessions import METHODS
from regrow.testing.world import State, World, now_ms

Params = Mapping[str, Any]


def _health(world: World, params: Params) -> dict[str, Any]:  # noqa: ARG001
    answer: dict[str, Any] = {"ok": True, "ts": now_ms(), "durationMs": 1, "channels": _channel_summary(world)}
    if not world.is_old:
        answer["plugins"] = {"loaded": [], "errors": [], "unavailable": []}
        answer["configReload"] = {"hotReloadStatus": "active"}
    return answer


def _status(world: World, params: Params) -> dict[str, Any]:  # noqa: ARG001
    return {"runtimeVersion": world.version, "pid": world.pid, "sessions": {"count": 0, "recent": []}, "tasks": {}}


def _presence(world: World, params: Params) -> list[dict[str, Any]]:  # noqa: ARG001
    return [{"host": "fake", "version": world.version, "mode": "gateway", "reason": "self", "ts": now_ms()}]


def _system_info(world: World, params: Params) -> dict[str, Any]:  # noqa: ARG001
    return {
        "machineName": "fake",
        "port": world.port,
        "pid": world.pid,
        "processInstanceId": world.process_instance,
        "uptimeMs": world.process_age_ms,
        "diskPath": world.state_dir,
    }


def _config(world: World, params: Params) -> dict[str, Any]:  # noqa: ARG001
    answer: dict[str, Any] = {
        "path": world.config_path,
        "exists": True,
        "valid": world.config_valid,
        "issues": [] if world.config_valid else [{"path": "gateway", "message": 'Unrecognized key: "bogusKey"'}],
        "warnings": [],
        "legacyIssues": [],
        "hash": "hmac-sha256:v1:fake",
    }
    if not world.is_old:
        answer["appliedConfigHash"] = "hmac-sha256:v1:applied"
        if world.config_valid:
            answer["configRevisionHash"] = "hmac-sha256:v1:applied"
    return answer


def _channels(world: World, params: Params) -> dict[str, Any]:  # noqa: ARG001
    return {
        "ts": now_ms(),
        "channelOrder": list(world.channels),
        "channels": _channel_summary(world),
        "channelAccounts": {name: [account] for name, account in world.channels.items()},
        "channelDefaultAccountId": dict.fromkeys(world.channels, "default"),
        "statusIssues": [],
    }


def _channel_summary(world: World) -> dict[str, Any]:
    return {name: {"configured": True, **account} for name, account in world.channels.items()}


def preflight(world: World, params: Params = {}) -> dict[str, Any]:  # noqa: ARG001, B006  (never written to)
    """Return what the restart preflight says."""
    work = world.active_work
    blockers = [{"kind": "embedded-run", "count": work, "message": f"{work} active embedded run(s)"}] if work else []
    return {
        "safe": not work,
        "counts": {"embeddedRuns": work, "totalActive": work},
        "blockers": blockers,
        "summary": f"restart deferred: {work} active embedded run(s)" if work else "safe to restart now",
    }


def _reload(world: World, params: Params) -> dict[str, Any]:  # noqa: ARG001
    return {"ok": True, "warningCount": 0}


def _nothing(world: World, params: Params) -> None:  # noqa: ARG001
    return None


# method: (scope it needs, answer, whether gateways of early 2026 have it)
_TABLE: dict[str, tuple[str, Callable[[World, Params], Any], bool]] = {
    "health": ("", _health, True),
    "status": ("operator.read", _status, True),
    "system-presence": ("operator.read", _presence, True),
    "system.info": ("operator.read", _system_info, False),
    "config.get": ("operator.read", _config, True),
    "channels.status": ("operator.read", _channels, True),
    "last-heartbeat": ("operator.read", _nothing, True),
    "secrets.reload": ("operator.admin", _reload, True),
    "gateway.restart.preflight": ("operator.read", preflight, False),
    "gateway.restart.request": ("operator.admin", _nothing, False),  # answered by the gateway itself: it acts
    **METHODS,
}


def method_names(world: World) -> list[str]:
    """Return the methods this gateway has."""
    return [name for name, (_, _, in_old) in _TABLE.items() if in_old or not world.is_old]


def answer(world: World, method: str, params: Params, scopes: tuple[str, ...]) -> Any:
    """Answer a call.

    Raises:
        GatewayError: The gateway refuses: unknown method, missing scope, draining.
    """
    check_allowed(world, method, scopes)
    return _TABLE[method][1](world, params)


def check_allowed(world: World, method: str, scopes: tuple[str, ...]) -> None:
    """Refuse unknown methods and missing scopes, in the words of the version."""
    known = method in method_names(world)
    needed = _TABLE[method][0] if known else "operator.admin"  # so that nobody can feel for names
    have = {*scopes, *(("operator.read",) if "operator.write" in scopes else ())}
    if needed and needed not in have and "operator.admin" not in have:
        if world.is_old:
            raise GatewayError("INVALID_REQUEST", f"missing scope: {needed}")
        details = {"code": "MISSING_SCOPE", "missingScope": needed, "requiredScopes": [needed]}
        raise GatewayError("FORBIDDEN", f"missing scope: {needed}", details=details)
    if not known:
        raise GatewayError("INVALID_REQUEST", f"unknown method: {method}")


# ── HTTP ──

_PAGE = "<!doctype html><title>Control</title>"


def probe(world: World, path: str) -> tuple[int, str, str]:
    """Answer a GET: status, content type, body. Unknown paths get a page with status 200, as on the real one."""
    path = path.partition("?")[0]
    if path == "/healthz":
        return _json(200, {"ok": True, "status": "live"})
    if path == "/startupz" and not world.is_old:
        return _startup(world)
    if path == "/readyz":
        failing = list(world.failing)
        if world.state is State.STARTING and not world.is_old:
            failing.insert(0, "startup-sidecars")
        if world.state is State.DRAINING:
            failing.insert(0, "gateway-draining")
        body = {"ready": not failing, "failing": failing, "uptimeMs": world.boot_age_ms}
        if world.suppressed:
            body["suppressed"] = list(world.suppressed)
        return _json(503 if failing else 200, body)
    return 200, "text/html; charset=utf-8", _PAGE


def _startup(world: World) -> tuple[int, str, str]:
    if world.state is State.STARTING:
        return _json(503, {"ok": False, "status": "starting", "pendingReason": "startup-sidecars"})
    if world.state is State.DRAINING:
        return _json(503, {"ok": False, "status": "draining"})
    body = {"ok": True, "status": "started", "version": world.version, "uptimeMs": world.boot_age_ms}
    return _json(200, body)


def _json(status: int, body: dict[str, Any]) -> tuple[int, str, str]:
    return status, "application/json; charset=utf-8", json.dumps(body)
