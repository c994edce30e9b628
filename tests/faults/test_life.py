"""A real gateway under a real keeper: started, killed, restarted, misconfigured, stopped; and the keeper killed too."""

from __future__ import annotations

import json
import os
import signal

import pytest

from rig.tended import Tend, Tended

BROKEN = {"gateway": {"mode": "local", "bind": "loopback", "bogusKey": True}}


@pytest.mark.real
async def test_it_lives_is_killed_restarted_refused_stopped_and_started_again(tended: Tend) -> None:
    async with tended() as keeper:  # one after the other on the same gateway: a boot takes ten seconds
        await _started(keeper)
        await _killed(keeper)
        await _restarted(keeper)
        await _refused(keeper)
        await _stopped(keeper)
        await _started_again_and_ended(keeper)


async def _started(keeper: Tended) -> None:
    await keeper.run()
    await keeper.ready()
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


async def _killed(keeper: Tended) -> None:
    """Another life follows, and nothing else is done."""
    before, place = await keeper.status(), keeper.now
    os.kill(before["pid"], signal.SIGKILL)
    place = await keeper.until("exit", since=place, code=-9, expected=False)
    await keeper.ready(place)
    await keeper.until("episode:closed", since=place, domain="liveness", state="cured")
    assert keeper.acts() == ["start", "start"]
    after = await keeper.status()
    assert after["pid"] != before["pid"]
    assert after["bootId"] not in {"", before["bootId"]}
    assert after["restarts"]["executed"] == 1
    assert after["episodes"] == []


async def _restarted(keeper: Tended) -> None:
    """On request it restarts inside its process."""
    before, place = await keeper.status(), keeper.now
    code, out = await keeper.cli("restart", "--reason", "because", "--json")
    replies = [json.loads(line) for line in out.splitlines()]
    assert (code, replies[-1]["state"]) == (0, "done"), out
    after = await keeper.status()
    assert (after["pid"], after["gatewayReady"]) == (before["pid"], True)
    assert after["bootId"] != before["bootId"]
    assert keeper.acts(place) == ["restart-in-place"]


async def _refused(keeper: Tended) -> None:
    """With a file that does not boot the gateway serves on; a restart is refused at once, and says why."""
    before, place = await keeper.status(), keeper.now
    good = keeper.gateway.config_path.read_text()
    await keeper.config(BROKEN)
    place = await keeper.until("episode:opened", since=place, domain="settings")
    [reply] = [reply for reply in await keeper.ask("restart") if reply["state"] != "queued"]
    assert reply["state"] == "refused"
    assert "bogusKey" in reply["text"]
    assert "--force" in reply["text"]
    assert keeper.gateway.probe("/healthz")[0] == 200
    assert (await keeper.status())["bootId"] == before["bootId"]
    await keeper.config(good)
    await keeper.until("episode:closed", since=place, domain="settings")


async def _stopped(keeper: Tended) -> None:
    """It stays stopped, over a kill of the keeper too."""
    code, out = await keeper.cli("stop")
    assert code == 0, out
    assert keeper.gateways(family=True) == []
    assert (await keeper.status())["want"] == "stopped"
    await keeper.killed()
    await keeper.run()
    await keeper.answers()
    again = await keeper.status()
    assert (again["want"], again["phase"], again["pid"]) == ("stopped", "stopped", None)
    assert (await keeper.cli("status"))[0] == 2


async def _started_again_and_ended(keeper: Tended) -> None:
    """A person starts it; told to end by a service manager the keeper takes its own gateway along, in good order."""
    place = keeper.now
    code, out = await keeper.cli("start", "--json")
    assert code == 0, out
    assert (await keeper.status())["gatewayReady"] is True
    assert await keeper.quit() == 0
    assert keeper.gateways(family=True) == []
    assert keeper.acts(place) == ["start", "terminate"]
    assert [told.data["code"] for told in keeper.told[place:] if told.type == "exit"] == [0]
