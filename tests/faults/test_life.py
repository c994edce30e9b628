"""A real gateway under a real keeper: started, killed, restarted, misconfigured, stopped; and the keeper killed too."""

from __future__ import annotations

import json
import os
import signal

import pytest

from rig.tended import Tend

BROKEN = {"gateway": {"mode": "local", "bind": "loopback", "bogusKey": True}}


@pytest.mark.real
async def test_it_lives_is_killed_restarted_refused_stopped_and_started_again(tended: Tend) -> None:
    async with tended() as keeper:
        await keeper.run()
        place = await keeper.ready()
        assert keeper.acts() == ["start"]
        status = await keeper.status()
        assert (status["status"], status["lifecycleState"], status["phase"]) == ("connected", "running", "running")
        assert status["gatewayReady"] is True
        assert (status["mode"], status["owner"], status["port"]) == ("own", "ours", keeper.gateway.port)
        assert status["version"] == keeper.gateway.version
        assert [process.pid for process in keeper.gateways()] == [status["pid"]]
        assert status["episodes"] == []
        code, out = await keeper.cli("status", "--json")
        assert code == 0, out
        assert json.loads(out)["pid"] == status["pid"]

        # killed: another life, and nothing else is done
        os.kill(status["pid"], signal.SIGKILL)
        place = await keeper.until("exit", since=place, code=-9, expected=False)
        place = await keeper.until("episode:closed", since=await keeper.ready(place), domain="liveness", state="cured")
        assert keeper.acts(1) == ["start", "start"]
        second = await keeper.status()
        assert second["pid"] != status["pid"]
        assert second["bootId"] not in {"", status["bootId"]}
        assert second["restarts"]["executed"] == 1
        assert second["episodes"] == []

        # restarted on request: inside its process
        code, out = await keeper.cli("restart", "--reason", "because", "--json")
        replies = [json.loads(line) for line in out.splitlines()]
        assert (code, replies[-1]["state"]) == (0, "done"), out
        third = await keeper.status()
        assert third["pid"] == second["pid"]
        assert third["bootId"] != second["bootId"]
        assert third["gatewayReady"] is True
        assert keeper.acts(place) == ["restart-in-place"]

        # a file that does not boot: the running gateway serves on, a restart is refused at once, and says why
        place = keeper.now
        good = keeper.gateway.config_path.read_text()
        await keeper.config(BROKEN)
        place = await keeper.until("episode:opened", since=place, domain="settings")
        [reply] = [reply for reply in await keeper.ask("restart") if reply["state"] != "queued"]
        assert reply["state"] == "refused"
        assert "bogusKey" in reply["text"]
        assert "--force" in reply["text"]
        assert keeper.gateway.probe("/healthz")[0] == 200
        assert (await keeper.status())["bootId"] == third["bootId"]
        await keeper.config(good)
        place = await keeper.until("episode:closed", since=place, domain="settings")

        # stopped: it stays so, over a kill of the keeper too, until a person starts it
        code, out = await keeper.cli("stop")
        assert code == 0, out
        assert keeper.gateways(family=True) == []
        assert (await keeper.status())["want"] == "stopped"
        await keeper.killed()
        place = await keeper.run()
        await keeper.answers()
        again = await keeper.status()
        assert (again["want"], again["phase"], again["pid"]) == ("stopped", "stopped", None)
        assert (await keeper.cli("status"))[0] == 2
        code, out = await keeper.cli("start", "--json")
        assert code == 0, out
        assert (await keeper.status())["gatewayReady"] is True

        # ended by its service manager: its own gateway ends in good order with it
        assert await keeper.quit() == 0
        assert keeper.gateways(family=True) == []
        assert keeper.acts(place) == ["start", "terminate"]
        assert [told.data["code"] for told in keeper.told[place:] if told.type == "exit"] == [0]
