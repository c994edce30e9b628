"""Probes against a real server on loopback, real processes, and ports that behave badly."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from observe.mailbox import Box, running
from regrow.decide.profiles import DEFAULT, Policy
from regrow.decide.view import View
from regrow.host.ports import free_port
from regrow.host.process import identify
from regrow.link.address import Address
from regrow.link.client import GatewayClient
from regrow.model.facts import Probed, ProcessSeen
from regrow.model.gateway import Process
from regrow.observe.health import Health
from regrow.observe.probes import NoAnswer, Silence, Visit
from regrow.testing import SILENCE, FakeGateway

QUICK = Policy(name="quick", probe_within=0.3, probe_every=0.05, ready_probes=(0.01,))


class Held:
    """The line, as far as health needs it."""

    def __init__(self, client: GatewayClient | None) -> None:
        self.client = client

    async def call(self, method: str, params: Any = None, timeout: float = 30.0) -> Any:
        assert self.client is not None
        return await self.client.call(method, params, timeout=timeout)


def health(box: Box, url: str, view: View | None = None, policy: Policy = QUICK, **more: Any) -> Health:
    return Health(box.post, box.clock, lambda: view or View(owner="remote"), lambda: url, policy, **more)


@contextlib.asynccontextmanager
async def server(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


# ── one look ──


async def test_a_ready_gateway() -> None:
    box = Box()
    async with FakeGateway() as gateway:
        seen = await health(box, gateway.url).look()
    assert (seen.tcp, seen.live, seen.started, seen.ready, seen.draining) == (True, True, True, True, False)
    assert seen.version == gateway.version
    assert seen.boot_age is not None
    assert seen.boot_age >= 0
    assert seen.took > 0
    assert box.facts == [seen]


async def test_a_gateway_that_starts_drains_or_lacks_a_channel() -> None:
    box = Box()
    async with FakeGateway() as gateway:
        await gateway.become("starting")
        starting = await health(box, gateway.url).look()
        await gateway.become("draining")
        draining = await health(box, gateway.url).look()
        await gateway.become("ready")
        gateway.failing, gateway.suppressed = ["telegram"], ["slack"]
        lame = await health(box, gateway.url).look()
    assert (starting.live, starting.started, starting.pending) == (True, False, "startup-sidecars")
    assert (draining.live, draining.started, draining.draining) == (True, False, True)
    assert (lame.live, lame.started, lame.ready) == (True, True, False)
    assert (lame.failing, lame.suppressed) == (("telegram",), ("slack",))


async def test_a_gateway_of_early_2026_has_no_startup_probe() -> None:
    async with FakeGateway(protocol=3) as gateway:
        seen = await health(Box(), gateway.url).look()
    assert (seen.live, seen.started, seen.ready, seen.version) == (True, None, True, "")


async def test_a_hung_gateway_accepts_and_is_silent() -> None:
    async with FakeGateway() as gateway:
        await gateway.become("hung")
        seen = await health(Box(), gateway.url).look()
    assert (seen.tcp, seen.live, seen.started) == (True, False, None)


async def test_nobody_listens() -> None:
    seen = await health(Box(), f"ws://127.0.0.1:{free_port()}").look()
    assert (seen.tcp, seen.live) == (False, None)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{x}",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x00\xff" * 40 + b"\r\n\r\n",
        b"x" * 200_000,
        b"",
    ],
)
async def test_what_is_no_gateway_is_not_alive(raw: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)

    async with server(answer) as url:
        seen = await health(Box(), url).look()
    assert (seen.tcp, seen.live) == (True, False)


async def test_requests_share_a_connection_and_chunks_are_joined() -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
            head += b"Transfer-Encoding: chunked\r\n\r\n"
            writer.write(head + b'8;x=y\r\n{"ok":tr\r\n3\r\nue}\r\n0\r\n\r\n')

    async with server(answer) as url, Visit(Address.parse(url), 5.0) as visit:
        pages = [await visit.get("/healthz") for _ in range(3)]
    assert [page.body for page in pages] == [{"ok": True}] * 3
    assert connections == 1


async def test_our_own_shortage_says_nothing_about_the_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: Any, **more: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio, "open_connection", fail)
    seen = await health(Box(), "ws://127.0.0.1:9").look()
    assert (seen.tcp, seen.live) == (None, None)


async def test_silence_while_our_own_loop_was_late_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeGateway() as gateway:
        await gateway.become("hung")
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, lambda: os.kill(os.getpid(), 0) or _hold_up(0.8))
        async with Visit(Address.parse(gateway.url), 0.3) as visit:
            with pytest.raises(NoAnswer) as caught:
                await visit.get("/healthz")
    assert caught.value.why is Silence.UNKNOWN


async def test_a_listener_that_accepts_no_more_is_there() -> None:
    with socket.socket() as full, contextlib.ExitStack() as held:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(4):  # fill its queue
            each = held.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        seen = await health(Box(), f"ws://127.0.0.1:{port}").look()
    assert (seen.tcp, seen.live) == (True, False)


async def test_an_unusable_address_is_unknown() -> None:
    seen = await health(Box(), "nonsense").look()
    assert (seen.tcp, seen.live) == (None, None)


async def test_process_and_probe_are_told_together(sleeper: subprocess.Popen[bytes]) -> None:
    box = Box()
    process = identify(sleeper.pid)
    async with FakeGateway() as gateway:
        os.kill(sleeper.pid, signal.SIGSTOP)
        _, status = os.waitpid(sleeper.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        await health(box, gateway.url, View(owner="ours", process=process)).look()
    assert [type(fact) for fact in box.facts] == [ProcessSeen, Probed]
    (seen,) = box.of(ProcessSeen)
    assert (seen.process, seen.state) == (process, "T")
    assert seen.rss > 0


# ── when ──


async def test_it_looks_again_and_again_and_at_once_when_nudged() -> None:
    box = Box()
    slow = Policy(name="slow", probe_every=3600.0, ready_probes=(0.0,))
    async with FakeGateway() as gateway:
        view = View(owner="remote", ready=True)
        observer = health(box, gateway.url, view, slow)
        async with running(observer):
            await box.wait(Probed)
            observer.nudge()
            await box.wait(Probed, after=1)
    assert len(box.of(Probed)) == 2


async def test_without_a_process_there_is_nothing_to_look_at() -> None:
    box = Box()
    observer = health(box, "ws://127.0.0.1:9", View(owner="none"))
    async with running(observer):
        observer.nudge()
        for _ in range(20):
            await asyncio.sleep(0)
    assert box.facts == []


@pytest.mark.parametrize(
    ("view", "last", "age", "wait"),
    [
        (View(owner="none"), None, 0.0, 1.0),
        (View(owner="remote"), None, 0.5, 1.0),  # a boot: 1.5 s after the spawn first
        (View(owner="remote"), None, 9.0, 0.0),
        (View(owner="remote"), Probed(at=0.0, tcp=False), 2.5, 0.5),  # at 3 s
        (View(owner="remote"), Probed(at=0.0, tcp=False), 9.0, 1.0),  # then every second
        (View(owner="remote", ready=True), None, 0.0, 0.0),
        (View(owner="remote", ready=True), Probed(at=0.0, tcp=True, live=True), 99.0, 5.0),
        (View(owner="remote", ready=True), Probed(at=0.0, tcp=True, live=False), 99.0, 2.0),
        (View(owner="remote", ready=True), Probed(at=0.0, tcp=False), 99.0, 2.0),
        (View(owner="remote", ready=True), Probed(at=0.0), 99.0, 2.0),
    ],
)
def test_the_rhythm(view: View, last: Probed | None, age: float, wait: float) -> None:
    observer = health(Box(), "ws://127.0.0.1:9", view, DEFAULT)
    observer._last = last
    assert observer._wait(age) == wait


async def test_readyz_is_asked_rarely_while_it_is_content() -> None:
    box = Box()
    ready = "true"
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            asked.append(path)
            body = {
                "/healthz": '{"ok":true,"status":"live"}', "/startupz": '{"status":"started"}',
                "/readyz": f'{{"ready":{ready},"suppressed":["x"]}}',
            }[path]  # fmt: skip
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(f"{head}{body}".encode())

    async with server(answer) as url:
        observer = health(box, url, View(owner="remote", ready=True))
        first, second = await observer.look(), await observer.look()
        ready = "false"
        observer._traffic_at -= 31
        lame = [await observer.look() for _ in range(2)]
    assert asked.count("/readyz") == 3
    assert asked.count("/healthz") == asked.count("/startupz") == 4
    assert (first.ready, second.ready, second.suppressed) == (True, True, ("x",))
    assert [probed.ready for probed in lame] == [False, False]


# ── the verifying call ──


@contextlib.asynccontextmanager
async def connected(gateway: FakeGateway) -> AsyncIterator[GatewayClient]:
    async with GatewayClient(gateway.url, token=gateway.token) as client:
        yield client


async def test_an_answer_acquits() -> None:
    async with FakeGateway() as gateway, connected(gateway) as client:
        view = View(owner="ours", protocol=4, methods=("system-presence", "health"))
        said = await health(Box(), gateway.url, view, line=Held(client)).verify()
    assert (said.ok, said.detail) == (True, "system-presence")
    assert gateway.calls == [("system-presence", {})]


async def test_an_old_gateway_is_asked_for_its_health() -> None:
    async with FakeGateway(protocol=3) as gateway, connected(gateway) as client:
        said = await health(Box(), gateway.url, View(owner="ours", protocol=3), line=Held(client)).verify()
    assert (said.ok, said.detail) == (True, "health")


async def test_a_refusal_is_an_answer() -> None:
    async with FakeGateway() as gateway:
        gateway.granted = ()
        async with connected(gateway) as client:
            view = View(owner="ours", protocol=4, methods=("system-presence",))
            said = await health(Box(), gateway.url, view, line=Held(client)).verify()
    assert said.ok is True
    assert "FORBIDDEN" in said.detail


async def test_silence_convicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regrow.observe.health.VERIFY_WITHIN", 0.2)
    async with FakeGateway() as gateway, connected(gateway) as client:
        gateway.on("health", SILENCE)
        said = await health(Box(), gateway.url, line=Held(client)).verify()
        await gateway.become("hung")
        knocked = await health(Box(), gateway.url, dial=lambda: GatewayClient(gateway.url, token="x")).verify()
    assert (said.ok, knocked.ok) == (False, False)


async def test_a_broken_line_is_no_silence() -> None:
    async with FakeGateway() as gateway, connected(gateway) as client:
        await gateway.hang_up()
        await client.wait_closed()
        fresh = GatewayClient(gateway.url, token=gateway.token)
        said = await health(Box(), gateway.url, line=Held(client), dial=lambda: fresh).verify()
    assert (said.ok, said.detail) == (True, "greeted")


@pytest.mark.parametrize("state", ["starting", "draining", "ready"])
async def test_being_turned_away_is_an_answer(state: str) -> None:
    async with FakeGateway() as gateway:
        await gateway.become(state)
        said = await health(Box(), gateway.url, dial=lambda: GatewayClient(gateway.url, token="wrong")).verify()
    assert said.ok is True
    assert "refused" in said.detail


async def test_nobody_there_is_silence_and_somebody_else_is_unknown() -> None:
    port = free_port()
    nobody = await health(Box(), "", dial=lambda: GatewayClient(f"ws://127.0.0.1:{port}")).verify()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    async with server(answer) as url:
        other = await health(Box(), url, dial=lambda: GatewayClient(url)).verify()
    unable = await health(Box(), "").verify()
    assert (nobody.ok, other.ok, unable.ok) == (False, None, None)


def _hold_up(seconds: float) -> None:
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_gone_process_is_not_told(sleeper: subprocess.Popen[bytes]) -> None:
    box = Box()
    gone = View(owner="ours", process=Process(pid=sleeper.pid, started=1))
    asyncio.run(health(box, f"ws://127.0.0.1:{free_port()}", gone).look())
    assert box.of(ProcessSeen) == []
    assert box.of(Probed)[0].tcp is False


async def test_a_certificate_nobody_vouches_for_is_unknown() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"this is not TLS\r\n\r\n")

    async with server(answer) as url:
        seen = await health(Box(), url.replace("ws://", "wss://")).look()
    assert (seen.tcp, seen.live) == (None, None)
