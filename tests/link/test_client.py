"""The asyncio client against a fake gateway that misbehaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

import regrow
from regrow import GatewayClient, GatewayError, GatewayEvent, HandshakeError, Identity, Lost, TransportError, attach
from regrow.link.events import Subscription
from regrow.testing import SILENCE, FakeGateway


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    async with FakeGateway() as gateway:
        yield gateway


def client(gateway: FakeGateway, **options: Any) -> GatewayClient:
    return GatewayClient(gateway.url, **{"token": gateway.token, **options})


async def test_calls_find_their_answers_in_any_order(gateway: FakeGateway) -> None:
    gates = {n: asyncio.Event() for n in range(3)}

    async def answer(params: Any) -> int:
        await gates[params["n"]].wait()
        return params["n"] * 10

    gateway.on("slow", answer)
    async with client(gateway) as link, asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(link.call("slow", {"n": n})) for n in range(3)]
        for n in (2, 0, 1):
            gates[n].set()
            assert await calls[n] == n * 10


async def test_a_gateways_error_is_told_as_it_is(gateway: FakeGateway) -> None:
    def refuse(_: Any) -> None:
        raise GatewayError("UNAVAILABLE", "busy", retryable=True, retry_after=1.5, details={"reason": "r"})

    gateway.on("x", refuse)
    async with client(gateway) as link:
        with pytest.raises(GatewayError, match="busy") as caught:
            await link.call("x")
        assert (caught.value.code, caught.value.retryable, caught.value.retry_after) == ("UNAVAILABLE", True, 1.5)
        assert caught.value.details == {"reason": "r"}
        assert (await link.call("health"))["ok"] is True


async def test_an_unanswered_call_ends_at_its_deadline_and_the_next_ones_live(gateway: FakeGateway) -> None:
    gateway.on("never", SILENCE)
    async with client(gateway, call_timeout=0.05) as link:
        with pytest.raises(TransportError, match=r"never: no answer within 0\.05 s"):
            await link.call("never")
        with pytest.raises(TransportError, match=r"within 0\.01 s"):
            await link.call("never", timeout=0.01)
        assert await link.call("health", timeout=10)


async def test_no_limit_means_no_limit_and_the_end_ends_it(gateway: FakeGateway) -> None:
    gateway.on("never", SILENCE)
    async with client(gateway, call_timeout=0.01) as link:
        waiting = asyncio.ensure_future(link.call("never", timeout=None))
        with pytest.raises(TransportError):
            await link.call("never")
        assert not waiting.done()
        await gateway.hang_up(1012, "service restart")
        with pytest.raises(TransportError, match="1012 service restart"):
            await waiting
        assert await link.wait_closed() == (1012, "service restart")
        assert link.is_closed
        with pytest.raises(TransportError, match="ended"):
            await link.call("health")
        with pytest.raises(TransportError, match="ended"):
            await link.ping()


async def test_a_killed_gateway_ends_the_connection_with_1006(gateway: FakeGateway) -> None:
    async with client(gateway) as link:
        await gateway.crash()
        assert await link.wait_closed() == (1006, "")
    with pytest.raises(TransportError, match="refused"):
        async with client(gateway):
            pass


async def test_a_cancelled_call_leaves_nothing_behind(gateway: FakeGateway) -> None:
    gateway.on("never", SILENCE)
    async with client(gateway) as link:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await link.call("never", timeout=None)
        assert link._waiting == {}
        assert link._protocol.deadline() is None
        assert await link.call("health")


async def test_parameters_without_a_json_form_are_the_callers_error(gateway: FakeGateway) -> None:
    async with client(gateway) as link:
        with pytest.raises(TypeError):
            await link.call("x", {"a": object()})
        assert await link.call("health")


async def test_a_gateway_that_stops_reading_does_not_stop_us(gateway: FakeGateway) -> None:
    async with client(gateway) as link:
        assert link._ws is not None
        link._ws.transport.get_write_buffer_size = lambda: 1 << 40  # type: ignore[method-assign]
        with pytest.raises(TransportError, match="stopped reading"):
            await link.call("health")
        assert link._waiting == {}


# ── life ──


async def test_the_bodys_own_error_leaves_as_it_is(gateway: FakeGateway) -> None:
    with pytest.raises(GatewayError, match="unknown method"):
        async with client(gateway, scopes=("operator.admin",)) as link:
            await link.call("nope")
    await gateway.wait_peers(0)


async def test_it_lives_in_anybodys_task_group_and_is_cancelled_cleanly(gateway: FakeGateway) -> None:
    opened = asyncio.Event()

    async def use() -> None:
        async with client(gateway):
            opened.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(use())
        await opened.wait()
        task.cancel()
    assert task.cancelled()
    await gateway.wait_peers(0)


async def test_a_client_opens_once(gateway: FakeGateway) -> None:
    link = client(gateway)
    with pytest.raises(TransportError, match="not connected"):
        await link.call("health")
    with pytest.raises(RuntimeError, match="never open"):
        _ = link.hello
    assert link.last_heard == 0.0
    await link.close()
    async with link:
        pass
    with pytest.raises(RuntimeError, match="opens once"):
        async with link:
            pass
    assert "closed" in repr(link)


async def test_a_hung_gateway_answers_nothing_until_it_goes_on(gateway: FakeGateway) -> None:
    async with client(gateway) as link:
        assert await link.ping(5) is not None
        heard = link.last_heard
        assert heard > 0
        await gateway.become("hung")
        assert await link.ping(0.05) is None
        assert link.last_heard == heard
        call = asyncio.ensure_future(link.call("health"))
        with pytest.raises(TransportError, match="no greeting within"):
            async with client(gateway, open_timeout=0.1):
                pass
        await gateway.become("ready")
        assert (await call)["ok"] is True
        assert link.last_heard > heard


async def test_hanging_up_on_a_hung_gateway_takes_no_longer_than_it_must(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client(gateway) as link:
        assert link._ws is not None
        monkeypatch.setattr(link._ws, "close_timeout", 0.05)
        await gateway.become("hung")
    assert link.is_closed


async def test_being_cancelled_while_hanging_up_hangs_up_hard(gateway: FakeGateway) -> None:
    link = client(gateway)

    async def use() -> None:
        async with link:
            await gateway.become("hung")
            await link.close()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(use(), 0.1)
    assert await link.wait_closed() == (1006, "")


async def test_a_call_on_a_line_that_just_broke_ends_with_the_reason(gateway: FakeGateway) -> None:
    async with client(gateway) as link:
        assert link._ws is not None
        link._ws.transport.abort()
        with pytest.raises(TransportError, match=r"health: the connection .* ended \(1006\)"):
            await link.call("health")


# ── events ──


async def test_every_subscriber_sees_every_event_from_then_on(gateway: FakeGateway) -> None:
    async with client(gateway) as link:
        first, second = link.events(), link.events()
        await gateway.emit("chat", {"a": 1})
        await gateway.send_raw('{"jsonrpc":"2.0","method":"note","params":[1]}')
        await gateway.send_raw("garbage")
        await gateway.send_raw('{"odd":1}')
        gateway.drop_events(2)
        for name in ("x", "y", "z"):
            await gateway.emit(name)
        expected = [
            GatewayEvent("chat", {"a": 1}, 1),
            GatewayEvent("note", [1], None, "notification"),
            GatewayEvent("message", {"odd": 1}, None, "message"),
            Lost(2),
            GatewayEvent("z", None, 4),
        ]
        for subscription in (first, second):
            assert [await anext(subscription) for _ in expected] == expected
        await gateway.hang_up()
        assert [event async for event in first] == []
        assert [event async for event in link.events()] == []


async def test_a_slow_reader_is_told_what_it_missed() -> None:
    reader = Subscription(size=2)
    for n in range(5):
        reader.put(GatewayEvent("e", n))
    reader.put(Lost(4))
    assert [(await anext(reader)) for _ in range(2)] == [GatewayEvent("e", 0), GatewayEvent("e", 1)]
    reader.put(GatewayEvent("e", 5))
    assert await anext(reader) == Lost(7)
    assert await anext(reader) == GatewayEvent("e", 5)
    for n in range(3):
        reader.put(GatewayEvent("e", n))
    with reader:
        pass
    reader.put(GatewayEvent("late", 0))
    assert [event async for event in reader] == [GatewayEvent("e", 0), GatewayEvent("e", 1), Lost(1)]


async def test_a_reader_that_went_away_is_not_fed(gateway: FakeGateway) -> None:
    async with client(gateway) as link:
        reader = link.events()
        assert len(link._subscriptions) == 1
        del reader
        assert len(link._subscriptions) == 0


# ── being let in ──


@pytest.mark.parametrize("protocol", [3, 4])
async def test_a_device_proof_is_accepted(protocol: int) -> None:
    identity = Identity.generate()
    async with FakeGateway(protocol=protocol) as gateway, client(gateway, identity=identity) as link:
        assert gateway.paired == {identity.device_id}
        assert link.hello.protocol == protocol
        assert link.missing_scopes == ()


async def test_missing_scopes_are_shown_and_do_not_keep_us_out(gateway: FakeGateway) -> None:
    gateway.granted = ()
    async with client(gateway, scopes=("operator.read",)) as link:
        assert link.missing_scopes == ("operator.read",)
        assert await link.call("health")
        with pytest.raises(GatewayError) as caught:
            await link.call("status")
        assert caught.value.code == "FORBIDDEN"


@pytest.mark.parametrize(("token", "code"), [("wrong", "AUTH_TOKEN_MISMATCH"), (None, "DEVICE_IDENTITY_REQUIRED")])
async def test_a_wrong_token_is_final_and_not_repeated(gateway: FakeGateway, token: str | None, code: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        async with client(gateway, token=token):
            pass
    assert (caught.value.code, caught.value.retryable) == (code, False)
    assert "wrong" not in str(caught.value)
    assert str(gateway.token) not in str(caught.value)


async def test_starting_and_draining_ask_for_patience(gateway: FakeGateway) -> None:
    await gateway.become("starting")
    with pytest.raises(HandshakeError, match="starting") as caught:
        async with client(gateway):
            pass
    assert (caught.value.code, caught.value.retryable, caught.value.retry_after) == ("UNAVAILABLE", True, 0.5)
    await gateway.become("draining")
    with pytest.raises(HandshakeError, match="503") as caught:
        async with client(gateway):
            pass
    assert (caught.value.code, caught.value.retryable, caught.value.retry_after) == ("UNAVAILABLE", True, None)


async def test_a_gateway_too_new_is_told() -> None:
    async with FakeGateway(protocol=5) as gateway:
        with pytest.raises(HandshakeError, match="too old or too new") as caught:
            async with client(gateway):
                pass
    assert (caught.value.code, caught.value.retryable) == ("PROTOCOL_MISMATCH", False)


def _server(answer: bytes) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    return asyncio.start_server(serve, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("answer", "kind", "detail"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HandshakeError, "HTTP 200"),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", HandshakeError, "HTTP 302"),
        (b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", HandshakeError, "draining"),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: tea\r\nConnection: Upgrade\r\n\r\n", HandshakeError, "no gateway here"),
        (b"SSH-2.0-OpenSSH\r\n", TransportError, "no HTTP server"),
        (b"", TransportError, "the line broke"),
    ],
)
async def test_whatever_else_listens_is_told(answer: bytes, kind: type[Exception], detail: str) -> None:
    async with await _server(answer) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(kind, match=detail) as caught:
            async with GatewayClient(f"ws://127.0.0.1:{port}"):
                pass
    if isinstance(caught.value, HandshakeError):
        assert caught.value.retryable is (detail == "draining")
        assert caught.value.retry_after == (7.0 if detail == "draining" else None)


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (1013, HandshakeError, True),
        (1012, HandshakeError, True),
        (1008, HandshakeError, False),
        (1000, TransportError, None),
    ],
)
async def test_a_silent_hang_up_is_judged_by_its_code(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception], retryable: bool | None
) -> None:
    async def instead_of_a_challenge(ws: Any, frame: Any) -> None:
        await ws.close(code, "so")

    monkeypatch.setattr(gateway, "_send", instead_of_a_challenge)
    with pytest.raises(kind, match=f"hung up during the greeting \\({code} so\\)") as caught:
        async with client(gateway):
            pass
    assert getattr(caught.value, "retryable", None) is retryable


async def test_a_token_does_not_cross_the_network_in_clear_text() -> None:
    with pytest.raises(HandshakeError, match="unencrypted") as caught:
        attach("ws://192.0.2.7:18789", token="s3cret")
    assert caught.value.code == "INSECURE_URL"
    assert "s3cret" not in str(caught.value)
    attach("ws://192.0.2.7:18789")
    attach("wss://gw.example", token="t")
    attach("ws://192.0.2.7:18789", token="t", allow_insecure=True)


async def test_the_token_is_in_no_log(gateway: FakeGateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with client(gateway) as link:
        await link.call("health")
        assert str(gateway.token) not in repr(link) + repr(vars(link))
    assert str(gateway.token) not in caplog.text


def test_the_public_names_are_there_and_only_those() -> None:
    for name in regrow.__all__:
        assert getattr(regrow, name) is not None
    assert set(regrow.__all__) == set(dir(regrow))
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = regrow.Nonsense  # type: ignore[attr-defined]
