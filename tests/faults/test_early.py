"""A real gateway of early 2026: readiness by one call, restart by its signal, and a token that does not fit."""

from __future__ import annotations

import os
import signal

import pytest

from rig.machine import SPRING
from rig.tended import Tend


@pytest.mark.real
async def test_an_early_gateway_lives_is_killed_restarted_by_its_signal_and_never_for_a_wrong_token(
    tended: Tend,
) -> None:
    async with tended(SPRING) as keeper:
        await keeper.run()
        place = await keeper.ready()
        first = await keeper.status()
        assert (first["version"], first["gatewayReady"], first["phase"]) == (SPRING, True, "running")

        os.kill(first["pid"], signal.SIGKILL)
        place = await keeper.until("exit", since=place, code=-9)
        place = await keeper.ready(place)
        second = await keeper.status()
        assert second["pid"] != first["pid"]

        # there is no request for it: the signal that means restart in this version, proven by a new boot
        replies = await keeper.ask("restart")
        assert replies[-1]["state"] == "done", replies
        assert "inside its process" in replies[-1]["text"]
        third = await keeper.status()
        assert (third["pid"], third["gatewayReady"]) == (second["pid"], True)
        assert third["connectedAt"] > second["connectedAt"]
        log = (keeper.home / "state" / "default" / "logs" / "gateway.log").read_text()
        assert "SIGUSR1" in log, log  # its own word that the signal was taken for what we meant
        assert keeper.acts() == ["start", "start", "restart-in-place"]

        # it will not let us in: we cannot see, which is no reason to touch it
        await keeper.killed()
        (keeper.home / "token").write_text("not-the-token-of-this-gateway")
        life = keeper.home / "state" / "default" / "gateway.life.json"
        life.write_text(life.read_text().replace(keeper.gateway.token, ""))
        place = await keeper.run()
        place = await keeper.until("episode:opened", since=place, domain="liveness", subject="link", state="human")
        assert "token" in keeper.told[place - 1].data["evidence"]
        assert keeper.acts(place - 3) == []
        assert (await keeper.status())["pid"] == third["pid"]
        assert keeper.gateway.probe("/healthz")[0] == 200
        (keeper.home / "token").write_text(keeper.gateway.token)
        assert (await keeper.ask("stop"))[-1]["state"] == "done"
        assert keeper.gateways(family=True) == []
