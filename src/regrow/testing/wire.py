"""The sockets of a fake gateway: who is connected, and what a hang does to them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from websockets.asyncio.server import ServerConnection

from regrow.model.errors import GatewayError
from regrow.testing.world import State, World


class Peer:
    """One client that was let in."""

    def __init__(self, ws: ServerConnection, scopes: tuple[str, ...]) -> None:
        self.ws = ws
        self.scopes = scopes
        self.seq = 0
        self.tasks: set[asyncio.Task[None]] = set()


class Connection(ServerConnection):
    """While the gateway hangs, what arrives stays unread, pings included."""

    world: World | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._held: list[bytes] = []
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self.world is not None and self.world.state is State.HUNG:
            self._held.append(data)
        else:
            super().data_received(data)

    def catch_up(self) -> None:
        """Read what arrived during the hang."""
        held, self._held = self._held, []
        for data in held:
            super().data_received(data)


def parse(text: str | bytes) -> dict[str, Any] | None:
    """Read a frame; None if it is none."""
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) else None


def to_wire(error: GatewayError) -> dict[str, Any]:
    """Return an error as it travels."""
    wire: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details:
        wire["details"] = error.details
    if error.retryable:
        wire["retryable"] = True
    if error.retry_after is not None:
        wire["retryAfterMs"] = round(error.retry_after * 1000)
    return wire
