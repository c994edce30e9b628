"""A small keeper behind a real control socket: answers what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from regrow.decide.domains.base import Reply
from regrow.model.errors import GatewayError, RegrowError, TransportError
from regrow.serve.control import ControlServer, Wish

HEALTHY: dict[str, Any] = {
    "status": "connected", "lifecycleState": "running", "phase": "running", "gatewayReady": True, "mode": "own",
    "port": 18999, "pid": 4242, "version": "2026.9.6", "bootId": "b-1", "connectedAt": 1_700_000_000_000,
    "uptime": 65_000, "reconnectAttempts": 0, "lastError": None, "diagnostics": {"lastAliveAt": None},
    "restarts": {"executed": 2, "suppressed": 1, "pending": None, "lastReason": "it hung"}, "episodes": [],
    "want": "running",
}  # fmt: skip


class StubKeeper:
    """Keeps what it was asked for; its answers are attributes."""

    def __init__(self) -> None:
        self.now = dict(HEALTHY)
        self.wishes: list[Wish] = []
        self.replies = [Reply("r", "done", "it is done")]
        self.answered = asyncio.Event()
        self.held = asyncio.Event()  # set: the last reply is not given
        self.past: list[dict[str, Any]] = []
        self.news: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.followers = 0
        self.left = asyncio.Event()
        self.rpcs: list[tuple[str, Any, float | None]] = []
        self.rpc_error: RegrowError | None = None
        self.payload: Any = {"ok": True}
        self.types: tuple[str, ...] = ()

    def status(self) -> dict[str, Any]:
        return self.now

    async def ask(self, wish: Wish) -> AsyncIterator[Reply]:
        self.wishes.append(wish)
        try:
            for reply in self.replies:
                yield reply
                self.answered.set()
            if self.held.is_set():
                await asyncio.Event().wait()
        finally:
            self.left.set()

    async def rpc(self, method: str, params: dict[str, Any] | None, timeout: float | None) -> Any:
        self.rpcs.append((method, params, timeout))
        if self.rpc_error is not None:
            raise self.rpc_error
        if method == "never":
            try:
                async with asyncio.timeout(timeout):
                    await asyncio.Event().wait()
            finally:
                self.left.set()
        return self.payload

    async def events(self, after: int, *, follow: bool, types: tuple[str, ...]) -> AsyncIterator[dict[str, Any]]:
        self.types = types
        self.followers += 1
        try:
            for event in self.past:
                if event["id"] > after:
                    yield event
            while follow and (event := await self.news.get()) is not None:
                yield event
        finally:
            self.followers -= 1
            self.left.set()

    async def reload_config(self) -> dict[str, Any]:
        return {"changed": ["regrow.log_level"], "needRestart": []}


GATEWAY_ERROR = GatewayError("UNAVAILABLE", "still starting", retryable=True, details={"reason": "boot"})
LOST = TransportError("the connection to the gateway is gone")


@contextlib.asynccontextmanager
async def serving(path: Path, keeper: StubKeeper) -> AsyncIterator[ControlServer]:
    """The keeper answers at this path for as long as the block lasts."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = ControlServer(path, keeper)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run())
        ready = tasks.create_task(server.listening.wait())
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        try:
            yield server
        finally:
            running.cancel()
