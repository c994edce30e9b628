"""A Telegram that is on loopback: the Bot API as a gateway uses it, and its outages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import pytest

from rig.wire import Asked, Web, Wire

BOT_TOKEN = "123456789:AAtest-token-for-loopback-only-000000"

_REFUSALS: dict[str, tuple[int, str]] = {
    "401": (401, "Unauthorized"),
    "403": (403, "Forbidden: bot was blocked by the user"),
    "409": (409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"),
    "429": (429, "Too Many Requests: retry after 5"),
    "500": (500, "Internal Server Error"),
}


class Telegram(Web):
    """The Bot API for one bot: `channels.telegram.apiRoot` is its `root`.

    `become(mode)`: `ok`; `stall` (accepts and stays silent, the poll under way included); `refuse` (the port is
    closed); `401`, `403`, `409`, `429`, `500` (what is answered, to the poll under way at once). Updates are kept
    until the offset of a poll has passed them, as the real one does.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.mode = "ok"
        self.sent: list[dict[str, Any]] = []  # what the bot wrote: {"method": …, "chat_id": …, "text": …}
        self.polls = 0
        self._updates: list[dict[str, Any]] = []
        self._next = 1

    async def become(self, mode: str) -> None:
        """Change what it does, now."""
        assert mode in ("ok", "stall", "refuse", *_REFUSALS), mode
        self.mode = mode
        await (self.vanish() if mode == "refuse" else self.listen())
        await self.told()

    async def write(self, text: str, *, chat: int = 4711, name: str = "Ada") -> int:
        """A person writes to the bot; gives the number of the update."""
        number, self._next = self._next, self._next + 1
        person = {"id": chat, "is_bot": False, "first_name": name, "username": name.lower(), "language_code": "en"}
        message = {
            "message_id": number,
            "from": person,
            "chat": {"id": chat, "first_name": name, "username": name.lower(), "type": "private"},
            "date": int(time.time()),
            "text": text,
        }
        self._updates.append({"update_id": number, "message": message})
        await self.told()
        return number

    async def wrote(self, text: str = "", count: int = 1) -> dict[str, Any]:
        """Wait until the bot has written so many messages that contain this, and give the last of them."""

        def found() -> list[dict[str, Any]]:
            return [one for one in self.sent if text in str(one.get("text", ""))]

        async with self.news:
            await self.news.wait_for(lambda: len(found()) >= count)
        return found()[count - 1]

    async def polled(self, count: int = 1) -> None:
        """Wait until it was polled that often, all in all."""
        async with self.news:
            await self.news.wait_for(lambda: self.polls >= count)

    async def answer(self, asked: Asked, wire: Wire) -> None:
        path, _, query = asked.path.partition("?")
        token, _, method = path.strip("/").removeprefix("bot").partition("/")
        params = dict(parse_qsl(query)) | _fields(asked)
        if token != BOT_TOKEN:
            await _refuse("401", wire)
        elif method == "getUpdates":
            self.polls += 1
            await self.told()
            await self._poll(params, wire)
        elif self.mode == "stall":
            await wire.silence()
        elif self.mode in _REFUSALS and (self.mode != "409"):  # a second poller disturbs polling only
            await _refuse(self.mode, wire)
        else:
            await wire.reply(200, {"ok": True, "result": await self._do(method, params)})

    async def _poll(self, params: dict[str, Any], wire: Wire) -> None:
        first = int(params.get("offset", 0) or 0)
        end = asyncio.get_running_loop().time() + float(params.get("timeout", 0) or 0)
        while True:
            if self.mode == "stall":
                await wire.silence()
                return
            if self.mode in _REFUSALS:
                await _refuse(self.mode, wire)
                return
            self._updates = [one for one in self._updates if one["update_id"] >= first]
            left = end - asyncio.get_running_loop().time()
            if self._updates or left <= 0:
                await wire.reply(200, {"ok": True, "result": self._updates})
                return
            try:
                async with asyncio.timeout(left), self.news:
                    await self.news.wait()
            except TimeoutError:
                continue

    async def _do(self, method: str, params: dict[str, Any]) -> Any:
        if method == "getMe":
            return {
                "id": 123456789, "is_bot": True, "first_name": "Rig", "username": "rig_bot", "can_join_groups": True,
                "can_read_all_group_messages": False, "supports_inline_queries": False,
            }  # fmt: skip
        if method == "getWebhookInfo":
            return {"url": "", "has_custom_certificate": False, "pending_update_count": len(self._updates)}
        if method == "getMyCommands":
            return []
        if method.startswith(("send", "edit")) and method != "sendChatAction":
            self.sent.append({"method": method, **params})
            await self.told()
            chat = {"id": int(params.get("chat_id", 0) or 0), "type": "private", "first_name": "Ada"}
            number, self._next = self._next, self._next + 1
            return {"message_id": number, "date": int(time.time()), "chat": chat, "text": params.get("text", "")}
        return True


def _fields(asked: Asked) -> dict[str, Any]:
    kind = asked.headers.get("content-type", "")
    if "json" in kind:
        return dict(asked.json)
    return dict(parse_qsl(asked.body.decode())) if "urlencoded" in kind else {}


async def _refuse(mode: str, wire: Wire) -> None:
    status, said = _REFUSALS[mode]
    more = {"parameters": {"retry_after": 5}} if mode == "429" else {}
    await wire.reply(status, {"ok": False, "error_code": status, "description": said, **more})


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    """A Telegram on a port of its own."""
    async with Telegram() as one:
        yield one
