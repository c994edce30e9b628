"""The gateway's external-supervisor contract: it exits in order to be started again, and says so."""

from __future__ import annotations

import signal

import psutil
import pytest

from rig.tended import Tend


@pytest.mark.real
async def test_a_gateway_that_exits_to_be_restarted_is_started_again_without_counting_as_a_failure(
    tended: Tend,
) -> None:
    async with tended(section='restarts = "external"') as keeper:
        place = await keeper.run()
        place = await keeper.ready(place)
        first = (await keeper.status())["pid"]

        # the gateway restarts on its own account: it leaves word and exits 0
        psutil.Process(first).send_signal(signal.SIGUSR2)
        place = await keeper.until("exit", since=place, pid=first, code=0, within=60)
        place = await keeper.ready(place)
        status = await keeper.status()
        assert status["pid"] != first
        assert status["lastError"] is None
        assert "episode:opened" not in keeper.types(), keeper.story()
        assert keeper.acts() == ["start", "start"]
        assert "asked to be started again" in status["restarts"]["lastReason"]
