"""Who holds a gateway's place: scripted gateways, plain servers, other keepers, nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from observe.mailbox import Box
from regrow.host.lease import Lease
from regrow.host.ports import free_port
from regrow.host.process import identify
from regrow.host.services import Unit
from regrow.model.facts import OwnerSeen
from regrow.model.gateway import Mode, Process
from regrow.observe.owner import Premises, look_owner
from rig.programs import ChildProgram
from rig.real import RealGateway


def premises(program: ChildProgram, **more: Any) -> Premises:
    return Premises(state_dir=program.state_dir, config_path=program.config_path, port=program.port, **more)


async def look(where: Premises, unit: Unit | None = None) -> OwnerSeen:
    return await look_owner(where, Box().clock, unit_of=lambda _: unit)


@contextlib.contextmanager
def started(argv: list[str], env: dict[str, str] | None = None) -> Iterator[Process]:
    popen = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process = identify(popen.pid)
        assert process is not None
        yield process
    finally:
        popen.kill()
        popen.wait()


@contextlib.contextmanager
def gateway(program: ChildProgram) -> Iterator[Process]:
    with started(program.argv, program.env) as process:
        yield process


async def until_owned(where: Premises, owner: str) -> OwnerSeen:
    async with asyncio.timeout(10):
        while (seen := await look(where)).owner != owner:
            await asyncio.sleep(0.02)
    return seen


async def test_nobody(child_program: ChildProgram) -> None:
    seen = await look(premises(child_program))
    assert (seen.owner, seen.process, seen.port, seen.mode, seen.rivals) == (
        "none", None, child_program.port, Mode.OWN, (),
    )  # fmt: skip
    assert seen.at > 1e9


async def test_a_gateway_that_is_not_met_yet(child_program: ChildProgram) -> None:
    with gateway(child_program) as process:
        seen = await until_owned(premises(child_program), "gateway")
        assert (seen.process, seen.port, seen.mode) == (process, child_program.port, Mode.OWN)
        assert f"pid {process.pid}" in seen.detail
        assert child_program.token not in seen.detail


async def test_a_gateway_of_ours(child_program: ChildProgram) -> None:
    with gateway(child_program) as process:
        await until_owned(premises(child_program), "gateway")
        assert (await look(premises(child_program, ours=(process,)))).owner == "ours"
        reused = Process(pid=process.pid, started=process.started + 1)
        assert (await look(premises(child_program, ours=(reused,)))).owner == "gateway"


async def test_a_gateway_that_a_service_runs(child_program: ChildProgram) -> None:
    unit = Unit("openclaw-gateway.service", "systemd-user")
    with gateway(child_program) as process:
        await until_owned(premises(child_program), "gateway")
        seen = await look(premises(child_program), unit)
        known = await look(premises(child_program, ours=(process,)), unit)
    assert (seen.owner, seen.mode) == ("unit", Mode.SERVICE)
    assert "openclaw-gateway.service" in seen.detail
    assert (known.owner, known.mode) == ("ours", Mode.SERVICE)


async def test_a_gateway_without_lock_and_listener_is_still_there(child_program: ChildProgram) -> None:
    with started([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        ours = await look(premises(child_program, ours=(process,), met=process))
        met = await look(premises(child_program, met=process))
    gone = await look(premises(child_program, ours=(process,), met=process))
    assert (ours.owner, ours.process, met.owner, gone.owner) == ("ours", process, "gateway", "none")


async def test_something_else_on_the_port(child_program: ChildProgram) -> None:
    argv = [sys.executable, "-m", "http.server", str(child_program.port), "--bind", "127.0.0.1"]
    with started(argv) as process:
        seen = await until_owned(premises(child_program), "listener")
        while seen.process is None:  # it holds the port already and does not listen yet
            seen = await look(premises(child_program))
        assert (seen.process, seen.port) == (process, child_program.port)
        assert "http.server" in seen.detail
        assert "OpenClaw" not in seen.detail


async def test_secrets_in_a_stranger_s_command_are_hidden(child_program: ChildProgram) -> None:
    code = f"import socket,time; s=socket.create_server(('127.0.0.1', {child_program.port})); time.sleep(60)"
    with started([sys.executable, "-c", code, "--token", "hunter2-hunter2"]):
        seen = await until_owned(premises(child_program), "listener")
    assert "hunter2" not in seen.detail


async def test_a_gateway_of_another_state_directory(child_programs: Callable[..., ChildProgram]) -> None:
    ours, theirs = child_programs(), child_programs()
    where = Premises(state_dir=ours.state_dir, config_path=ours.config_path, port=theirs.port)
    with gateway(theirs) as process:
        seen = await until_owned(where, "listener")
        await theirs.wait_listening()
        seen = await look(where)
    assert seen.process == process
    assert seen.detail.startswith("an OpenClaw gateway of another state directory")


async def test_another_keeper(child_program: ChildProgram) -> None:
    code = (
        "import sys, pathlib; from regrow.host.lease import Lease\n"
        f"lease = Lease(pathlib.Path({str(child_program.state_dir)!r}), name='night'); assert lease.take()\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        await asyncio.to_thread(other.stdout.readline)
        seen = await look(premises(child_program))
        assert seen.owner == "healer"
        assert f"regrow night (pid {other.pid})" in seen.detail
    finally:
        other.communicate()
    assert (await look(premises(child_program))).owner == "none"


async def test_our_own_lease_is_no_rival(child_program: ChildProgram) -> None:
    lease = Lease(child_program.state_dir)
    assert lease.take()
    try:
        assert (await look(premises(child_program))).owner == "none"
    finally:
        lease.release()


async def test_an_attached_gateway_is_remote(tmp_path: Path) -> None:
    where = Premises(state_dir=tmp_path, config_path=tmp_path / "x", url="wss://gw.example:8443/?token=hunter2")
    seen = await look(where)
    assert (seen.owner, seen.mode, seen.detail) == ("remote", Mode.ATTACH, "wss://gw.example:8443")


async def test_a_state_directory_that_does_not_exist(tmp_path: Path) -> None:
    seen = await look(Premises(state_dir=tmp_path / "no", config_path=tmp_path / "no" / "x", port=free_port()))
    assert seen.owner == "none"


async def test_a_rival_is_named_whoever_holds_it(child_program: ChildProgram) -> None:
    child_program.write_config({"plugins": {"entries": {"openclaw-self-healing": {"enabled": True}}}})
    seen = await look(premises(child_program))
    assert seen.rivals == ("the plugin openclaw-self-healing inside the gateway",)


@pytest.mark.real
async def test_a_real_gateway_with_and_without_its_locks(real_gateway: Any) -> None:
    async with real_gateway() as gw:
        assert isinstance(gw, RealGateway)
        where = Premises(state_dir=gw.state_dir, config_path=gw.config_path, port=gw.port)
        seen = await look_owner(where, Box().clock)
        assert (seen.owner, seen.port) == ("gateway", gw.port)
        assert seen.process is not None
        assert seen.process.pid == gw.pid
        assert str(gw.state_dir) in seen.detail
        for lock in (gw.state_dir / "tmp").glob("openclaw*/*.lock"):
            lock.rename(lock.with_suffix(".aside"))
        assert (await look_owner(where, Box().clock)).process == seen.process
        other = Premises(state_dir=gw.root, config_path=gw.root / "openclaw.json", port=gw.port)
        stranger = await look_owner(other, Box().clock)
        assert (stranger.owner, stranger.process) == ("listener", seen.process)
        assert "another state directory" in stranger.detail
        for lock in (gw.state_dir / "tmp").glob("openclaw*/*.aside"):
            lock.rename(lock.with_suffix(".lock"))
        os.kill(gw.pid, signal.SIGSTOP)
        try:
            assert (await look_owner(where, Box().clock)).process == seen.process
        finally:
            os.kill(gw.pid, signal.SIGCONT)
