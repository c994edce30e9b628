"""Requests that cross each other, come too early, or by the hundred: each is answered once and finally."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from regrow.testing import FakeGateway
from rig.kept import keeping, settings
from rig.programs import ChildProgram

pytestmark = pytest.mark.usefixtures("no_leaks")

FINAL = ("done", "refused", "failed")


async def test_a_stop_overtakes_a_start_under_way(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"boot": 5.0})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.until(lambda: kept.status["phase"] == "starting")
        starting = asyncio.create_task(kept.ask("start"))
        await kept.until(lambda: kept.daemon.mind.state.domains["liveness"].start_requests)
        stopped = await kept.ask("stop")
        assert stopped[-1]["state"] == "done"
        overtaken = (await starting)[-1]
        assert (overtaken["state"], "stop by test" in overtaken["text"]) == ("failed", True)
        assert child_program.pids() == []
        assert kept.status["want"] == "stopped"


async def test_a_start_overtakes_a_stop_under_way(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"term_takes": 0.5}, {})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        stopping = asyncio.create_task(kept.ask("stop"))
        await kept.until(lambda: kept.status["phase"] == "stopping")
        answers = await kept.ask("start")
        assert [a["state"] for a in answers] == ["queued", "done"]
        assert (await stopping)[-1]["state"] == "failed"
        assert kept.status["want"] == "running"
        assert len(child_program.pids()) == 1


async def test_a_reload_asked_for_while_it_starts_is_fulfilled_by_the_start(
    child_program: ChildProgram, folder: Path
) -> None:
    child_program.script({"boot": 0.5})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.until(lambda: kept.status["phase"] == "starting")
        answers = await kept.ask("reload", topics=["agents"])
        assert answers[0]["state"] == "queued"
        assert answers[-1]["state"] == "done", answers
        assert kept.all("runtime:changed")[0]["topics"] == ["agents"]


async def test_an_attached_gateway_reloads_by_rpc(folder: Path) -> None:
    async with (
        FakeGateway(port=0) as gateway,
        keeping(settings(None, folder, url=gateway.url, token="fake-token", mode="attach")) as kept,
    ):
        await kept.ready()
        boot = gateway.boot_id
        answers = await kept.ask("reload")
        assert answers[-1]["state"] == "done", answers
        assert gateway.boot_id == boot


async def test_whoever_goes_away_leaves_the_request_standing(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        reader, writer = await asyncio.open_unix_connection(str(kept.daemon.place.socket))
        writer.write(b'{"op":"ask","verb":"restart","by":"gone","delay":0.2}\n')
        await reader.readline()
        writer.close()
        await writer.wait_closed()
        await kept.ready(2)
        assert kept.done() == ["start", "restart-in-place"]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_asked_in_whatever_order_each_gets_one_final_answer(
    child_program: ChildProgram, folder: Path, seed: int
) -> None:
    chance = random.Random(seed)
    child_program.script({"boot": 0.05, "term_takes": 0.05, "restart": 0.01})
    async with keeping(settings(child_program, folder)) as kept:

        async def asks() -> dict[str, object]:
            await asyncio.sleep(chance.random() * 2.0)
            verb = chance.choice(["start", "stop", "restart", "restart", "reload", "adopt"])
            more = {"subject": "full"} if chance.random() < 0.3 else {}
            delay = chance.choice([0.0, 0.0, 0.1])
            answers = await kept.ask(verb, delay=delay, **more)
            assert [a["state"] in FINAL for a in answers].count(True) == 1
            assert answers[-1]["text"]
            return answers[-1]

        await asyncio.gather(*(asks() for _ in range(25)))
        answers = await kept.ask("start")
        assert answers[-1]["state"] == "done", answers
        assert len(child_program.pids()) == 1
        assert kept.daemon.mind.state.faults == ()
        assert kept.daemon.mind.state.domains["liveness"].governor.level == 0, "nothing asked for is a failure"
    assert child_program.pids() == []


async def test_early_2026_restarts_by_its_signal_and_is_proven_by_its_uptime(
    child_programs: Callable[..., ChildProgram], folder: Path
) -> None:
    program = child_programs(version="2026.4.29")
    program.script({"protocol": 3, "version": "2026.4.29"})
    async with keeping(settings(program, folder)) as kept:
        await kept.ready()
        pid = kept.pid
        assert kept.status["version"] == "2026.4.29"
        answers = await kept.ask("restart")
        assert answers[-1]["state"] == "done", answers
        assert kept.pid == pid
        reloaded = await kept.ask("reload")
        assert reloaded[-1]["state"] == "done", reloaded
        assert kept.pid == pid
    assert kept.code == 0
