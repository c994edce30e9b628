"""The provider and the Telegram that tests run against do what they say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from rig.provider import Provider
from rig.telegram import BOT_TOKEN, Telegram


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:
        yield client


async def complete(http: httpx2.AsyncClient, provider: Provider, name: str = "fakea", **more: Any) -> httpx2.Response:
    body = {"model": "m1", "messages": [{"role": "user", "content": "hi"}], **more}
    return await http.post(
        f"{provider.base(name)}/chat/completions", json=body, headers={"authorization": "Bearer sk-x"}
    )


def chunks(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_a_provider_answers_whole_and_in_pieces_and_notes_who_asked(
    provider: Provider, http: httpx2.AsyncClient
) -> None:
    whole = (await complete(http, provider)).json()
    assert whole["choices"][0]["message"]["content"] == "Hello from fakea/m1."
    streamed = chunks((await complete(http, provider, "fakeb", stream=True)).text)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in streamed) == "Hello from fakeb/m1."
    assert streamed[-1]["choices"][0]["finish_reason"] == "stop"
    assert [(call.provider, call.mode, call.key) for call in provider.calls] == [
        ("fakea", "ok", "sk-x"),
        ("fakeb", "ok", "sk-x"),
    ]


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [
        ("429", 429, "rate_limit_exceeded"),
        ("quota", 429, "insufficient_quota"),
        ("402", 402, "402"),
        ("401", 401, "invalid_api_key"),
        ("403", 403, "missing_scope"),
        ("404", 404, "model_not_found"),
        ("400", 400, "invalid_schema"),
        ("context", 400, "context_length_exceeded"),
        ("500", 500, "server_error"),
        ("503", 503, "overloaded"),
        ("529", 529, "overloaded"),
    ],
)
async def test_a_provider_refuses_as_told(
    provider: Provider, http: httpx2.AsyncClient, mode: str, status: int, code: str
) -> None:
    provider.mode["m1"] = mode
    answer = await complete(http, provider)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "retry-after" not in answer.headers


async def test_a_mode_holds_for_the_nearest_name_and_a_list_is_used_up(
    provider: Provider, http: httpx2.AsyncClient
) -> None:
    provider.mode |= {"*": "500", "fakea": "401", "fakeb/m1": ["429+600", "ok"]}
    assert (await complete(http, provider, "fakea")).status_code == 401
    assert (await complete(http, provider, "other")).status_code == 500
    limited = await complete(http, provider, "fakeb")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "600")
    assert [(await complete(http, provider, "fakeb")).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("mode", ["reset", "cut"])
async def test_a_provider_breaks_off(provider: Provider, http: httpx2.AsyncClient, mode: str) -> None:
    provider.mode["m1"] = mode
    with pytest.raises(httpx2.TransportError):
        await complete(http, provider, stream=True)


@pytest.mark.parametrize(("mode", "begins"), [("hang", False), ("mute", True)])
async def test_a_provider_stays_silent(provider: Provider, mode: str, begins: bool) -> None:
    provider.mode["m1"] = mode
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    body = json.dumps({"model": "m1", "stream": True}).encode()
    head = f"POST /fakea/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await provider.called()
    if begins:
        assert b"200" in await reader.readline()
        await reader.readuntil(b"Hello")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.readuntil(b"DONE")
    writer.close()
    await writer.wait_closed()


async def test_a_provider_calls_a_tool_once(provider: Provider, http: httpx2.AsyncClient) -> None:
    provider.mode["m1"] = "tool"
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    asked = chunks((await complete(http, provider, stream=True, tools=tools)).text)
    assert asked[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "look"
    assert asked[-1]["choices"][0]["finish_reason"] == "tool_calls"
    told = [{"role": "tool", "tool_call_id": "call_1", "content": "seen"}]
    assert "Hello" in (await complete(http, provider, stream=True, tools=tools, messages=told)).text


async def call(http: httpx2.AsyncClient, telegram: Telegram, method: str, **params: Any) -> httpx2.Response:
    return await http.post(f"{telegram.root}/bot{BOT_TOKEN}/{method}", json=params)


async def test_telegram_keeps_updates_until_the_offset_passes_them(
    telegram: Telegram, http: httpx2.AsyncClient
) -> None:
    assert (await call(http, telegram, "getMe")).json()["result"]["is_bot"] is True
    poll = asyncio.create_task(call(http, telegram, "getUpdates", timeout=4))
    await telegram.polled()
    number = await telegram.write("hello")
    assert (await poll).json()["result"][0]["message"]["text"] == "hello"
    assert len((await call(http, telegram, "getUpdates")).json()["result"]) == 1
    assert (await call(http, telegram, "getUpdates", offset=number + 1)).json()["result"] == []
    await call(http, telegram, "sendMessage", chat_id=4711, text="hello yourself")
    assert (await telegram.wrote("yourself"))["chat_id"] == 4711


@pytest.mark.parametrize("mode", ["401", "409", "500"])
async def test_telegram_ends_the_poll_under_way_when_it_turns(
    telegram: Telegram, http: httpx2.AsyncClient, mode: str
) -> None:
    poll = asyncio.create_task(call(http, telegram, "getUpdates", timeout=4))
    await telegram.polled()
    await telegram.become(mode)
    answer = await poll
    assert (answer.status_code, answer.json()["error_code"]) == (int(mode), int(mode))


async def test_telegram_vanishes_stalls_and_comes_back(telegram: Telegram, http: httpx2.AsyncClient) -> None:
    await telegram.become("refuse")
    with pytest.raises(httpx2.ConnectError):
        await call(http, telegram, "getMe")
    await telegram.become("stall")
    with pytest.raises(httpx2.ReadTimeout):
        await http.post(f"{telegram.root}/bot{BOT_TOKEN}/getMe", timeout=0.1)
    await telegram.become("ok")
    assert (await call(http, telegram, "getMe")).status_code == 200
    assert (await http.get(f"{telegram.root}/botwrong/getMe")).status_code == 401
