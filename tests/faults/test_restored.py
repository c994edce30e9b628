"""A configuration that was put back, and a real gateway that prefers its own backup."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest

from rig.tended import Tend

BROKEN = '{"gateway": {"mode": "local", "bogusKey": true}}\n'


@pytest.mark.real
async def test_a_real_gateway_that_takes_its_own_backup_at_its_boot_is_told_of(tended: Tend) -> None:
    async with tended() as keeper:
        path = keeper.gateway.config_path
        backup = path.with_name("openclaw.json.bak")
        await keeper.run()
        place = await keeper.ready()
        first = path.read_bytes()
        digest = hashlib.sha256(first).hexdigest()
        await keeper.kept(digest)
        # the gateway itself writes its file: from now on it knows a good one that has `meta`
        patch = {"raw": '{"messages": {"ackReactionScope": "all"}}', "baseHash": await _hash(keeper)}
        code, said = await keeper.cli("rpc", "config.patch", "--params", json.dumps(patch))
        assert code == 0, said
        written = path.read_bytes()
        assert "meta" in json.loads(written)
        await keeper.ask("stop")
        await keeper.config(BROKEN)
        [reply] = [one for one in await keeper.ask("restore", subject=digest) if one["state"] != "queued"]
        assert reply["state"] == "done", reply
        assert path.read_bytes() == backup.read_bytes() == first, "the backup, too: so it would stay"
        await asyncio.to_thread(backup.write_bytes, written)
        await keeper.begin("start")
        place = await keeper.until("config:reverted", since=place, restored=digest)
        told = keeper.told[place - 1].data
        assert told["found"] == hashlib.sha256(path.read_bytes()).hexdigest() != digest
        assert (path.parent / told["aside"]).read_bytes() == first
        await keeper.until("episode:opened", since=place - 2, domain="settings", state="human")


async def _hash(keeper: object) -> str:
    code, said = await keeper.cli("rpc", "config.get")  # type: ignore[attr-defined]
    assert code == 0, said
    return str(json.loads(said)["hash"])
