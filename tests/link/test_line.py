"""The line is dialled when told, says what it hears, and tells its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from regrow.decide.profiles import DEFAULT
from regrow.host.clock import Clock
from regrow.host.ports import free_port
from regrow.link.line import Line
from regrow.model.errors import GatewayError, TransportError
from regrow.model.facts import Heard, LinkDown, LinkRefused, LinkUp, PongMissed, RestartAnnounced
from regrow.testing import SILENCE, FakeGateway, State


class Rig:
    """A line with what it posted."""

    def __init__(self, url: str, token: str | None = "fake-token", **options: Any) -> None:
        self.facts: list[Any] = []
        self.url = url
        self.token = token
        self._news = asyncio.Event()
        self.line = Line(
            lambda: self.url, lambda: self.token, None, options.pop("scopes", ("operator.read",)), clock=Clock(),
            post=self._post, **options,
        )  # fmt: skip

    def _post(self, fact: Any) -> None:
        self.facts.append(fact)
        self._news.set()

    async def wait_for(self, kind: type, count: int = 1) -> Any:
        async with asyncio.timeout(10):
            while len(found := [fact for fact in self.facts if isinstance(fact, kind)]) < count:
                self._news.clear()
                await self._news.wait()
        return found[-1]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Line]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.line.run())
            try:
                yield self.line
            finally:
                task.cancel()


async def test_it_dials_calls_hangs_up_and_dials_again() -> None:
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url)
        async with rig.running() as line:
            assert line.client is None
            with pytest.raises(TransportError, match="no connection"):
                await line.call("health")
            assert (await line.dial()).result == "done"
            up = await rig.wait_for(LinkUp)
            assert (up.version, up.protocol, up.boot_id) == ("2026.9.6", 4, gateway.boot_id)
            assert up.scopes == ("operator.read",)
            assert (await line.call("health"))["ok"] is True
            assert (await line.dial()).detail == "the socket is open already"
            await line.hang_up()
            down = await rig.wait_for(LinkDown)
            assert down.code == 1000
            assert line.client is None
            assert (await line.dial()).result == "done"
            await rig.wait_for(LinkUp, 2)
    assert [type(fact) for fact in rig.facts if not isinstance(fact, Heard)] == [LinkUp, LinkDown, LinkUp, LinkDown]


async def test_two_dials_at_once_are_one_connection() -> None:
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url)
        async with rig.running() as line:
            verdicts = await asyncio.gather(line.dial(), line.dial(), line.dial())
            assert [verdict.result for verdict in verdicts] == ["done"] * 3
            assert gateway.peers == 1


async def test_nobody_there_is_not_a_refusal() -> None:
    rig = Rig(f"ws://127.0.0.1:{free_port()}")
    async with rig.running() as line:
        assert (await line.dial()).result == "failed"
    [refused] = rig.facts
    assert (refused.code, refused.blind, refused.retry_after) == ("UNREACHABLE", False, None)


async def test_a_wrong_token_makes_blind_and_is_not_told() -> None:
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url, "wrong-token-value")
        async with rig.running() as line:
            verdict = await line.dial()
            refused = rig.facts[0]
            assert (refused.code, refused.blind) == ("AUTH_TOKEN_MISMATCH", True)
            assert "wrong-token-value" not in refused.reason + verdict.detail
            rig.token = "fake-token"
            assert (await line.dial()).result == "done", "the token is asked anew at each dialling"


async def test_a_gateway_that_is_starting_says_when_to_come_again() -> None:
    async with FakeGateway(boot_time=30.0) as gateway:
        rig = Rig(gateway.url)
        async with rig.running() as line:
            verdict = await line.dial()
            assert verdict.retry_at is not None
    [refused] = rig.facts
    assert isinstance(refused, LinkRefused)
    assert (refused.blind, refused.retry_after) == (False, 0.5)


async def test_without_read_access_we_are_blind_not_connected() -> None:
    async with FakeGateway() as gateway:
        gateway.granted = ()
        rig = Rig(gateway.url)
        async with rig.running() as line:
            assert (await line.dial()).result == "failed"
            assert line.client is None
    [refused] = rig.facts
    assert (refused.code, refused.blind) == ("SCOPES_MISSING", True)


async def test_a_missing_scope_beyond_reading_is_told() -> None:
    async with FakeGateway() as gateway:
        gateway.granted = ("operator.read",)
        rig = Rig(gateway.url, scopes=("operator.read", "operator.admin"))
        async with rig.running() as line:
            assert (await line.dial()).result == "done"
    assert rig.facts[0].missing_scopes == ("operator.admin",)


async def test_events_are_handed_on_and_a_shutdown_is_announced() -> None:
    heard: list[tuple[str, Any, int | None]] = []
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url, on_event=lambda *event: heard.append(event))
        async with rig.running() as line:
            await line.dial()
            await gateway.emit("cron", {"jobId": "1"})
            await gateway.emit("shutdown", {"reason": "gateway restarting", "restartExpectedMs": 1500})
            assert (await rig.wait_for(RestartAnnounced)).restarting is True
            await gateway.emit("shutdown", {"reason": "gateway stopping", "restartExpectedMs": None})
            assert (await rig.wait_for(RestartAnnounced, 2)).restarting is False
            await gateway.emit("shutdown", ["not", "an", "object"])
            assert (await rig.wait_for(RestartAnnounced, 3)).restarting is False
            await gateway.hang_up(1012, "service restart")
            down = await rig.wait_for(LinkDown)
            assert (down.code, down.reason) == (1012, "service restart")
            assert line.diagnostics.last_socket_close_code == 1012
            assert line.diagnostics.last_socket_close_at is not None
    assert heard[0] == ("cron", {"jobId": "1"}, 1)


async def test_a_crash_is_told_as_1006() -> None:
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url)
        async with rig.running() as line:
            await line.dial()
            await gateway.crash()
            assert (await rig.wait_for(LinkDown)).code == 1006
            with pytest.raises(TransportError):
                await line.call("health")


async def test_being_heard_is_told_once_per_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regrow.link.line.HEARD_EVERY", 0.02)
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url)
        async with rig.running() as line:
            await line.dial()
            up = await rig.wait_for(LinkUp)
            for _ in range(50):
                await gateway.emit("cron", {})
            heard = await rig.wait_for(Heard)
            assert heard.at >= up.at
            assert len([fact for fact in rig.facts if isinstance(fact, Heard)]) < 10
            count = len(rig.facts)
            await asyncio.sleep(0.1)
            assert len(rig.facts) <= count + 1, "silence is not told as life"


async def test_silence_is_counted_miss_by_miss_and_forgiven() -> None:
    policy = replace(DEFAULT, ping_every=0.05, pong_within=0.05)
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url, policy=policy)
        async with rig.running() as line:
            await line.dial()
            await gateway.become(State.HUNG)
            missed = await rig.wait_for(PongMissed, 2)
            assert missed.misses == 2
            assert line.diagnostics.consecutive_heartbeat_misses >= 2
            assert line.diagnostics.last_heartbeat_timeout_at is not None
            await gateway.become(State.READY)
            async with asyncio.timeout(5):
                while line.diagnostics.consecutive_heartbeat_misses:
                    await asyncio.sleep(0.01)
            assert line.client is not None


async def test_an_error_of_the_gateway_is_not_one_of_the_line() -> None:
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url)
        async with rig.running() as line:
            await line.dial()
            gateway.on("status", SILENCE)
            with pytest.raises(TransportError):
                await line.call("status", timeout=0.05)
            seen = line.diagnostics
            assert (seen.consecutive_rpc_failures, seen.last_rpc_failure_method) == (1, "status")
            with pytest.raises(GatewayError):
                await line.call("no.such.method")
            assert line.diagnostics.consecutive_rpc_failures == 0, "it answered"
            assert line.diagnostics.last_rpc_success_at is None
            await line.call("health")
            assert line.diagnostics.last_rpc_success_at is not None
            assert line.diagnostics.last_rpc_failure_method == "status"


async def test_ending_the_line_closes_the_socket_and_frees_who_waits() -> None:
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url)
        async with rig.running() as line:
            await line.dial()
            assert gateway.peers == 1
        async with asyncio.timeout(5):
            while gateway.peers:
                await asyncio.sleep(0.01)
        assert isinstance(rig.facts[-1], LinkDown)


async def test_a_dial_that_was_given_up_is_not_made() -> None:
    async with FakeGateway() as gateway:
        rig = Rig(gateway.url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await rig.line.dial()  # nobody runs the line yet
        async with rig.running() as line:
            assert (await line.dial()).result == "done"
            assert gateway.peers == 1
    assert len([fact for fact in rig.facts if isinstance(fact, LinkUp)]) == 1
