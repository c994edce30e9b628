"""What we rely on a gateway to do: the same tests against the fake one and real ones of both ages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from msgspec import Struct
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from regrow import GatewayClient, GatewayError, HandshakeError, Identity, TransportError
from regrow.link.frames import Claim
from regrow.testing import FakeGateway

CURRENT, OLD = "2026.9.6", "2026.4.29"


class Subject(Struct):
    """The gateway under test."""

    url: str
    token: str
    state_dir: str
    pid: int
    is_old: bool

    @property
    def http(self) -> str:
        return self.url.replace("ws://", "http://")

    def client(self, **options: Any) -> GatewayClient:
        return GatewayClient(self.url, **{"token": self.token, **options})


REAL = [
    pytest.param(f"real-{CURRENT}", marks=pytest.mark.real),
    pytest.param(f"real-{OLD}", marks=pytest.mark.real),
]


async def _fake(name: str) -> AsyncIterator[Subject]:
    async with FakeGateway(protocol=3 if name == "fake-3" else 4) as fake:
        yield Subject(fake.url, fake.token or "", fake.state_dir, fake.pid, fake.is_old)


@pytest.fixture(params=["fake-4", "fake-3", *REAL])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A gateway that the test only talks to."""
    name = request.param
    if name.startswith("fake"):
        async for subject in _fake(name):
            yield subject
        return
    version = name.removeprefix("real-")
    get: Callable[[str], Any] = request.getfixturevalue("shared_gateway")
    real = await asyncio.to_thread(get, version)
    yield Subject(real.url, real.token, str(real.state_dir), real.pid, version == OLD)


# ── being let in ──


async def test_it_greets_and_says_who_it_is(gateway: Subject) -> None:
    async with gateway.client(scopes=("operator.admin",)) as link:
        hello = link.hello
        assert hello.protocol == (3 if gateway.is_old else 4)
        assert hello.version == (OLD if gateway.is_old else CURRENT)
        assert bool(hello.boot_id) is not gateway.is_old
        assert hello.state_dir == gateway.state_dir
        assert hello.config_path == f"{gateway.state_dir}/openclaw.json"
        assert (hello.uptime_ms or 0) > -1
        assert hello.policy["tickIntervalMs"] == 30_000
        assert {"health", "status", "config.get", "channels.status"} <= set(hello.methods)
        assert ("gateway.restart.request" in hello.methods) is not gateway.is_old
        assert link.missing_scopes == ()


async def test_a_reader_is_not_told_where_things_are_but_can_ask(gateway: Subject) -> None:
    async with gateway.client(scopes=("operator.read",)) as link:
        assert (link.hello.state_dir, link.hello.config_path) == ("", "")
        assert (await link.call("config.get"))["path"] == f"{gateway.state_dir}/openclaw.json"


async def test_a_device_proof_of_a_key_it_never_saw_is_accepted(gateway: Subject) -> None:
    async with gateway.client(identity=Identity.generate()) as link:
        assert (await link.call("health"))["ok"] is True


class Forger(Identity):
    """Signs, and then changes what was signed."""

    def __init__(self, part: str, value: Any) -> None:
        super().__init__(Identity.generate()._key)
        self.part, self.value = part, value

    def sign(self, claim: Claim) -> dict[str, Any]:
        return {**super().sign(claim), self.part: self.value}


@pytest.mark.parametrize(
    ("part", "value", "code"),
    [
        ("signature", "A" * 86, "DEVICE_AUTH_SIGNATURE_INVALID"),
        ("nonce", "another", "DEVICE_AUTH_NONCE_MISMATCH"),
        ("id", "0" * 64, "DEVICE_AUTH_DEVICE_ID_MISMATCH"),
        ("signedAt", 1, "DEVICE_AUTH_SIGNATURE_EXPIRED"),
    ],
)
async def test_a_forged_proof_is_refused(gateway: Subject, part: str, value: Any, code: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        async with gateway.client(identity=Forger(part, value)):
            pass
    assert (caught.value.code, caught.value.retryable) == (code, False)


@pytest.mark.parametrize(("token", "code"), [("wrong", "AUTH_TOKEN_MISMATCH"), (None, "DEVICE_IDENTITY_REQUIRED")])
async def test_a_wrong_or_missing_token_is_refused_for_good(gateway: Subject, token: str | None, code: str) -> None:
    with pytest.raises(HandshakeError) as caught:
        async with gateway.client(token=token):
            pass
    assert (caught.value.code, caught.value.retryable) == (code, False)


async def test_a_missing_token_is_named_when_a_device_asks(gateway: Subject) -> None:
    with pytest.raises(HandshakeError) as caught:
        async with gateway.client(token=None, identity=Identity.generate()):
            pass
    assert caught.value.code == "AUTH_TOKEN_MISSING"


async def raw_connect(gateway: Subject, **changed: Any) -> tuple[dict[str, Any], int | None]:
    """Send a connect of our own making; return the answer and the close code, if any."""
    params: dict[str, Any] = {
        "minProtocol": 3,
        "maxProtocol": 4,
        "client": {"id": "gateway-client", "version": "0", "platform": "linux", "mode": "backend"},
        "role": "operator",
        "scopes": ["operator.read"],
        "caps": [],
        "auth": {"token": gateway.token},
        **changed,
    }
    async with connect(gateway.url, compression=None, proxy=None, max_size=None) as ws:
        challenge = json.loads(await ws.recv())
        assert challenge["event"] == "connect.challenge"
        assert {"nonce", "ts"} <= set(challenge["payload"])
        await ws.send(json.dumps({"type": "req", "id": "c", "method": "connect", "params": params}))
        answer = json.loads(await ws.recv())
        if answer["ok"]:
            return answer, None
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        return answer, ws.close_code


async def test_another_protocol_is_refused_with_1002(gateway: Subject) -> None:
    answer, code = await raw_connect(gateway, minProtocol=9, maxProtocol=9)
    assert answer["error"]["details"].get("code") == (None if gateway.is_old else "PROTOCOL_MISMATCH")
    assert answer["error"]["details"]["expectedProtocol"] == (3 if gateway.is_old else 4)
    assert code == 1002


@pytest.mark.parametrize(
    "changed",
    [
        {"bogus": 1},
        {"client": {"id": "regrow", "version": "0", "platform": "linux", "mode": "backend"}},
        {"client": {"id": "gateway-client", "version": "0", "platform": "linux", "mode": "operator"}},
        {"client": {"id": "gateway-client", "mode": "backend"}},
    ],
)
async def test_a_malformed_connect_is_refused_with_1008(gateway: Subject, changed: dict[str, Any]) -> None:
    answer, code = await raw_connect(gateway, **changed)
    assert answer["error"]["code"] == "INVALID_REQUEST"
    assert answer["error"]["message"].startswith("invalid connect params")
    assert code == 1008


async def test_another_client_id_connects_and_may_do_nothing(gateway: Subject) -> None:
    answer, _ = await raw_connect(gateway, client={"id": "test", "version": "0", "platform": "linux", "mode": "test"})
    assert answer["ok"] is True
    assert answer["payload"]["auth"].get("scopes", []) == []


async def test_whoever_does_not_start_with_connect_is_shown_the_door(gateway: Subject) -> None:
    async with connect(gateway.url, compression=None, proxy=None) as ws:
        await ws.recv()
        await ws.send(json.dumps({"type": "req", "id": "h", "method": "health", "params": {}}))
        await ws.wait_closed()
        assert ws.close_code == 1008


# ── calls ──


async def test_the_calls_we_make_answer_with_what_we_read(gateway: Subject) -> None:
    async with gateway.client() as link:
        health = await link.call("health")
        assert health["ok"] is True
        assert isinstance(health["channels"], dict)
        assert "sessions" in await link.call("status")
        assert isinstance(await link.call("system-presence"), list)
        config = await link.call("config.get")
        assert (config["valid"], config["issues"], config["exists"]) == (True, [], True)
        assert ("appliedConfigHash" in config) is not gateway.is_old
        channels = await link.call("channels.status")
        assert {"channelOrder", "channels", "channelAccounts"} <= set(channels)
        await link.call("last-heartbeat")


async def test_only_current_ones_tell_process_and_work(gateway: Subject) -> None:
    async with gateway.client(scopes=("operator.admin",)) as link:
        if gateway.is_old:
            for method in ("system.info", "gateway.restart.preflight"):
                with pytest.raises(GatewayError, match=f"unknown method: {method}"):
                    await link.call(method)
            return
        info = await link.call("system.info")
        assert (info["pid"], info["port"]) == (gateway.pid, link.address.port)
        assert info["processInstanceId"]
        preflight = await link.call("gateway.restart.preflight")
        assert isinstance(preflight["safe"], bool)
        assert {"counts", "blockers", "summary"} <= set(preflight)
        assert isinstance(preflight["counts"]["totalActive"], int)


async def test_an_unknown_method_is_an_error_and_the_line_stays(gateway: Subject) -> None:
    async with gateway.client(scopes=("operator.admin",)) as link:
        with pytest.raises(GatewayError) as caught:
            await link.call("regrow.nope")
        assert (caught.value.code, caught.value.message) == ("INVALID_REQUEST", "unknown method: regrow.nope")
        assert caught.value.retryable is False
        assert (await link.call("health"))["ok"] is True


async def test_a_missing_scope_is_told_in_the_words_of_the_version(gateway: Subject) -> None:
    async with gateway.client(scopes=("operator.read",)) as link:
        with pytest.raises(GatewayError, match=r"missing scope: operator\.admin") as caught:
            await link.call("secrets.reload")
        with pytest.raises(GatewayError, match=r"missing scope: operator\.admin"):
            await link.call("regrow.nope")  # only an admin learns that a method does not exist
        if gateway.is_old:
            assert (caught.value.code, caught.value.details) == ("INVALID_REQUEST", {})
        else:
            assert caught.value.code == "FORBIDDEN"
            assert caught.value.details["code"] == "MISSING_SCOPE"


async def test_secrets_can_be_read_again(gateway: Subject) -> None:
    async with gateway.client(scopes=("operator.admin",)) as link:
        assert (await link.call("secrets.reload"))["ok"] is True


async def test_many_calls_at_once_are_all_answered(gateway: Subject) -> None:
    async with gateway.client() as link, asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(link.call("system-presence")) for _ in range(40)]
    assert all(isinstance(call.result(), list) for call in calls)


async def test_frames_it_does_not_understand_are_ignored_in_silence(gateway: Subject) -> None:
    async with gateway.client() as link:
        assert link._ws is not None
        await link._ws.send("not json")
        await link._ws.send(json.dumps({"type": "req", "method": "health", "params": {}}))
        assert (await link.call("health"))["ok"] is True


async def test_it_answers_pings(gateway: Subject) -> None:
    async with gateway.client() as link:
        assert await link.ping(10) is not None


# ── probes ──


async def test_the_probes(gateway: Subject) -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        live = await http.get(f"{gateway.http}/healthz")
        assert (live.status_code, live.json()) == (200, {"ok": True, "status": "live"})
        ready = await http.get(f"{gateway.http}/readyz")
        assert ready.status_code == 200
        assert (ready.json()["ready"], ready.json()["failing"]) == (True, [])
        started = await http.get(f"{gateway.http}/startupz")
        assert started.status_code == 200
        if gateway.is_old:
            assert "html" in started.headers["content-type"]
        else:
            assert (started.json()["status"], started.json()["version"]) == ("started", CURRENT)
            assert started.json()["uptimeMs"] >= 0
        unknown = await http.get(f"{gateway.http}/nonsense")
        assert (unknown.status_code, "html" in unknown.headers["content-type"]) == (200, True)


# ── booting ──


@pytest.fixture(params=["fake-4", REAL[0]])
async def booting_gateway(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A gateway whose process was just started."""
    if request.param.startswith("fake"):
        async with FakeGateway(boot_time=0.5) as fake:
            yield Subject(fake.url, fake.token or "", fake.state_dir, fake.pid, False)
        return
    async with request.getfixturevalue("real_gateway")(CURRENT, wait=False) as real:
        yield Subject(real.url, real.token, str(real.state_dir), real.pid, False)


async def test_while_booting_it_lives_says_so_and_asks_for_patience(booting_gateway: Subject) -> None:
    refused: set[tuple[str, float | None]] = set()
    looks: set[tuple[int, int, str]] = set()
    async with httpx2.AsyncClient(trust_env=False) as http:
        while True:
            with suppress(TransportError, httpx2.TransportError):
                live = await http.get(f"{booting_gateway.http}/healthz")
                start = (await http.get(f"{booting_gateway.http}/startupz")).json()
                looks.add((live.status_code, 200 if start["ok"] else 503, start["status"]))
                try:
                    async with booting_gateway.client():
                        break
                except HandshakeError as error:
                    if not error.retryable:
                        raise
                    refused.add((error.code, error.retry_after))
            await asyncio.sleep(0.02)
    assert ("UNAVAILABLE", 0.5) in refused
    assert (200, 503, "starting") in looks


# ── restarting in place ──


@pytest.fixture(params=["fake-4", REAL[0]])
async def own_gateway(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A gateway that the test may restart."""
    if request.param.startswith("fake"):
        async for subject in _fake(request.param):
            yield subject
        return
    async with request.getfixturevalue("real_gateway")(CURRENT) as real:
        yield Subject(real.url, real.token, str(real.state_dir), real.pid, False)


async def test_a_requested_restart_keeps_the_process_and_changes_the_boot(own_gateway: Subject) -> None:
    async with own_gateway.client(scopes=("operator.admin",)) as link:
        before, info = link.hello, await link.call("system.info")
        events = link.events()
        answer = await link.call("gateway.restart.request", {"reason": "contract", "skipDeferral": True})
        assert answer["ok"] is True
        assert answer["status"] in ("scheduled", "deferred", "coalesced")
        code, _ = await link.wait_closed()
        assert code == 1012
        announced = [event async for event in events if getattr(event, "name", "") == "shutdown"]
    assert announced[-1].payload["reason"] == "gateway restarting"
    async with await _back(own_gateway) as link:
        assert link.hello.boot_id != before.boot_id
        after = await link.call("system.info")
        assert (after["pid"], after["processInstanceId"]) == (info["pid"], info["processInstanceId"])


async def _back(gateway: Subject) -> GatewayClient:
    """Wait until the gateway lets somebody in; every refusal on the way must invite another attempt."""
    while True:
        try:
            async with gateway.client():
                return gateway.client()
        except HandshakeError as error:
            if not error.retryable:
                raise
        except TransportError:
            pass
        await asyncio.sleep(0.05)
