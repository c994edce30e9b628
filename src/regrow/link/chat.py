"""Turns what a gateway pushes into the library's events: text told once, one end per run, one shape for tools."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

LibraryEvent = tuple[str, dict[str, Any]]

MAX_RUNS = 512
MAX_TEXT = 4 << 20  # characters kept for comparison, of all runs together
_DEFAULT_ERROR = "the run failed and the gateway gave no reason"
_CHANNEL_EVENTS = frozenset({"channel.status", "channel.status_changed"})
_READY_EVENTS = frozenset({"gateway.ready", "ready"})
_TOOL_EVENTS = frozenset({"session.tool", "tool.call_started", "tool.call_completed", "tool.status"})
_MESSAGE_EVENTS = frozenset({"session.message", "chat.message_received"})
_ROLES = {"user": "user", "assistant": "assistant", "system": "system"}
_TOOL_ROLES = {"tool", "toolresult", "tool_result"}
_RUNNING_PHASES = frozenset({"start", "update"})


class Normaliser:
    """Follows the runs of one connection. Make a new one for a new connection.

    Args:
        max_runs: How many runs are remembered; the ones not heard of for longest are forgotten first.
        max_text: How many characters are remembered, of all runs together (the run being told is always kept).
    """

    def __init__(self, *, max_runs: int = MAX_RUNS, max_text: int = MAX_TEXT) -> None:
        self._max_runs = max_runs
        self._max_text = max_text
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._size = 0
        self._over: OrderedDict[str, None] = OrderedDict()
        self._channels: dict[tuple[str, str], str] = {}

    def feed(
        self, name: str, payload: Any, kind: Literal["event", "notification", "message"] = "event"
    ) -> list[LibraryEvent]:
        """Take one gateway event and return the library events it means, in order. Never raises.

        Args:
            name: The event's name, or the method of a legacy notification.
            payload: Its payload, of any shape.
            kind: As in `GatewayEvent`.
        """
        if kind == "message":
            return [("message", {"message": payload})]
        events: list[LibraryEvent] = []
        if kind == "notification":
            events.append(("notification", {"method": name, "params": payload}))
        body = payload if isinstance(payload, Mapping) else {}
        if name == "chat":
            return events + self._chat(body) + [("chat:message", {"message": payload})]
        if name in _MESSAGE_EVENTS:
            return [*events, ("chat:message", {"message": payload})]
        if name in _CHANNEL_EVENTS:
            return [*events, ("channel:status", dict(body))]
        if name == "health" and kind == "event":
            events += self._channel_changes(body)
        if name in _READY_EVENTS:
            return [*events, ("gateway:ready", dict(body))]
        if name in _TOOL_EVENTS or (name == "agent" and body.get("stream") == "tool"):
            events += _tool_status(body)
        if name != "tick" and kind == "event":
            events.append(("notification", {"method": name, "params": payload}))
        return events

    # ── channels ──

    def _channel_changes(self, health: Mapping[str, Any]) -> list[LibraryEvent]:
        """Current gateways push no channel event of their own: each account's state is compared with the last look."""
        channels = health.get("channels")
        seen: dict[tuple[str, str], str] = {}
        for channel, summary in channels.items() if isinstance(channels, Mapping) else ():
            accounts = summary.get("accounts") if isinstance(summary, Mapping) else None
            found = accounts if isinstance(accounts, Mapping) and accounts else {"default": summary}
            seen |= {(str(channel), str(account)): _channel_state(value) for account, value in found.items()}
        changed = {key: state for key, state in seen.items() if self._channels.get(key) != state}
        self._channels = seen
        return [
            ("channel:status", {"channelId": channel, "accountId": account, "status": state})
            for (channel, account), state in changed.items()
        ]

    # ── chat ──

    def _chat(self, payload: Mapping[str, Any]) -> list[LibraryEvent]:
        session, run, state = _text(payload, "sessionKey"), _text(payload, "runId"), _text(payload, "state")
        if not session or not run or not state or _is_notice(payload) or run in self._over:
            return []
        who = {"sessionKey": session_key(session, payload.get("agentId")), "runId": run}
        match state:
            case "delta":
                return self._delta(who, payload)
            case "final":
                return self._final(who, payload)
            case "error":
                self._end(run)
                return [("chat:error", {**who, "error": _text(payload, "errorMessage") or _DEFAULT_ERROR})]
            case "aborted":
                self._end(run)
                return [("chat:aborted", who)]
            case _:
                return []

    def _delta(self, who: dict[str, Any], payload: Mapping[str, Any]) -> list[LibraryEvent]:
        run = who["runId"]
        before = "" if payload.get("replace") is True else self._texts.get(run, "")
        whole = _snapshot(payload, before)
        if payload.get("replace") is True:
            self._remember(run, whole)
        if not whole:
            return []
        new = whole.removeprefix(before)
        self._remember(run, whole)
        return [("chat:delta", {**who, "delta": new})] if new else []

    def _final(self, who: dict[str, Any], payload: Mapping[str, Any]) -> list[LibraryEvent]:
        run = who["runId"]
        text = self._texts.get(run, "")
        self._end(run)
        message = normal_message(payload.get("message"))
        if message is None and text:
            message = {"role": "assistant", "content": [{"type": "text", "text": text}], "timestamp": None}
        return [] if message is None else [("chat:final", {**who, "message": message})]

    def _remember(self, run: str, text: str) -> None:
        self._size += len(text) - len(self._texts.get(run, ""))
        self._texts[run] = text
        self._texts.move_to_end(run)
        while len(self._texts) > self._max_runs or (self._size > self._max_text and len(self._texts) > 1):
            self._forget(next(iter(self._texts)))

    def _forget(self, run: str) -> None:
        self._size -= len(self._texts.pop(run, ""))

    def _end(self, run: str) -> None:
        self._forget(run)
        self._over[run] = None
        if len(self._over) > self._max_runs:
            self._over.popitem(last=False)


def session_key(key: str, agent_id: object = None) -> str:
    """Return a session key in its full form, `agent:<id>:…`.

    Args:
        key: The key as it came, perhaps without its agent.
        agent_id: The agent it belongs to, if known; `main` otherwise.
    """
    key = key.strip()
    if key.lower().startswith("agent:"):
        return "agent:" + key[len("agent:") :]
    if key in ("global", "unknown"):  # the two keys that belong to no agent
        return key
    agent = agent_id.strip() if isinstance(agent_id, str) else ""
    return f"agent:{agent or 'main'}:{key}"


def normal_message(value: object) -> dict[str, Any] | None:
    """Return a chat message with a known role, content as blocks and a timestamp in milliseconds, or None."""
    if not isinstance(value, Mapping):
        return None
    content = value.get("content")
    if not isinstance(content, list):
        text = content if isinstance(content, str) else value.get("text")
        content = [{"type": "text", "text": text}] if isinstance(text, str) and text else []
    moment = _moment(value.get("timestamp"))
    return {**value, "role": _role(value.get("role")), "content": content, "timestamp": moment}


def _role(value: object) -> str:
    role = value.strip().lower() if isinstance(value, str) else ""
    return "toolresult" if role in _TOOL_ROLES else _ROLES.get(role, "assistant")


def _moment(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp() * 1000.0
        except (ValueError, OverflowError):
            return None
    return None


def _channel_state(account: object) -> str:
    """`connected`, `disconnected`, the gateway's own word for its life, or `unknown`."""
    if not isinstance(account, Mapping):
        return "unknown"
    connected = account.get("connected")
    if isinstance(connected, bool):
        return "connected" if connected else "disconnected"
    return _text(account, "lifecycle", "healthState") or "unknown"


def _is_notice(payload: Mapping[str, Any]) -> bool:
    """Say whether the gateway speaks about the run (`Model Fallback: …`) and not the model in it."""
    message = payload.get("message")
    content = message.get("content") if isinstance(message, Mapping) else None
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    return bool(blocks) and all(block.get("openclawStatusNotice") is True for block in blocks)


def _snapshot(payload: Mapping[str, Any], before: str) -> str:
    """Return the whole text of the run so far: the cumulative message, else an older field, else what is added."""
    for key in ("delta", "text"):
        value = payload.get(key)
        if isinstance(value, str):
            return value
    whole = _message_text(payload.get("message"))
    added = payload.get("deltaText")
    if whole is None and isinstance(added, str):
        return before + added
    return whole or ""


def _message_text(message: object) -> str | None:
    if not isinstance(message, Mapping):
        return None
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        text = message.get("text")
        return text if isinstance(text, str) else None
    return "\n".join(filter(None, map(_block_text, content)))


def _block_text(block: object) -> str:
    if not isinstance(block, Mapping):
        return ""
    values = (block.get(key) for key in ("text", "thinking", "content"))
    return next((value for value in values if isinstance(value, str)), "")


# ── tools ──


def _tool_status(payload: Mapping[str, Any]) -> list[LibraryEvent]:
    """Normalise one tool report; one that does not say session, run and tool is dropped."""
    data = payload.get("data")
    merged: dict[str, Any] = {**payload, **data} if isinstance(data, Mapping) else dict(payload)
    session = _text(merged, "sessionKey", "session_key")
    run = _text(merged, "runId", "run_id")
    tool = _text(merged, "toolName", "tool_name", "name")
    if not session or not run or not tool:
        return []
    failure = _text(merged, "error")
    status: dict[str, Any] = {
        "sessionKey": session_key(session, merged.get("agentId")),
        "runId": run,
        "toolCallId": _text(merged, "toolCallId", "tool_call_id", "id") or None,
        "toolName": tool,
        "status": "error" if failure or merged.get("isError") is True else _tool_state(merged),
        "updatedAt": _moment(merged.get("timestamp", merged.get("ts"))),
        "summary": failure or _text(merged, "summary", "message") or None,
        "durationMs": _number(merged, "durationMs", "duration_ms"),
        "input": _first(merged, "input", "arguments", "args"),
        "result": merged.get("result"),
    }
    return [("tool:status", {key: value for key, value in status.items() if value is not None})]


def _tool_state(payload: Mapping[str, Any]) -> str:
    said = _text(payload, "status").strip().lower()
    if said == "running" or (not said and _text(payload, "phase") in _RUNNING_PHASES):
        return "running"
    return "error" if said in ("error", "failed") else "completed"


def _text(record: Mapping[str, Any], *keys: str) -> str:
    return next((v for v in map(record.get, keys) if isinstance(v, str) and v.strip()), "")


def _number(record: Mapping[str, Any], *keys: str) -> float | None:
    values = map(record.get, keys)
    return next((v for v in values if isinstance(v, int | float) and not isinstance(v, bool)), None)


def _first(record: Mapping[str, Any], *keys: str) -> Any:
    return next((record[key] for key in keys if record.get(key) is not None), None)
