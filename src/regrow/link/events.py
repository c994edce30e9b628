"""What subscribers of a connection receive: events in order, in bounded memory."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any, Literal, Self

from msgspec import Struct

from regrow.link.protocol import Lost

QUEUE = 1024


class GatewayEvent(Struct, frozen=True):
    """Something the gateway pushed.

    Attributes:
        name: The event's name (`chat`, `health`, `tick`, …), or the method of a legacy notification.
        payload: Its JSON value.
        seq: Its number on this connection; None if it has none.
        kind: `event`; `notification` for legacy JSON-RPC; `message` for a frame of no known kind.
    """

    name: str
    payload: Any
    seq: int | None = None
    kind: Literal["event", "notification", "message"] = "event"


class Subscription:
    """One reader's view of the events of a connection, from the moment it was made until the connection ends.

    Iterate it with `async for`. A reader that falls `size` events behind misses the next ones and is told by a
    `Lost` how many, at the place where they are missing.
    """

    def __init__(self, size: int = QUEUE) -> None:
        self._size = size
        self._waiting: deque[GatewayEvent | Lost] = deque()
        self._dropped = 0
        self._wake = asyncio.Event()
        self._ended = False

    def put(self, item: GatewayEvent | Lost) -> None:
        """Hand an item to the reader, or count it as lost if the reader is too far behind."""
        if self._ended:
            return
        if len(self._waiting) >= self._size:
            self._dropped += item.count if isinstance(item, Lost) else 1
        else:
            if self._dropped:
                self._waiting.append(Lost(self._dropped))
                self._dropped = 0
            self._waiting.append(item)
        self._wake.set()

    def close(self) -> None:
        """End the iteration, after what is already waiting."""
        self._ended = True
        self._wake.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> GatewayEvent | Lost:
        while True:
            if self._waiting:
                return self._waiting.popleft()
            if self._dropped:
                lost, self._dropped = Lost(self._dropped), 0
                return lost
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
