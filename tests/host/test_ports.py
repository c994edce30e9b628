"""Who listens is found by socket, on loopback and wherever loopback reaches; a free port is free."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest

from regrow.host import ports
from regrow.host.ports import accepts, free_port, is_free, listener
from regrow.host.process import identify

ME = identify(os.getpid())

LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def servers() -> list[socket.socket]:
    made = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("0.0.0.0", 0))]
    if socket.has_dualstack_ipv6():
        made.append(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
        made.append(socket.create_server(("::ffff:127.0.0.1", 0), family=socket.AF_INET6, dualstack_ipv6=True))
    return made


@pytest.mark.parametrize("number", range(len([server.close() for server in servers()])))
async def test_a_listener_is_seen_whatever_address_it_uses(number: int) -> None:
    made = servers()
    port = port_of(made[number])
    try:
        assert not is_free(port)
        assert listener(port) == ME
        assert listener(port, [os.getpid()]) == ME
        assert await accepts(port)
    finally:
        for server in made:
            server.close()
    assert is_free(port)
    assert listener(port) is None
    assert not await accepts(port, 0.5)


async def test_a_free_port_is_free_until_somebody_takes_it() -> None:
    port = free_port()
    assert is_free(port)
    assert listener(port) is None
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
    assert is_free(port), "a port that was only just let go is free"


async def test_lingering_connections_do_not_keep_a_port() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.read()
        writer.close()
        await writer.wait_closed()
    assert is_free(port)


async def test_another_process_is_named_and_its_end_frees_the_port() -> None:
    child = subprocess.Popen([sys.executable, "-c", LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        port = int(child.stdout.readline())
        found = listener(port)
        assert found is not None
        assert found.pid == child.pid
        assert not is_free(port)
        os.kill(child.pid, signal.SIGSTOP)
        assert await accepts(port), "the kernel accepts for a stopped process: this proves no life"
        child.kill()
        child.wait()
        assert is_free(port)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stdin.close()


def test_psutil_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "LINUX", False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listener(port_of(server)) == ME
    assert listener(free_port()) is None


@pytest.mark.parametrize(
    ("address", "reaches"),
    [
        ("0100007F", True),
        ("00000000", True),
        ("0101007F", True),
        ("0A00A8C0", False),
        ("00000000000000000000000000000000", True),
        ("00000000000000000000000001000000", True),
        ("0000000000000000FFFF00000100007F", True),
        ("0000000000000000FFFF00000A00A8C0", False),
        ("000080FE00000000FF005450B6AD1DFE", False),
    ],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the addresses are written as a little-endian kernel prints them")
def test_addresses_that_a_loopback_client_reaches(address: str, reaches: bool) -> None:
    assert ports._reaches_loopback(address) is reaches
