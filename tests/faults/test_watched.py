"""The keeper itself is killed, doubled, or meets a gateway that is not its own: nothing is done twice or to others."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import psutil
import pytest

from rig.real import RealGateway
from rig.tended import Tend


@pytest.mark.real
async def test_a_gateway_outlives_its_keeper_and_is_taken_over_continued_and_tended_by_one_only(tended: Tend) -> None:
    async with tended() as keeper:
        await keeper.run()
        await keeper.ready()
        before = await keeper.status()
        await keeper.killed()
        place = await keeper.run()
        await keeper.ready(place)
        after = await keeper.status()
        assert (after["pid"], after["bootId"]) == (before["pid"], before["bootId"])
        assert (after["owner"], after["observeOnly"], after["port"]) == ("ours", None, before["port"])
        assert keeper.acts(place) == []

        # a second keeper finds the first at work and only looks
        async with tended(home="second", gateway=keeper.gateway) as second:
            await second.run()
            await second.until("episode:opened", domain="liveness")
            seen = await second.status()
            assert seen["owner"] == "healer"
            assert f"pid {keeper.pid}" in seen["observeOnly"]
            [refused] = await second.ask("stop")
            assert refused["state"] == "refused"

            # stopped by a signal: let go on, and nothing harsher
            place = keeper.now
            os.kill(before["pid"], signal.SIGSTOP)
            place = await keeper.until("action:done", since=place, action="continue", within=40)
            place = await keeper.until("episode:closed", since=place, domain="liveness", state="cured")
            assert psutil.Process(before["pid"]).status() != psutil.STATUS_STOPPED
            assert (await keeper.status())["bootId"] == before["bootId"]
            assert [told.action for told in keeper.told if told.type == "action:intended"] == ["start", "continue"]

            # its end is noticed although it is nobody's child now; one keeper starts another
            os.kill(before["pid"], signal.SIGKILL)
            place = await keeper.until("exit", since=place, pid=before["pid"])
            await keeper.ready(place)
            assert second.acts() == []
            assert [process.pid for process in keeper.gateways()] == [(await keeper.status())["pid"]]
            assert await second.quit() == 0
        assert (await keeper.status())["gatewayReady"] is True, keeper.story()


@pytest.mark.real
async def test_a_gateway_started_by_hand_is_only_watched_until_it_is_adopted(
    tended: Tend, gateway_files: Callable[..., RealGateway]
) -> None:
    gateway = gateway_files()
    await asyncio.to_thread(gateway.start)
    async with tended(gateway=gateway) as keeper:
        await keeper.run()
        place = await keeper.ready()
        seen = await keeper.status()
        assert (seen["owner"], seen["pid"], seen["gatewayReady"]) == ("gateway", gateway.pid, True)
        assert "regrow adopt" in seen["observeOnly"]
        [refused] = await keeper.ask("stop")
        assert (refused["state"], gateway.running) == ("refused", True)
        gateway.signal(signal.SIGSTOP)
        place = await keeper.until("episode:opened", since=place, domain="liveness", within=60)
        assert keeper.acts() == []
        gateway.signal(signal.SIGCONT)
        place = await keeper.until("episode:closed", since=place, domain="liveness")

        # ended by regrow only: a keeper that was told to end leaves a stranger alone
        assert await keeper.quit() == 0
        assert gateway.running
        place = await keeper.run()
        place = await keeper.ready(place)

        [adopted] = [reply for reply in await keeper.ask("adopt") if reply["state"] != "queued"]
        assert adopted["state"] == "done"
        assert (await keeper.status())["observeOnly"] is None
        gateway.signal(signal.SIGKILL)
        place = await keeper.until("exit", since=place, pid=gateway.pid)
        await keeper.ready(place)
        assert keeper.acts() == ["start"]
        assert (await keeper.ask("stop"))[-1]["state"] == "done"
