"""The keeper dies in the middle of a restart: afterwards there is one gateway, and nothing was silently repeated."""

from __future__ import annotations

import pytest

from rig.tended import Tend

STEPS = {
    "after the intent": ("action:intended", {"action": "terminate"}),
    "after SIGTERM": ("action:done", {"action": "terminate"}),
    "after the spawn": ("action:done", {"action": "start"}),
}


@pytest.mark.real
@pytest.mark.parametrize("step", STEPS)
async def test_one_gateway_remains_when_the_keeper_dies_in_a_restart(step: str, tended: Tend) -> None:
    async with tended() as keeper:
        await keeper.run()
        place = await keeper.ready()
        before = await keeper.status()
        type_, data = STEPS[step]
        await keeper.begin("restart", subject="full")
        place = await keeper.until(type_, since=place, **data)
        await keeper.killed()
        place = await keeper.run()
        await keeper.until("regrow:started", since=place)
        place = await keeper.until("gateway:ready", since=place)
        after = await keeper.status()
        assert [process.pid for process in keeper.gateways()] == [after["pid"]]
        assert (after["gatewayReady"], after["want"], after["observeOnly"]) == (True, "running", None)
        opened = [told.data["action"] for told in keeper.told if told.type == "intent:open"]
        acts = keeper.acts(place - len(keeper.told))
        print(step, opened, acts, before["pid"], after["pid"], keeper.story())
        assert await keeper.quit() == 0
        assert keeper.gateways(family=True) == []
