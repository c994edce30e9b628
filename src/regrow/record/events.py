"""What happens, told to whoever listens and written to the journal; content reaches listeners in this process only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Self

from msgspec import Struct

from regrow.record.journal import Journal
from regrow.record.log import clean

SKIPPED = "events:skipped"
_CONTENT = ("chat:", "tool:")
_CONTENT_TYPES = frozenset({"message", "notification"})


class Event(Struct, frozen=True):
    """Something that happened.

    Attributes:
        id: Grows and never repeats; 0 for an event that is not kept.
        at: Epoch seconds.
        type: `gateway:ready`, `episode:opened`, …
        data: JSON-able; without secrets unless the type bears content.
    """

    id: int
    at: float
    type: str
    data: dict[str, Any]


def bears_content(type_: str) -> bool:
    """Whether events of this type hold what people or tools said: they never leave this process."""
    return type_.startswith(_CONTENT) or type_ in _CONTENT_TYPES


class Subscription:
    """An async iterator over events from now on. A reader that is too slow gets a notice of how many it missed."""

    def __init__(self, hub: Events, *, types: Collection[str], content: bool, size: int) -> None:
        self._hub = hub
        self._types = frozenset(types)
        self._content = content
        self._queue: deque[Event] = deque()
        self._size = size
        self._skipped = 0
        self._news = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._skipped:
                count, self._skipped = self._skipped, 0
                at = self._queue[0].at if self._queue else 0.0
                return Event(0, at, SKIPPED, {"count": count})
            if self._queue:
                return self._queue.popleft()
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration after what is queued."""
        self._closed = True
        self._hub.forget(self)
        self._news.set()

    def offer(self, event: Event) -> None:
        """Take an event if it is wanted; the oldest gives way when there is no room."""
        if bears_content(event.type) and not self._content:
            return
        if self._types and not any(
            event.type == t or (t.endswith("*") and event.type.startswith(t[:-1])) for t in self._types
        ):
            return
        if len(self._queue) >= self._size:
            self._queue.popleft()
            self._skipped += 1
        self._queue.append(event)
        self._news.set()


class Events:
    """Publishes events.

    Args:
        journal: Where they are kept.
        name: Makes pseudonyms of session keys.
        clock: Epoch seconds, for the journal's own notices.
    """

    def __init__(self, journal: Journal, *, name: Callable[[str], str], clock: Callable[[], float]) -> None:
        self._journal = journal
        self._name = name
        self._subscriptions: list[Subscription] = []
        self._clock = clock
        journal.listen(self._notice)

    def publish(self, type_: str, data: dict[str, Any], at: float) -> Event:
        """Tell everybody, and keep it unless it bears content."""
        if bears_content(type_):
            event = Event(0, at, type_, data)
        else:
            cleaned: dict[str, Any] = clean(data, name=self._name)
            event = Event(self._journal.append(type_, cleaned, at), at, type_, cleaned)
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)
        return event

    def subscribe(self, *, types: Collection[str] = (), content: bool = False, size: int = 1000) -> Subscription:
        """Listen from now on.

        Args:
            types: Only these; `chat:*` means all that begin so. All if empty.
            content: Also events that bear content; for library use in this process only, never for a stream.
            size: How many may wait to be read.
        """
        subscription = Subscription(self, types=types, content=content, size=size)
        self._subscriptions.append(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Stop telling this one."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def _notice(self, type_: str, data: dict[str, Any]) -> None:
        self.publish(type_, data, self._clock())

    def close(self) -> None:
        """End every subscription."""
        for subscription in tuple(self._subscriptions):
            subscription.close()
