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
        await keeper.ready(place)
        after = await keeper.status()
        assert [process.pid for process in keeper.gateways()] == [after["pid"]]
        lives_on = after["pid"] == before["pid"]  # the signal had not been sent yet: then nothing was done
        assert not lives_on or step == "after the intent"
        assert (after["gatewayReady"], after["want"], after["observeOnly"]) == (True, "running", None)
        # what was begun and whose end nobody wrote down is shown, and not begun again because of that
        left = {told.data["action"]["action"] for told in keeper.told[place:] if told.type == "intent:open"}
        assert left <= {data["action"]}
        assert keeper.acts(place) == ([] if lives_on or data["action"] == "start" else ["start"])
        assert await keeper.quit() == 0
        assert keeper.gateways(family=True) == []
