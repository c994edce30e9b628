"""A model provider that speaks the OpenAI wire and fails on demand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest

from rig.wire import Asked, Web, Wire

Mode = str | list[str]

_ERRORS: dict[str, tuple[int, str, str, str]] = {  # mode: status, message, type, code
    "429": (429, "Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    "quota": (
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    "402": (402, "Insufficient credits. Add more to continue.", "insufficient_credits", "402"),
    "401": (401, "Incorrect API key provided: sk-****.", "invalid_request_error", "invalid_api_key"),
    "403": (403, "You have insufficient permissions for this operation.", "invalid_request_error", "missing_scope"),
    "404": (
        404,
        "The model does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    "400": (
        400,
        "Invalid schema for function: None is not of type 'object'.",
        "invalid_request_error",
        "invalid_schema",
    ),
    "context": (
        400,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 190000 tokens.",
        "invalid_request_error",
        "context_length_exceeded",
    ),
    "500": (500, "The server had an error while processing your request.", "server_error", "server_error"),
    "503": (503, "The engine is currently overloaded, please try again later.", "server_error", "overloaded"),
    "529": (529, "Overloaded", "overloaded_error", "overloaded"),
}


class Call(NamedTuple):
    """One completion that was asked for."""

    provider: str
    model: str
    mode: str
    key: str
    body: dict[str, Any]
    at: float


class Provider(Web):
    """Many providers behind one port: `base("fakea")` is the base URL of the one called fakea.

    `mode` says what a completion gets, by `provider/model`, model, provider or `*`, in this order; nothing said: `ok`.
    It may be changed at any time and holds from the next request on. A list is used up from its front; its last stays.

    Modes: `ok`, `429` (`429+600`: with Retry-After), `quota`, `402`, `401`, `403`, `404`, `400`, `context`, `500`,
    `503`, `529`, `reset` (RST), `hang` (accepts, stays silent), `cut` (the stream breaks off half-way), `mute` (the
    stream begins, then silence), `slow+N` (N seconds of thinking first), `tool` (calls the first offered tool),
    `empty` (an answer without content).
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.mode: dict[str, Mode] = {}
        self.calls: list[Call] = []
        self.words: dict[str, str] = {}  # model to what it answers, if not its own name

    def base(self, name: str) -> str:
        """The base URL of one provider."""
        return f"{self.root}/{name}/v1"

    def of(self, name: str) -> list[Call]:
        """The calls of a provider, a model, or `provider/model`."""
        return [call for call in self.calls if name in (call.provider, call.model, f"{call.provider}/{call.model}")]

    async def called(self, name: str = "", count: int = 1) -> Call:
        """Wait until that many calls (of that provider or model) have come, and give the last of them."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.of(name) if name else self.calls) >= count)
        return (self.of(name) if name else self.calls)[count - 1]

    async def answer(self, asked: Asked, wire: Wire) -> None:
        provider, _, what = asked.path.strip("/").partition("/")
        if asked.path == "/_mode":  # a program is told by another process
            self.mode.update(asked.json)
            await wire.reply(200, self.mode)
        elif asked.path == "/_calls":
            await wire.reply(200, [call._asdict() | {"key": ""} for call in self.calls])
        elif what == "v1/models":
            await wire.reply(200, {"object": "list", "data": [{"id": "m1", "object": "model"}]})
        elif what == "v1/chat/completions":
            body = asked.json
            mode = self._mode(provider, body["model"])
            key = asked.headers.get("authorization", "").removeprefix("Bearer ")
            self.calls.append(Call(provider, body["model"], mode, key, body, asked.at))
            await self.told()
            await self._complete(mode, provider, body, wire)
        else:
            await wire.reply(404, {"error": {"message": "no such path"}})

    def _mode(self, provider: str, model: str) -> str:
        for name in (f"{provider}/{model}", model, provider, "*"):
            mode = self.mode.get(name)
            if isinstance(mode, list):
                return mode.pop(0) if len(mode) > 1 else mode[0]
            if mode:
                return mode
        return "ok"

    async def _complete(self, mode: str, provider: str, body: dict[str, Any], wire: Wire) -> None:
        kind, _, figure = mode.partition("+")
        if kind in _ERRORS:
            await self._refuse(kind, figure, wire)
        elif kind == "reset":
            wire.reset()
        elif kind == "hang":
            await wire.silence()
        else:
            if kind == "slow":
                await asyncio.sleep(float(figure))
            text = self.words.get(body["model"], f"Hello from {provider}/{body['model']}.")
            await (_stream if body.get("stream") else _whole)(kind, text, body, wire)

    async def _refuse(self, kind: str, after: str, wire: Wire) -> None:
        status, message, type_, code = _ERRORS[kind]
        headers = {"retry_after": after} if after else {}
        said = f"{message} Please try again in {after}s." if after else message
        await wire.reply(status, {"error": {"message": said, "type": type_, "param": None, "code": code}}, **headers)


def _message(kind: str, text: str, body: dict[str, Any]) -> dict[str, Any]:
    tools = body.get("tools") or []
    answered = any(message.get("role") == "tool" for message in body.get("messages", []))
    if kind == "tool" and tools and not answered:
        function = {"name": tools[0]["function"]["name"], "arguments": "{}"}
        return {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}],
        }
    return {"role": "assistant", "content": "" if kind == "empty" else text}


def _shell(body: dict[str, Any], object_: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": object_, "created": int(time.time()), "model": body["model"]}


_USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


async def _whole(kind: str, text: str, body: dict[str, Any], wire: Wire) -> None:
    if kind in ("cut", "mute"):
        await wire.begin(200, content_type="application/json")
        await wire.piece(b'{"id":')
        await _break_off(kind, wire)
        return
    message = _message(kind, text, body)
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
    await wire.reply(200, {**_shell(body, "chat.completion"), "choices": [choice], "usage": _USAGE})


async def _stream(kind: str, text: str, body: dict[str, Any], wire: Wire) -> None:
    await wire.begin(200, content_type="text/event-stream")
    message = _message(kind, text, body)
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if "tool_calls" in message:
        pieces.append({"tool_calls": message["tool_calls"]})
    elif message["content"]:
        pieces += [{"content": word} for word in message["content"].replace(" ", "\0 ").split("\0")]
    for piece in pieces[: 2 if kind in ("cut", "mute") else None]:
        await _say(body, {"delta": piece, "finish_reason": None}, wire)
    if kind in ("cut", "mute"):
        await _break_off(kind, wire)
        return
    reason = "tool_calls" if "tool_calls" in message else "stop"
    await _say(body, {"delta": {}, "finish_reason": reason}, wire, usage=_USAGE)
    await wire.piece(b"data: [DONE]\n\n")
    await wire.piece(b"")


async def _say(body: dict[str, Any], choice: dict[str, Any], wire: Wire, **more: Any) -> None:
    chunk = {**_shell(body, "chat.completion.chunk"), "choices": [{"index": 0, **choice}], **more}
    await wire.piece(b"data: " + json.dumps(chunk).encode() + b"\n\n")


async def _break_off(kind: str, wire: Wire) -> None:
    if kind == "cut":
        wire.cut()
    else:
        await wire.silence()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """A provider on a port of its own."""
    async with Provider() as one:
        yield one
