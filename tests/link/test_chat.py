"""What a gateway pushes, as the library's events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.link.chat import Normaliser, normal_message, session_key

WHO = {"runId": "r", "sessionKey": "agent:main:x"}


def told(name: str, payload: Any, feed: Normaliser | None = None) -> list[tuple[str, dict[str, Any]]]:
    """All but the raw copies that follow every event."""
    events = (feed or Normaliser()).feed(name, payload)
    return [event for event in events if event[0] not in ("chat:message", "notification")]


class Chat:
    def __init__(self, **limits: int) -> None:
        self.normaliser = Normaliser(**limits)

    def __call__(self, state: str, text: str | None = None, run: str = "r", **more: Any) -> list[Any]:
        payload = {**WHO, "runId": run, "state": state, **more}
        if text is not None:
            payload["message"] = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        return told("chat", payload, self.normaliser)


def delta(text: str, run: str = "r") -> list[Any]:
    return [("chat:delta", {**WHO, "runId": run, "delta": text})]


def test_a_growing_text_is_told_once() -> None:
    chat = Chat()
    assert chat("delta", "Hel", deltaText="Hel") == delta("Hel")
    assert chat("delta", "Hello", deltaText="lo") == delta("lo")
    assert chat("delta", "Hello", deltaText="") == []
    assert chat("delta", "") == []
    assert chat("delta", "Hello!") == delta("!")


def test_a_text_that_is_no_continuation_is_told_whole() -> None:
    chat = Chat()
    chat("delta", "Hello")
    assert chat("delta", "Bye") == delta("Bye")


def test_a_replacement_starts_the_text_again() -> None:
    chat = Chat()
    chat("delta", "Partial")
    assert chat("delta", "", deltaText="", replace=True) == []
    assert chat("delta", "Partial", deltaText="Partial") == delta("Partial")
    assert chat("delta", "Partial and", replace=True) == delta("Partial and")


def test_older_and_smaller_deltas_work_too() -> None:
    chat = Chat()
    assert chat("delta", delta="ab") == delta("ab")
    assert chat("delta", delta="abc") == delta("c")
    assert Chat()("delta", text="never") == delta("never")
    lonely = Chat()
    assert told("chat", {**WHO, "state": "delta", "text": "t"}, lonely.normaliser) == delta("t")
    assert lonely("delta", deltaText="!") == delta("!")
    assert lonely("delta", deltaText="?") == delta("?")
    assert lonely("delta") == []
    assert Chat()("delta", message={"content": "plain"}) == delta("plain")
    assert Chat()("delta", message={"text": "bare"}) == delta("bare")
    blocks = [{"thinking": "hm"}, 7, {"type": "image"}, {"content": "so"}]
    assert Chat()("delta", message={"content": blocks}) == delta("hm\nso")


def test_the_first_end_of_a_run_wins() -> None:
    chat = Chat()
    (first,) = chat("error", errorMessage="⚠️ limit")
    assert first == ("chat:error", {**WHO, "error": "⚠️ limit"})
    assert chat("error", errorMessage="other words", seq=1) == []
    assert chat("final", "late") == []
    assert chat("delta", "late") == []
    assert chat("final", "another run", run="r2") != []


def test_a_notice_of_the_gateway_is_not_the_end() -> None:
    chat = Chat()
    notice = {"content": [{"type": "text", "text": "Model Fallback", "openclawStatusNotice": True}]}
    assert chat("final", message=notice) == []
    ((name, body),) = chat("final", "the answer")
    assert (name, body["message"]["content"][0]["text"]) == ("chat:final", "the answer")
    assert chat("final", message=notice) == []


def test_a_final_without_message_uses_the_text_so_far() -> None:
    chat = Chat()
    chat("delta", "so far")
    ((name, body),) = chat("final")
    assert name == "chat:final"
    assert (body["message"]["role"], body["message"]["content"]) == ("assistant", [{"type": "text", "text": "so far"}])
    assert Chat()("final") == []


def test_other_ends() -> None:
    assert Chat()("aborted", "partial") == [("chat:aborted", WHO)]
    ((_, body),) = Chat()("error")
    assert body["error"]
    assert Chat()("status", phase="preparing_context") == []


@pytest.mark.parametrize("missing", ["runId", "sessionKey", "state"])
def test_without_session_run_and_state_a_chat_event_says_nothing(missing: str) -> None:
    payload = {**WHO, "state": "delta", "delta": "x"}
    del payload[missing]
    assert told("chat", payload) == []
    assert Normaliser().feed("chat", payload) == [("chat:message", {"message": payload})]


def test_memory_is_bounded() -> None:
    chat = Chat(max_runs=3, max_text=10)
    for run in "abcd":
        chat("delta", "xy", run=run)
    assert chat("delta", "xyz", run="d") == delta("z", "d")
    assert chat("delta", "xyz", run="a") == delta("xyz", "a")  # forgotten, so told again
    chat("delta", "0123456789ab", run="big")
    assert chat("delta", "0123456789abc", run="big") == delta("c", "big")
    assert len(chat.normaliser._texts) == 1
    for number in range(9):
        chat("aborted", run=f"n{number}")
    assert len(chat.normaliser._over) == 3
    assert chat.normaliser._size == 13


@pytest.mark.parametrize(
    ("key", "agent", "full"),
    [
        ("agent:main:x", None, "agent:main:x"),
        (" AGENT:a:B ", None, "agent:a:B"),
        ("main", None, "agent:main:main"),
        ("cron:1", "ops", "agent:ops:cron:1"),
        ("global", "ops", "global"),
    ],
)
def test_session_keys_are_full(key: str, agent: str | None, full: str) -> None:
    assert session_key(key, agent) == full


@pytest.mark.parametrize(
    ("role", "normal"),
    [("User", "user"), ("tool", "toolresult"), ("tool_result", "toolresult"), ("system", "system"), (7, "assistant")],
)
def test_roles_are_known_ones(role: Any, normal: str) -> None:
    message = normal_message({"role": role, "content": "t", "extra": 1})
    assert message is not None
    assert (message["role"], message["content"], message["extra"]) == (normal, [{"type": "text", "text": "t"}], 1)


@pytest.mark.parametrize(
    ("value", "moment"),
    [(5, 5), ("2026-01-01T00:00:00+00:00", 1767225600000.0), ("soon", None), (None, None), (True, None)],
)
def test_timestamps_are_milliseconds(value: Any, moment: float | None) -> None:
    message = normal_message({"text": "t", "timestamp": value})
    assert message is not None
    assert message["timestamp"] == moment


TOOL = {"sessionKey": "agent:main:x", "runId": "r", "toolName": "exec"}


def tool(**fields: Any) -> dict[str, Any]:
    ((name, body),) = told("session.tool", {**TOOL, **fields})
    assert name == "tool:status"
    return body


def test_a_tool_report_has_one_shape() -> None:
    snake = {
        "session_key": "main",
        "run_id": "r",
        "tool_name": "exec",
        "tool_call_id": "c",
        "duration_ms": 5,
        "message": "done",
        "args": {"a": 1},
        "status": "completed",
        "result": [1],
        "timestamp": 9,
    }
    assert told("tool.call_completed", snake) == [
        (
            "tool:status",
            {
                "sessionKey": "agent:main:main",
                "runId": "r",
                "toolCallId": "c",
                "toolName": "exec",
                "status": "completed",
                "updatedAt": 9,
                "summary": "done",
                "durationMs": 5,
                "input": {"a": 1},
                "result": [1],
            },
        )
    ]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "running"}, "running"),
        ({"status": " Failed "}, "error"),
        ({"status": "error"}, "error"),
        ({"status": "whatever"}, "completed"),
        ({}, "completed"),
        ({"status": "running", "error": "boom"}, "error"),
        ({"data": {"phase": "start"}}, "running"),
        ({"data": {"phase": "result"}}, "completed"),
        ({"data": {"phase": "result", "isError": True}}, "error"),
    ],
)
def test_tool_states(fields: dict[str, Any], status: str) -> None:
    assert tool(**fields)["status"] == status


def test_an_error_text_becomes_the_summary() -> None:
    assert tool(summary="s", error="boom")["summary"] == "boom"
    assert tool(input=1, arguments=2)["input"] == 1


@pytest.mark.parametrize("missing", TOOL)
def test_a_tool_report_without_its_ids_is_dropped(missing: str) -> None:
    assert told("session.tool", {k: v for k, v in TOOL.items() if k != missing}) == []


def test_a_live_tool_stream_is_a_tool_report() -> None:
    payload = {"sessionKey": "agent:main:x", "runId": "r", "stream": "tool", "data": {"name": "exec", "phase": "start"}}
    events = Normaliser().feed("agent", payload)
    assert [name for name, _ in events] == ["tool:status", "notification"]


def test_the_other_library_events() -> None:
    feed = Normaliser().feed
    assert feed("channel.status", {"channelId": "w"}) == [("channel:status", {"channelId": "w"})]
    assert feed("gateway.ready", None) == [("gateway:ready", {})]
    assert feed("tick", {"ts": 1}) == []
    assert feed("cron", {"a": 1}) == [("notification", {"method": "cron", "params": {"a": 1}})]
    assert feed("session.message", {"a": 1}) == [("chat:message", {"message": {"a": 1}})]
    assert feed("message", {"odd": 1}, "message") == [("message", {"message": {"odd": 1}})]
    assert feed("channel.status_changed", {"c": 1}, "notification") == [
        ("notification", {"method": "channel.status_changed", "params": {"c": 1}}),
        ("channel:status", {"c": 1}),
    ]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["runId", "sessionKey", "state", "message", "content", "text", "data", "stream", "timestamp"]
            )
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)


@given(
    name=st.sampled_from(["chat", "agent", "session.tool", "channel.status", "gateway.ready", "x"]),
    payload=ANY,
    state=st.sampled_from(["delta", "final", "error", "aborted", "status"]),
)
def test_no_payload_raises(name: str, payload: Any, state: str) -> None:
    normaliser = Normaliser()
    normaliser.feed(name, payload)
    if isinstance(payload, dict):
        normaliser.feed(name, {**WHO, "toolName": "t", "stream": "tool", **payload, "state": state})


def test_a_channel_that_changes_between_two_healths_is_told_once() -> None:
    normaliser = Normaliser()

    def told(**accounts: object) -> list[tuple[str, str, str]]:
        health = {"channels": {"telegram": {"accounts": accounts}, "odd": 7, "bare": {"lifecycle": "ready"}}}
        events = normaliser.feed("health", health)
        return [(d["channelId"], d["accountId"], d["status"]) for name, d in events if name == "channel:status"]

    first = told(default={"connected": True}, second={"connected": False})
    assert set(first) == {
        ("telegram", "default", "connected"), ("telegram", "second", "disconnected"),
        ("odd", "default", "unknown"), ("bare", "default", "ready"),
    }  # fmt: skip
    assert told(default={"connected": True}, second={"connected": False}) == []
    assert told(default={"connected": False}, second={"connected": False}) == [("telegram", "default", "disconnected")]
    assert normaliser.feed("health", {"channels": [1]})[0][0] == "notification"
