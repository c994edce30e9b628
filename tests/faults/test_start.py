"""What stands in the way of a start: a dry run, somebody else on the port, a file that does not boot."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal

import pytest

from rig.tended import Tend

BROKEN = '{"gateway": {"mode": "local", "bind": "loopback", "bogusKey": true}}\n'


@pytest.mark.real
async def test_a_start_waits_for_its_port_and_its_file_and_a_proven_copy_comes_back(tended: Tend) -> None:
    async with tended() as keeper:
        good = keeper.gateway.config_path.read_text()

        # a dry run starts nothing and says what it would start
        await keeper.run("--dry-run")
        place = await keeper.until("action:would", action="start")
        said = keeper.told[place - 1].data["detail"]
        assert f"gateway run --port {keeper.gateway.port}" in said
        assert keeper.gateway.token not in said
        [reply] = [reply for reply in await keeper.ask("start") if reply["state"] != "queued"]
        assert "dry run" in reply["text"]
        assert keeper.gateways(family=True) == []
        assert await keeper.quit() == 0
        assert keeper.acts() == []
        assert not (keeper.gateway.state_dir / "regrow.lease").exists()

        # somebody else holds the port: named, never signalled, waited for
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", keeper.gateway.port)
        place = await keeper.run()
        place = await keeper.until("episode:opened", since=place, domain="liveness", subject="process")
        evidence = keeper.told[place - 1].data["evidence"]
        assert f"port {keeper.gateway.port} is taken" in evidence
        assert f"pid {os.getpid()}" in evidence
        assert "python" in evidence
        status = await keeper.status()
        assert (status["owner"], status["phase"], status["pid"]) == ("listener", "foreign", None)
        [reply] = [reply for reply in await keeper.ask("stop") if reply["state"] != "queued"]
        assert reply["state"] == "done"  # a person may still decide that it stays down
        await asyncio.to_thread(keeper.gateway.write_config, BROKEN)
        [reply] = [reply for reply in await keeper.ask("start") if reply["state"] != "queued"]
        assert reply["state"] == "refused"
        assert f"pid {os.getpid()}" in reply["text"]
        server.close()

        # the port is free, and the file does not boot: it is not even tried
        place = await keeper.until("episode:opened", since=place, domain="settings", within=30)
        place = await keeper.until("status", since=place - 3, phase="held")
        assert "bogusKey" in str((await keeper.status())["config"]["problems"])
        assert (await keeper.cli("status"))[0] == 2
        await asyncio.to_thread(keeper.gateway.write_config, good)
        place = await keeper.ready(place)
        assert keeper.acts() == ["start"], keeper.story()

        # broken while it is down: held, until a copy that was proven is put back
        digest = hashlib.sha256(good.encode()).hexdigest()
        await keeper.kept(digest)
        place = keeper.now
        await asyncio.to_thread(keeper.gateway.write_config, BROKEN)
        place = await keeper.until("episode:opened", since=place, domain="settings")
        os.kill((await keeper.status())["pid"], signal.SIGKILL)
        place = await keeper.until("status", since=place, phase="held")
        assert keeper.acts() == ["start"], keeper.story()
        code, out = await keeper.cli("doctor", "--restore", digest[:12])
        assert code == 0, out
        assert keeper.gateway.config_path.read_text() == good
        place = await keeper.ready(place)
        assert keeper.acts() == ["start", "restore-config", "start"]
        assert await keeper.quit() == 0
        assert keeper.gateways(family=True) == []
