"""The keeper's socket answers its user and nobody else, and nothing a caller does hurts the keeper."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from regrow.decide.domains.base import Reply
from regrow.model.errors import Fatal, Refused
from regrow.serve import control
from regrow.serve.control import LONGEST, ControlServer
from rig.keeper import GATEWAY_ERROR, HEALTHY, LOST, StubKeeper, serving


@pytest.fixture
async def keeper() -> StubKeeper:
    return StubKeeper()


@pytest.fixture
async def path(tmp_path: Path, keeper: StubKeeper) -> AsyncIterator[Path]:
    async with serving(tmp_path / "keeper.sock", keeper):
        yield tmp_path / "keeper.sock"


CALLERS: list[Caller] = []


@pytest.fixture(autouse=True)
async def hung_up() -> AsyncIterator[None]:
    """Every test hangs up what it dialled."""
    yield
    while CALLERS:
        caller = CALLERS.pop()
        caller.leave()
        with contextlib.suppress(OSError):
            await caller.writer.wait_closed()


class Caller:
    """One connection to the keeper."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        CALLERS.append(self)

    @classmethod
    async def dial(cls, path: Path) -> Caller:
        return cls(*await asyncio.open_unix_connection(str(path), limit=1 << 24))

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def ask(self, request: Any) -> Any:
        await self.send(json.dumps(request).encode() + b"\n")
        return await self.hear()

    async def hear(self) -> Any:
        raw = await self.reader.readline()
        return json.loads(raw) if raw else None

    def leave(self) -> None:
        self.writer.close()


async def test_the_status_is_answered(path: Path) -> None:
    caller = await Caller.dial(path)
    assert await caller.ask({"op": "status"}) == {"ok": True, "result": HEALTHY}
    assert (await caller.ask({"op": "status"}))["ok"] is True, "one connection may ask more than once"


async def test_only_this_user_may_open_the_socket(path: Path) -> None:
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_a_caller_of_another_user_is_sent_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control.os, "getuid", lambda: 4_000_000)
    if os.geteuid() == 0:
        monkeypatch.setattr(control, "ROOT", 4_000_001)
    caller = await Caller.dial(path)
    assert (await caller.hear())["error"]["code"] == "FORBIDDEN"
    assert await caller.hear() is None


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\n",
        b"[]\n",
        b"{}\n",
        b'{"op":"explode"}\n',
        b'{"op":"ask","verb":"destroy"}\n',
        b'{"op":"ask","verb":"stop","sudo":true}\n',
        b'{"op":"rpc"}\n',
        b'{"op":"rpc","method":"health","params":[]}\n',
        b'{"op":"rpc","method":"health","timeout":-1}\n',
        b'{"op":"events","after":-1}\n',
        b'{"op":"status"}{"op":"status"}\n',
        b'"\xff\xfe"\n',
        b"[" * 100_000 + b"\n",
        b'{"op":"ask","verb":"restart","delay":1e400}\n',
    ],
)
async def test_nonsense_is_answered_as_such_and_the_line_goes_on(path: Path, keeper: StubKeeper, raw: bytes) -> None:
    caller = await Caller.dial(path)
    await caller.send(raw)
    answer = await caller.hear()
    assert answer["ok"] is False
    assert answer["error"]["code"] == "BAD_REQUEST"
    assert len(answer["error"]["message"]) < 400
    assert (await caller.ask({"op": "status"}))["ok"] is True
    assert keeper.wishes == []


async def test_empty_lines_are_nothing(path: Path) -> None:
    caller = await Caller.dial(path)
    await caller.send(b"\n  \n\r\n")
    assert (await caller.ask({"op": "status"}))["ok"] is True


async def test_a_line_without_end_is_refused_and_cut(path: Path) -> None:
    caller = await Caller.dial(path)
    caller.writer.write(b"x" * (LONGEST * 3))
    answer = await caller.hear()
    assert answer["error"]["code"] == "BAD_REQUEST"
    assert str(LONGEST) in answer["error"]["message"]
    other = await Caller.dial(path)
    assert (await other.ask({"op": "status"}))["ok"] is True


async def test_a_request_is_answered_until_its_end(path: Path, keeper: StubKeeper) -> None:
    keeper.replies = [Reply("r", "queued", "it is finishing", 1_700_000_000.5), Reply("r", "done", "restarted")]
    caller = await Caller.dial(path)
    first = await caller.ask({"op": "ask", "verb": "restart", "reason": "why", "topics": ["models"], "by": "me"})
    assert first == {"reply": {"state": "queued", "text": "it is finishing", "until": 1_700_000_000_500}}
    assert await caller.hear() == {"reply": {"state": "done", "text": "restarted"}}
    wish = keeper.wishes[0]
    assert (wish.verb, wish.reason, wish.topics, wish.by, wish.force) == ("restart", "why", ("models",), "me", False)
    assert (await caller.ask({"op": "status"}))["ok"] is True


async def test_hanging_up_ends_the_waiting_and_not_the_wish(path: Path, keeper: StubKeeper) -> None:
    keeper.replies = [Reply("r", "queued", "later")]
    keeper.held.set()
    caller = await Caller.dial(path)
    assert (await caller.ask({"op": "ask", "verb": "stop"}))["reply"]["state"] == "queued"
    caller.leave()
    async with asyncio.timeout(5):
        await keeper.left.wait()
    assert [wish.verb for wish in keeper.wishes] == ["stop"]


async def test_a_caller_that_only_says_it_asks_no_more_is_still_answered(path: Path, keeper: StubKeeper) -> None:
    keeper.replies = [Reply("r", "queued", "later"), Reply("r", "done", "now")]
    caller = await Caller.dial(path)
    await caller.send(b'{"op":"status"}\n{"op":"ask","verb":"start"}\n')
    caller.writer.write_eof()
    assert (await caller.hear())["ok"] is True
    assert (await caller.hear())["reply"]["state"] == "queued"
    assert (await caller.hear())["reply"]["state"] == "done"
    assert await caller.hear() is None


async def test_a_keeper_that_ends_first_says_so(path: Path, keeper: StubKeeper) -> None:
    keeper.replies = [Reply("r", "queued", "later")]
    caller = await Caller.dial(path)
    await caller.ask({"op": "ask", "verb": "stop"})
    assert (await caller.hear())["error"]["code"] == "RETRY"


async def test_rpc_passes_payload_and_errors_on(path: Path, keeper: StubKeeper) -> None:
    caller = await Caller.dial(path)
    keeper.payload = {"channels": [1, 2]}
    answer = await caller.ask({"op": "rpc", "method": "health", "params": {"probe": True}, "timeout": None})
    assert answer == {"ok": True, "result": {"channels": [1, 2]}}
    assert keeper.rpcs == [("health", {"probe": True}, None)]
    keeper.rpc_error = GATEWAY_ERROR
    error = (await caller.ask({"op": "rpc", "method": "health"}))["error"]
    assert (error["code"], error["message"], error["details"]) == ("UNAVAILABLE", "still starting", {"reason": "boot"})
    keeper.rpc_error = LOST
    assert (await caller.ask({"op": "rpc", "method": "health"}))["error"]["code"] == "TRANSPORT"
    keeper.rpc_error = Refused("dry run", by="dry-run")
    error = (await caller.ask({"op": "rpc", "method": "health"}))["error"]
    assert (error["code"], error["details"]) == ("REFUSED", {"by": "dry-run"})
    keeper.rpc_error = None
    error = (await caller.ask({"op": "rpc", "method": "never", "timeout": 0.01}))["error"]
    assert error["code"] == "TRANSPORT"
    assert "never" in error["message"]


async def test_a_call_nobody_waits_for_is_given_up(path: Path, keeper: StubKeeper) -> None:
    caller = await Caller.dial(path)
    await caller.send(b'{"op":"rpc","method":"never","timeout":null}\n')
    while not keeper.rpcs:
        await asyncio.sleep(0)
    caller.leave()
    async with asyncio.timeout(5):
        await keeper.left.wait()


async def test_events_come_from_the_past_and_then_as_they_happen(path: Path, keeper: StubKeeper) -> None:
    keeper.past = [{"id": n, "at": 1.0 * n, "type": "exit", "data": {}} for n in (1, 2, 3)]
    caller = await Caller.dial(path)
    first = await caller.ask({"op": "events", "after": 1, "follow": True, "types": ["exit", "episode:*"]})
    assert [first["event"]["id"], (await caller.hear())["event"]["id"]] == [2, 3]
    assert keeper.types == ("exit", "episode:*")
    keeper.news.put_nowait({"id": 4, "at": 4.0, "type": "exit", "data": {"code": 1}})
    assert (await caller.hear())["event"]["data"] == {"code": 1}
    caller.leave()
    async with asyncio.timeout(5):
        await keeper.left.wait()
    assert keeper.followers == 0, "a follower that hung up is not kept"


async def test_the_configuration_is_read_again(path: Path) -> None:
    caller = await Caller.dial(path)
    answer = await caller.ask({"op": "reload-config"})
    assert answer == {"ok": True, "result": {"changed": ["regrow.log_level"], "needRestart": []}}


async def test_what_is_not_json_is_told_as_text(path: Path, keeper: StubKeeper) -> None:
    keeper.now = {"path": Path("/x"), "weird": {1, 2}.__class__}
    caller = await Caller.dial(path)
    assert (await caller.ask({"op": "status"}))["result"]["path"] == "/x"


async def test_a_caller_that_does_not_read_is_left(
    path: Path, keeper: StubKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "SLOW", 0.05)
    caller = await Caller.dial(path)
    caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await caller.send(b'{"op":"events","follow":true}\n')
    for n in range(40):
        keeper.news.put_nowait({"id": n, "at": 1.0, "type": "exit", "data": {"text": "x" * 100_000}})
    async with asyncio.timeout(5):
        await keeper.left.wait()
    other = await Caller.dial(path)
    assert (await other.ask({"op": "status"}))["ok"] is True


async def test_a_silent_caller_is_sent_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "IDLE", 0.01)
    caller = await Caller.dial(path)
    assert await caller.hear() is None


async def test_too_many_callers_are_told_to_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST", 2)
    callers = [await Caller.dial(path) for _ in range(2)]
    for caller in callers:
        assert (await caller.ask({"op": "status"}))["ok"] is True
    third = await Caller.dial(path)
    assert (await third.hear())["error"]["code"] == "BUSY"
    callers[0].leave()
    while True:
        again = await Caller.dial(path)
        if (await again.ask({"op": "status"}))["ok"]:
            break


async def test_it_ends_at_once_although_somebody_follows(tmp_path: Path, keeper: StubKeeper) -> None:
    path = tmp_path / "keeper.sock"
    async with asyncio.timeout(5):
        async with serving(path, keeper):
            keeper.past = [{"id": 1, "at": 1.0, "type": "exit", "data": {}}]
            follower, idle = await Caller.dial(path), await Caller.dial(path)
            await follower.ask({"op": "events", "follow": True})
        assert await follower.hear() is None
        assert await idle.hear() is None
    assert not path.exists()
    follower.leave()
    idle.leave()


async def test_the_socket_brings_its_private_directory_along(tmp_path: Path, keeper: StubKeeper) -> None:
    path = tmp_path / "apart" / "keeper.sock"
    server = ControlServer(path, keeper)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run())
        await server.listening.wait()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        caller = await Caller.dial(path)
        assert (await caller.ask({"op": "status"}))["ok"] is True
        running.cancel()


async def test_a_living_keeper_keeps_its_socket(path: Path, keeper: StubKeeper) -> None:
    with pytest.raises(Fatal, match="another keeper answers"):
        await ControlServer(path, keeper).run()
    caller = await Caller.dial(path)
    assert (await caller.ask({"op": "status"}))["ok"] is True


async def test_the_socket_of_a_dead_keeper_is_replaced(tmp_path: Path, keeper: StubKeeper) -> None:
    path = tmp_path / "keeper.sock"
    code = f"import os, socket; s = socket.socket(socket.AF_UNIX); s.bind({str(path)!r}); s.listen(); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert path.exists()
    async with serving(path, keeper):
        caller = await Caller.dial(path)
        assert (await caller.ask({"op": "status"}))["ok"] is True
        caller.leave()


async def test_a_file_in_its_place_is_never_removed(tmp_path: Path, keeper: StubKeeper) -> None:
    path = tmp_path / "keeper.sock"
    path.write_text("precious")
    with pytest.raises(Fatal, match="is no socket"):
        await ControlServer(path, keeper).run()
    assert path.read_text() == "precious"


async def test_a_place_that_cannot_be_used_is_named(tmp_path: Path, keeper: StubKeeper) -> None:
    (tmp_path / "wall").write_text("")
    with pytest.raises(Fatal, match=r"cannot use the directory .*wall"):
        await ControlServer(tmp_path / "wall" / "keeper.sock", keeper).run()
    with pytest.raises(Fatal, match="cannot listen at"):
        await ControlServer(tmp_path / ("d" * 120) / "keeper.sock", keeper).run()


async def test_ending_leaves_the_socket_of_a_successor(tmp_path: Path, keeper: StubKeeper) -> None:
    path = tmp_path / "keeper.sock"
    async with serving(path, keeper):
        path.unlink()
        successor = socket.socket(socket.AF_UNIX)
        successor.bind(str(path))
    assert path.exists()
    successor.close()
