"""What people and programs are told: the status, the events, and what never leaves the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from regrow.record.events import bears_content
from regrow.record.history import History
from regrow.testing import FakeGateway
from rig.kept import keeping, settings
from rig.programs import ChildProgram

pytestmark = pytest.mark.usefixtures("no_leaks")

FIELDS = {
    "status", "lifecycleState", "gatewayReady", "mode", "port", "pid", "version", "bootId", "connectedAt", "uptime",
    "reconnectAttempts", "lastError", "diagnostics", "restarts", "episodes",
}  # fmt: skip
DIAGNOSTICS = {
    "lastAliveAt", "lastRpcSuccessAt", "lastRpcFailureAt", "lastRpcFailureMethod", "consecutiveRpcFailures",
    "lastHeartbeatTimeoutAt", "consecutiveHeartbeatMisses", "lastSocketCloseAt", "lastSocketCloseCode",
}  # fmt: skip
SESSION = "agent:main:whatsapp:+4917012345678"
SAID = "the patient is doing well"


async def test_the_status_has_what_programs_rely_on(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        await kept.op("rpc", method="health", params={})
        status = (await kept.op("status"))["result"]
        assert set(status) >= FIELDS
        assert set(status["diagnostics"]) == DIAGNOSTICS
        assert set(status["restarts"]) >= {"executed", "suppressed", "pending", "lastReason"}
        assert (status["status"], status["lifecycleState"], status["gatewayReady"]) == ("connected", "running", True)
        assert (status["mode"], status["port"], status["pid"]) == ("own", child_program.port, kept.pid)
        assert status["version"] == "2026.9.6"
        assert status["bootId"]
        assert status["lastError"] is None
        assert status["episodes"] == []
        assert status["restarts"] == {
            **status["restarts"], "executed": 0, "suppressed": 0, "pending": None, "pendingUntil": None
        }  # fmt: skip
        moment = status["at"]
        assert isinstance(status["connectedAt"], int)
        assert moment - 60_000 < status["connectedAt"] <= moment, "epoch milliseconds"
        assert 0 <= status["uptime"] < 60_000
        assert moment - 60_000 < status["diagnostics"]["lastRpcSuccessAt"] <= moment
        await kept.ask("stop")
        stopped = (await kept.op("status"))["result"]
        assert (stopped["status"], stopped["lifecycleState"], stopped["gatewayReady"]) == (
            "disconnected", "stopped", False
        )  # fmt: skip
        assert (stopped["pid"], stopped["uptime"], stopped["connectedAt"]) == (None, None, None)


async def test_the_status_file_says_the_same(child_program: ChildProgram, folder: Path) -> None:
    import msgspec

    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        file = folder / "status.json"
        await kept.until(lambda: file.exists() and msgspec.json.decode(file.read_bytes())["gatewayReady"])
        assert file.stat().st_mode & 0o777 == 0o600
    assert not file.exists()


async def test_a_gateway_error_passes_through_and_is_no_failure_of_the_line(
    child_program: ChildProgram, folder: Path
) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        answer = await kept.op("rpc", method="no.such.method")
        assert answer["ok"] is False
        assert answer["error"]["code"]
        assert answer["error"]["message"]
        assert kept.status["diagnostics"]["consecutiveRpcFailures"] == 0
        assert kept.status["diagnostics"]["lastRpcFailureAt"] is None


async def test_nobody_starts_what_is_stopped_by_calling_it(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        await kept.ask("stop")
        answer = await kept.op("rpc", method="health")
        assert answer["ok"] is False
        assert kept.status["phase"] == "stopped"
        assert len(child_program.boots()) == 1


async def test_content_reaches_subscribers_in_this_process_and_nobody_else(folder: Path) -> None:
    async with (
        FakeGateway(port=0) as gateway,
        keeping(settings(None, folder, url=gateway.url, token="fake-token", mode="attach")) as kept,
    ):
        await kept.ready()
        followed: list[str] = []

        async def follow() -> None:
            async with contextlib.aclosing(kept.talk({"op": "events", "follow": True})) as answers:
                async for answer in answers:
                    followed.append(str(answer))
                    if "the-end" in followed[-1]:
                        return

        following = asyncio.create_task(follow())
        await kept.until(lambda: followed)
        with kept.daemon.events.subscribe(content=True) as inside, kept.daemon.events.subscribe() as plain:
            await gateway.emit("agent", {
                "runId": "r1", "seq": 2, "stream": "tool", "sessionKey": SESSION,
                "data": {"phase": "start", "name": "exec", "toolCallId": "t1", "args": {"command": SAID}},
            })  # fmt: skip
            await gateway.emit("chat", {
                "runId": "r1", "sessionKey": SESSION, "state": "final", "seq": 1,
                "message": {"role": "assistant", "content": [{"type": "text", "text": SAID}]},
            })  # fmt: skip
            seen = []
            async with asyncio.timeout(5):
                async for event in inside:
                    seen.append(event)
                    if any(e.type.startswith("tool:") for e in seen) and any(e.type == "chat:final" for e in seen):
                        break
            assert any(SAID in str(event.data) for event in seen if event.type.startswith("chat:"))
            kept.daemon.publish("test:the-end", {})
            async with asyncio.timeout(5):
                async for event in plain:
                    assert not bears_content(event.type)
                    if event.type == "test:the-end":
                        break
        async with asyncio.timeout(5):
            await following
        await kept.daemon.journal.commit()

        def written() -> str:
            with History(folder / "journal.db") as history:
                return str(history.last(10_000, ()))

        assert SAID not in str(followed)
        assert "+4917012345678" not in str(followed)
        everything = await asyncio.to_thread(written)
        assert "test:the-end" in everything
        assert SAID not in everything
        assert "+4917012345678" not in everything
        assert SAID not in str(kept.told)


async def test_no_secret_is_in_any_file_but_the_private_ones(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        assert all(child_program.token not in word for word in child_program.boots()[0]["argv"])
        answer = await kept.op("status")
        assert child_program.token not in str(answer)
        await kept.ask("restart", reason=f"with {child_program.token}")
    assert child_program.token not in str(kept.told)
    for file in folder.rglob("*"):
        if file.is_file() and child_program.token.encode() in file.read_bytes():
            assert file.name == "gateway.life.json", file
            assert file.stat().st_mode & 0o777 == 0o600


async def test_restarts_and_connections_are_counted_aloud(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        first = kept.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        told = await kept.told_of("gateway:restarted")
        assert (told["pidBefore"], told["human"], told["executed"]) == (first, False, 1)
        assert told["pidAfter"] == kept.pid != first
        assert "killed" in (await kept.told_of("error"))["message"]
        link = await kept.told_of("gateway:reconnect")
        assert link["successRate"] == round(link["successCount"] / link["attemptCount"], 4)


async def test_channels_that_the_gateway_muted_are_an_episode(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"suppressed": ["telegram"]})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        opened = await kept.told_of("episode:opened", subject="channels")
        assert "muted telegram" in opened["evidence"]
        assert kept.status["suppressed"] == ["telegram"]
        await kept.ask("stop")
        await kept.told_of("episode:closed", subject="channels")
