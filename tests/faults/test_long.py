"""What takes minutes by nature, on real gateways: a drain, the breaker, no ears, a hang."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid

import pytest

from regrow.serve import client
from rig.rot import block_loop, listening, silent_model, telegram, telegram_channel
from rig.tended import Tend

BROKEN = '{"gateway": {"mode": "local", "bind": "loopback", "bogusKey": true}}\n'


@pytest.mark.rehearsal
async def test_a_stop_lets_a_turn_that_never_ends_have_its_whole_drain(tended: Tend) -> None:
    async with (
        listening(lambda _path: None) as model,
        tended(config=silent_model(model.url), limit=800) as keeper,
    ):
        await keeper.run()
        await keeper.ready()
        params = {"sessionKey": "agent:main:main", "message": "hello", "idempotencyKey": str(uuid.uuid4())}
        said = await asyncio.to_thread(
            client.one, keeper.socket, {"op": "rpc", "method": "chat.send", "params": params}, patience=60
        )
        assert said["ok"], said
        async with asyncio.timeout(60):
            await model.news.wait()
        place = keeper.now
        replies = await keeper.ask("stop")
        assert [reply["state"] for reply in replies] == ["queued", "done"], keeper.story(place)
        assert "330 s" in replies[0]["text"]
        assert "killed" not in replies[1]["text"]
        told = next(told for told in keeper.told[place:] if told.type == "action:done")
        gone = next(told for told in keeper.told[place:] if told.type == "exit")
        assert gone.data["code"] == 0
        assert gone.at - told.at > 300, "the turn was cut off: this proves nothing about patience"
        assert keeper.acts(place) == ["terminate"]
        assert keeper.gateways(family=True) == []


@pytest.mark.rehearsal
async def test_the_gateways_own_breaker_is_seen_and_never_answered_with_a_restart(tended: Tend) -> None:
    async with listening(telegram) as service, tended(config=telegram_channel(service.url), limit=800) as keeper:
        await keeper.run()
        place = await keeper.ready()
        for _ in range(3):
            os.kill((await keeper.status())["pid"], signal.SIGKILL)
            place = await keeper.until("exit", since=place, code=-9)
            place = await keeper.ready(place)
        place = await keeper.until("gateway:output", text="breaker tripped")

        async def muted() -> bool:
            return (await keeper.status())["suppressed"] == ["telegram"]

        async def heard() -> bool:
            return (await keeper.status())["suppressed"] == []

        await keeper.comes(muted)
        status = await keeper.status()
        assert (status["gatewayReady"], status["phase"]) == (True, "running")
        assert [episode["subject"] for episode in status["episodes"]] == ["channels"]
        assert keeper.acts() == ["start"] * 4
        await keeper.comes(heard, within=500)
        assert (await keeper.status())["pid"] == status["pid"]
        await keeper.until("episode:closed", since=place, subject="channels")
        assert keeper.acts() == ["start"] * 4


@pytest.mark.rehearsal
async def test_a_gateway_alive_without_ears_is_woken_when_its_file_is_mended(tended: Tend) -> None:
    async with tended(limit=600) as keeper:
        await keeper.run()
        place = await keeper.ready()
        good = keeper.gateway.config_path.read_text()
        before = await keeper.status()
        await keeper.config(BROKEN)
        await keeper.until("episode:opened", since=place, domain="settings")
        replies = await keeper.ask("restart", force=True)
        assert replies[-1]["state"] == "failed", keeper.story()
        assert "not valid" in replies[-1]["text"]
        status = await keeper.status()
        assert (status["pid"], status["phase"], status["gatewayReady"]) == (before["pid"], "held", False)
        assert [process.pid for process in keeper.gateways()] == [before["pid"]]
        assert keeper.gateway.probe("/healthz")[0] == 0
        assert keeper.acts() == ["start", "restart-in-place"]
        place = keeper.now
        await keeper.config(good)
        await keeper.ready(place)
        after = await keeper.status()
        assert (after["pid"], after["gatewayReady"], after["episodes"]) == (before["pid"], True, [])
        assert after["bootId"] != before["bootId"]
        assert keeper.acts() == ["start", "restart-in-place", "revive"]


@pytest.mark.rehearsal
async def test_a_hung_gateway_is_proven_hung_then_ended_and_replaced(tended: Tend) -> None:
    async with tended(limit=600) as keeper:
        await keeper.run()
        place = await keeper.ready()
        before = await keeper.status()
        await block_loop(before["pid"], 900)
        place = await keeper.until("episode:opened", since=place, domain="liveness", within=200)
        assert "core RPC failed too" in keeper.told[place - 1].data["evidence"]
        place = await keeper.until("exit", since=place, code=-9, expected=True)
        place = await keeper.ready(place)
        await keeper.until("episode:closed", since=place - 2, domain="liveness", state="cured")
        assert keeper.acts() == ["start", "terminate", "kill", "start"]
        assert (await keeper.status())["pid"] != before["pid"]
        [evidence] = (keeper.home / "state" / "default" / "evidence").iterdir()
        assert json.loads(evidence.read_text())["process"]["pid"] == before["pid"]


@pytest.mark.rehearsal
async def test_a_pause_of_the_event_loop_that_ends_by_itself_is_left_alone(tended: Tend) -> None:
    async with tended(limit=300) as keeper:
        await keeper.run()
        await keeper.ready()
        before = await keeper.status()
        await block_loop(before["pid"], 12)
        assert keeper.gateway.probe("/healthz", 1.0)[0] == 0
        await keeper.comes(lambda: keeper.gateway.probe("/healthz", 1.0)[0] == 200)
        after = await keeper.status()
        assert (after["pid"], after["bootId"], after["gatewayReady"]) == (before["pid"], before["bootId"], True)
        assert keeper.acts() == ["start"]
