"""The agents, models and sessions of a fake gateway, and what it answers about them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from regrow.model.errors import GatewayError
from regrow.testing.world import World, now_ms

Params = Mapping[str, Any]


def session(world: World, key: str, **more: Any) -> dict[str, Any]:
    """Give the gateway a session, and return its row; it may be changed while it runs."""
    row = {
        "key": key, "sessionId": str(uuid.uuid4()), "agentId": _agent(key), "kind": "direct", "chatType": "direct",
        "updatedAt": now_ms(), "status": "done", "abortedLastRun": False, "modelOverrideSource": None,
    }  # fmt: skip
    row["modelProvider"], row["model"] = _default(world, _agent(key))
    world.sessions[key] = row | more
    return world.sessions[key]


def _agent(key: str) -> str:
    parts = key.split(":")
    return parts[1] if len(parts) > 1 else "main"


def _default(world: World, agent: str) -> tuple[str, str]:
    order = world.agents.get(agent) or ("",)
    provider, _, model = order[0].partition("/")
    return provider, model


def _agents_list(world: World, params: Params) -> dict[str, Any]:  # noqa: ARG001
    agents = [
        {"id": name, "model": {"primary": order[0], "fallbacks": list(order[1:])}}
        for name, order in world.agents.items()
    ]
    return {"defaultId": next(iter(world.agents), None), "ownership": "explicit", "agents": agents}


def _models_list(world: World, params: Params) -> dict[str, Any]:
    agent = _owner(world, params)
    order, models = world.agents[agent], []
    for name, state in world.models.items():
        provider, _, model = name.partition("/")
        tags = ["default"] if order[0] == name else [f"fallback#{order.index(name)}"] if name in order else []
        models.append({"provider": provider, "id": model, "name": name, "available": True, "tags": tags, **state})
    return {"models": models}


def _owner(world: World, params: Params) -> str:
    if "agentId" not in params and len(world.agents) > 1:
        text = "Multiple agents are configured, but model auth has no explicit owner. Pass agentId"
        raise GatewayError("INVALID_REQUEST", text)
    agent = str(params.get("agentId") or next(iter(world.agents)))
    if agent not in world.agents:
        raise GatewayError("INVALID_REQUEST", f"unknown agent: {agent}")
    return agent


def _models_probe(world: World, params: Params) -> dict[str, Any]:
    _owner(world, params)
    provider = str(params.get("provider"))
    status = world.probes.get(provider, "ok")
    known = next((name for name in world.models if name.startswith(f"{provider}/")), None)
    result = {"label": f"Configured credential · {known}", "status": status, "latencyMs": 12}
    return {"provider": provider, "status": status, "latencyMs": 12, "results": [result] if known else []}


def _describe(world: World, params: Params) -> dict[str, Any]:
    return {"session": world.sessions.get(str(params.get("key")))}


def _list(world: World, params: Params) -> dict[str, Any]:
    rows = [row for row in world.sessions.values() if params.get("agentId") in (None, row["agentId"])]
    offset, limit = int(params.get("offset") or 0), int(params.get("limit") or 200)
    page = rows[offset : offset + limit]
    more = offset + len(page) < len(rows)
    return {
        "sessions": page, "count": len(page), "totalCount": len(rows), "hasMore": more,
        "nextOffset": offset + len(page) if more else None,
    }  # fmt: skip


def _patch(world: World, params: Params) -> dict[str, Any]:
    key, expected = str(params.get("key")), params.get("expectedSessionId")
    row = world.sessions.get(key)
    if expected is not None and (row is None or row["sessionId"] != expected):
        raise GatewayError(
            "INVALID_REQUEST", f"Session {key} changed before patch. Retry.", details={"reason": "session-changed"}
        )
    if row is None:  # like the real one: a patch makes the session it names
        row = session(world, key)
    if "model" in params:
        _choose(world, row, params["model"])
    return {"ok": True, "key": key, "entry": {"sessionId": row["sessionId"]}, "resolved": {"model": row["model"]}}


def _choose(world: World, row: dict[str, Any], wanted: str | None) -> None:
    provider, _, model = (wanted or "").partition("/")
    if wanted and not any(name.startswith(f"{provider}/") for name in world.models):
        raise GatewayError("INVALID_REQUEST", f'Unknown provider "{provider}"')
    if wanted:  # like the real one: a model nobody knows is taken if its provider is known
        row |= {"modelProvider": provider, "model": model, "modelOverrideSource": "user"}
    else:
        row["modelProvider"], row["model"] = _default(world, row["agentId"])
        row["modelOverrideSource"] = None


def _abort(world: World, params: Params) -> dict[str, Any]:
    row = world.sessions.get(str(params.get("key")))
    if row is None or row["status"] != "running":
        return {"ok": True, "abortedRunId": None, "status": "no-active-run"}
    row |= {"status": "killed", "abortedLastRun": True}
    return {"ok": True, "abortedRunId": params.get("runId"), "status": "aborted"}


# method: (scope it needs, answer, whether gateways of early 2026 have it)
METHODS: dict[str, tuple[str, Callable[[World, Params], Any], bool]] = {
    "agents.list": ("operator.read", _agents_list, True),
    "models.list": ("operator.read", _models_list, True),
    "models.probe": ("operator.admin", _models_probe, False),
    "sessions.describe": ("operator.read", _describe, False),
    "sessions.list": ("operator.read", _list, True),
    "sessions.patch": ("operator.write", _patch, True),
    "sessions.abort": ("operator.write", _abort, True),
}
