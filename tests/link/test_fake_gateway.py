"""The fake gateway's own misbehaviour: each state, its probes, and what a restart does."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from regrow import GatewayClient, GatewayError, HandshakeError, TransportError
from regrow.testing import FakeGateway

ADMIN = ("operator.admin",)


async def probe(gateway: FakeGateway, path: str) -> tuple[int, Any]:
    async with httpx2.AsyncClient(trust_env=False) as http:
        answer = await http.get(gateway.http_url + path)
        return answer.status_code, answer.json() if "json" in answer.headers["content-type"] else None


@pytest.mark.parametrize(
    ("state", "startup", "status", "ready", "failing"),
    [
        ("starting", 503, "starting", 503, ["startup-sidecars"]),
        ("ready", 200, "started", 200, []),
        ("draining", 503, "draining", 503, ["gateway-draining"]),
    ],
)
async def test_probes_in_every_state_that_answers(
    state: str, startup: int, status: str, ready: int, failing: list[str]
) -> None:
    async with FakeGateway() as gateway:
        await gateway.become(state)
        assert await probe(gateway, "/healthz") == (200, {"ok": True, "status": "live"})
        code, body = await probe(gateway, "/startupz")
        assert (code, body["status"]) == (startup, status)
        code, body = await probe(gateway, "/readyz?x=1")
        assert (code, body["failing"], body["ready"]) == (ready, failing, not failing)
        assert await probe(gateway, "/metrics") == (200, None)


async def test_a_broken_channel_and_muted_ones_show_in_readiness() -> None:
    async with FakeGateway() as gateway:
        gateway.failing, gateway.suppressed = ("telegram",), ("whatsapp",)
        code, body = await probe(gateway, "/readyz")
        assert (code, body["failing"], body["suppressed"]) == (503, ["telegram"], ["whatsapp"])


async def test_a_hung_one_is_silent_and_a_zombie_is_gone() -> None:
    async with FakeGateway() as gateway:
        await gateway.become("hung")
        async with httpx2.AsyncClient(trust_env=False, timeout=0.1) as http:
            with pytest.raises(httpx2.TimeoutException):
                await http.get(gateway.http_url + "/healthz")
        await gateway.become("zombie")
        async with httpx2.AsyncClient(trust_env=False) as http:
            with pytest.raises(httpx2.ConnectError):
                await http.get(gateway.http_url + "/healthz")
        await gateway.become("ready")
        assert (await probe(gateway, "/startupz"))[0] == 200


async def test_a_slow_boot_lets_nobody_in_until_it_is_over() -> None:
    async with FakeGateway(boot_time=0.1) as gateway:
        with pytest.raises(HandshakeError) as caught:
            async with GatewayClient(gateway.url, token=gateway.token):
                pass
        assert caught.value.retryable
        await gateway.wait_for("ready")
        async with GatewayClient(gateway.url, token=gateway.token):
            assert gateway.peers == 1


async def test_a_restart_waits_for_work_unless_told_not_to() -> None:
    async with FakeGateway(restart_time=0.0) as gateway:
        gateway.active_work = 2
        async with GatewayClient(gateway.url, token=gateway.token, scopes=ADMIN) as client:
            before = gateway.boot_id
            answer = await client.call("gateway.restart.request", {"reason": "r"})
            assert (answer["status"], answer["preflight"]["safe"]) == ("deferred", False)
            assert answer["preflight"]["counts"]["totalActive"] == 2
            assert gateway.calls == [("gateway.restart.request", {"reason": "r"})]
            assert await client.call("health")
            assert gateway.boot_id == before
            gateway.active_work = 0
            assert await client.wait_closed() == (1012, "service restart")
        await gateway.wait_for("ready")
        assert gateway.boot_id != before


async def test_a_restart_with_an_invalid_configuration_leaves_it_without_a_listener() -> None:
    async with FakeGateway(restart_time=0.0) as gateway:
        gateway.config_valid = False
        async with GatewayClient(gateway.url, token=gateway.token, scopes=ADMIN) as client:
            config = await client.call("config.get")
            assert (config["valid"], bool(config["issues"])) == (False, True)
            await client.call("gateway.restart.request", {"skipDeferral": True})
            await client.wait_closed()
        with pytest.raises(TransportError):
            async with GatewayClient(gateway.url, token=gateway.token):
                pass
        assert gateway.state == "zombie"


async def test_what_it_knows_can_be_scripted() -> None:
    def busy(_: Any) -> None:
        raise GatewayError("UNAVAILABLE", "busy", retryable=True, retry_after=2.0, details={"a": 1})

    async with FakeGateway() as gateway:
        gateway.channels["telegram"] = {"running": True, "connected": False}
        gateway.on("odd", {"x": 1})
        gateway.on("busy", busy)
        async with GatewayClient(gateway.url, token=gateway.token, scopes=("operator.write",)) as client:
            status = await client.call("channels.status")
            assert status["channelAccounts"] == {"telegram": [{"running": True, "connected": False}]}
            assert {"odd", "busy"} <= set(client.hello.methods)
            assert await client.call("odd") == {"x": 1}
            with pytest.raises(GatewayError) as caught:
                await client.call("busy")
            assert (caught.value.retry_after, caught.value.details) == (2.0, {"a": 1})
            gateway.drop_answers(1)
            with pytest.raises(TransportError):
                await client.call("odd", timeout=0.05)
            assert await client.call("odd") == {"x": 1}


async def test_without_a_token_everybody_is_let_in() -> None:
    async with FakeGateway(token=None, tick=0.01) as gateway, GatewayClient(gateway.url) as client:
        event = await anext(client.events())
        assert getattr(event, "name", "") == "tick"


async def test_its_own_errors_leave_unwrapped() -> None:
    with pytest.raises(ZeroDivisionError):
        async with FakeGateway():
            raise ZeroDivisionError
