"""A user's turn on a gateway: sent with a key of our own, followed to its end."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, Self

from msgspec import Struct

from regrow import GatewayClient, GatewayEvent, Subscription

TERMINAL = ("final", "error", "aborted")


class Ended(Struct, frozen=True):
    """How a turn ended, and everything that was told of it on the way."""

    run: str
    state: str  # final, error, aborted
    text: str
    seconds: float
    events: tuple[GatewayEvent, ...]

    def phases(self) -> list[str]:
        """`stream:phase` of the agent events and `chat:state` of the chat events, in order."""
        return [label(event) for event in self.events]


class Turn:
    """`async with Turn(link, "agent:main:x", "hello") as turn`: sent; `await turn.ended()` follows it."""

    def __init__(self, link: GatewayClient, session: str, text: str = "hello", **more: Any) -> None:
        self.link, self.session, self.text, self.more = link, session, text, more
        self.run = more.pop("idempotencyKey", None) or str(uuid.uuid4())
        self.events: list[GatewayEvent] = []
        self.answer: Any = None
        self._heard: Subscription = link.events(size=100_000)

    async def __aenter__(self) -> Self:
        self.began = asyncio.get_running_loop().time()
        wish = {"sessionKey": self.session, "message": self.text, "idempotencyKey": self.run, **self.more}
        self.answer = await self.link.call("chat.send", wish)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._heard.close()

    async def until(self, *labels: str, within: float = 90.0) -> GatewayEvent:
        """Follow it until one of these events; see `label`."""
        async with asyncio.timeout(within):
            async for event in self._heard:
                if not isinstance(event, GatewayEvent) or not _of(event, self.run):
                    continue
                self.events.append(event)
                if label(event) in labels:
                    return event
        raise AssertionError(f"the line ended before any of {labels}")

    async def ended(self, within: float = 90.0) -> Ended:
        """Follow it until its first terminal chat frame."""
        event = await self.until(*(f"chat:{state}" for state in TERMINAL), within=within)
        seconds = asyncio.get_running_loop().time() - self.began
        said = event.payload.get("message") or {}
        text = "".join(part.get("text", "") for part in said.get("content", ()) if isinstance(part, dict))
        text = text or str(event.payload.get("errorMessage", ""))
        return Ended(self.run, event.payload["state"], text, seconds, tuple(self.events))


async def turn(link: GatewayClient, session: str, text: str = "hello", *, within: float = 90.0, **more: Any) -> Ended:
    """Run a user's turn to its end."""
    async with Turn(link, session, text, **more) as one:
        return await one.ended(within)


def label(event: GatewayEvent) -> str:
    """A short name: `lifecycle:start`, `run_status:retrying`, `chat:final`, `cron:finished`."""
    payload = event.payload if isinstance(event.payload, dict) else {}
    if event.name == "agent":
        data = payload.get("data") or {}
        return f"{payload.get('stream')}:{data.get('phase', '')}"
    return f"{event.name}:{payload.get('state') or payload.get('action') or payload.get('phase') or ''}"


def _of(event: GatewayEvent, run: str) -> bool:
    return isinstance(event.payload, dict) and event.payload.get("runId") == run
