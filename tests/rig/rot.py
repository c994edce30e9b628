"""Servers and tricks that make a real gateway ill: a model that never answers, a chat service, a blocked loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any

import websockets

INSPECTOR = "http://127.0.0.1:9229/json/list"  # where SIGUSR1 opens it on current versions


class Listener:
    """An HTTP server on loopback that counts what it is asked and answers, or keeps silent."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.news = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                length = next((line for line in head.splitlines() if line.lower().startswith("content-length:")), ":0")
                await reader.readexactly(int(length.partition(":")[2]))
                path = head.split()[1]
                self.asked.append(path)
                self.news.set()
                body = self._answer(path)
                if body is None:
                    await asyncio.Event().wait()  # for ever
                raw = json.dumps(body).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(raw)
                )
                writer.write(raw)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def listening(answer: Callable[[str], Any]) -> AsyncIterator[Listener]:
    """A server whose answers a function of the path gives; None is silence for ever."""
    listener = Listener(answer)
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(listener.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()


def silent_model(url: str) -> dict[str, Any]:
    """Configuration of a model provider at this address, for a model that is asked and never answers."""
    model = {
        "id": "mute", "name": "Mute", "reasoning": False, "input": ["text"], "contextWindow": 120000, "maxTokens": 4096,
        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
    }  # fmt: skip
    provider = {"baseUrl": f"{url}/v1", "apiKey": "sk-local", "api": "openai-completions", "models": [model]}
    return {
        "agents": {"defaults": {"model": {"primary": "lab/mute"}}},
        "models": {"mode": "merge", "providers": {"lab": provider}},
    }


def telegram(path: str) -> Any:
    """What a Telegram Bot API answers to a bot that nobody writes to."""
    method = path.rpartition("/")[2].partition("?")[0]
    if method == "getMe":
        return {"ok": True, "result": {"id": 1, "is_bot": True, "first_name": "lab", "username": "lab_bot"}}
    if method == "getUpdates":
        return None  # nobody writes
    return {"ok": True, "result": True}


def telegram_channel(url: str) -> dict[str, Any]:
    """Configuration of a Telegram channel whose service is at this address."""
    return {
        "channels": {
            "telegram": {
                "enabled": True, "botToken": "123456789:AAHabcdefghijklmnopqrstuvwxyz012345", "apiRoot": url,
                "dmPolicy": "disabled",
            }
        }
    }  # fmt: skip


async def block_loop(pid: int, seconds: float) -> None:
    """Have the gateway's event loop do nothing for so long, as a runaway plugin would: through its own debugger."""
    os.kill(pid, signal.SIGUSR1)
    pages = None
    async with asyncio.timeout(10):
        while pages is None:
            with contextlib.suppress(OSError):
                pages = await asyncio.to_thread(_pages)
    script = f"Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, {round(seconds * 1000)})"
    request = {"id": 1, "method": "Runtime.evaluate", "params": {"expression": script}}
    async with websockets.connect(pages[0]["webSocketDebuggerUrl"], ping_interval=None, close_timeout=0.1) as debugger:
        await debugger.send(json.dumps(request))
        await asyncio.sleep(0.2)  # it answers when it is over: the request only has to be in


def _pages() -> list[dict[str, Any]]:
    with urllib.request.urlopen(INSPECTOR, timeout=2) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())
    return found
