"""On a real gateway: started, kept, reloaded, restarted inside its process, ended, and its configuration restored."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from act.rigging import Stage
from regrow.act import child, doctor, gateway, settings
from regrow.act.proof import proven
from regrow.host.process import alive, send, tree
from regrow.link.line import Line
from regrow.model.actions import Doctor, Reload, RestartInPlace, RestoreConfig, Start, Terminate
from regrow.model.errors import Refused
from regrow.model.facts import LinkDown, LinkUp
from rig.machine import CURRENT, SPRING, one_boot, remember
from rig.real import RealGateway

pytestmark = pytest.mark.real
Files = Callable[..., RealGateway]


def stage_of(files: RealGateway, tmp_path: Path) -> Stage:
    stage = Stage(
        None, tmp_path / "regrow", state_dir=files.state_dir, config_path=files.config_path, port=files.port,
        token=files.token, env={"HOME": files.env["HOME"], "TMPDIR": files.env["TMPDIR"]},
    )  # fmt: skip
    stage.world.use(files.installation)
    return stage


@asynccontextmanager
async def started(stage: Stage, files: RealGateway) -> AsyncIterator[None]:
    """Started by us, ready, and gone afterwards with all it started."""
    with one_boot():
        verdict = await child.start(stage.world, Start(reason="test"))
        assert verdict.result == "done"
        process = stage.children[-1].process
        note = remember(process.pid)
        async with asyncio.timeout(90):
            while not await asyncio.to_thread(files.is_ready):
                assert alive(process), stage.children[-1].last()
                await asyncio.sleep(0.2)
    family = tree(process)
    try:
        yield
    finally:
        for one in (process, *family):
            send(one, signal.SIGKILL, proof=lambda _: True)
        await stage.children[-1].wait()
        note.unlink(missing_ok=True)


async def dial(line: Line) -> None:
    async with asyncio.timeout(60):
        while (await line.dial()).result != "done":
            await asyncio.sleep(0.5)


async def end(stage: Stage) -> int | None:
    process = stage.children[-1].process
    assert (await child.terminate(stage.world, Terminate(process=process, reason="test"))).result == "done"
    async with asyncio.timeout(30):
        return await stage.children[-1].wait()


async def test_current_from_start_to_end(gateway_files: Files, tmp_path: Path) -> None:
    files = gateway_files(CURRENT)
    stage = stage_of(files, tmp_path)
    async with started(stage, files), stage.line(files.url, files.token) as line:
        process = stage.children[-1].process
        stage.world.child = None
        assert proven(stage.world, process), "by the mark it carries, though it renamed itself"
        (stage.world.folder / "gateway.life.json").unlink()
        assert proven(stage.world, process), "by its own lock file"
        stage.world.child = stage.children[-1]
        await dial(line)
        first = (await stage.wait_for(LinkUp)).boot_id
        kept = await settings.keep_served(stage.world)
        assert kept is not None
        reloaded = await gateway.reload(stage.world, Reload(reason="test"))
        assert reloaded.result == "done", reloaded
        good = files.config_path.read_text()
        files.write_config("{broken")
        with pytest.raises(Refused) as refused:
            await gateway.restart_in_place(stage.world, RestartInPlace(reason="test"))
        assert refused.value.by == "config"
        files.write_config(good)
        verdict = await gateway.restart_in_place(stage.world, RestartInPlace(reason="test"))
        assert verdict.result == "done", verdict
        await stage.wait_for(LinkDown, within=60)
        await dial(line)
        assert (await stage.wait_for(LinkUp, 2)).boot_id != first
        assert alive(process), "inside its process"
        assert await end(stage) == 0


async def test_a_restored_configuration_survives_the_next_boot(gateway_files: Files, tmp_path: Path) -> None:
    files = gateway_files(CURRENT)
    stage = stage_of(files, tmp_path)
    content = files.config_path.read_bytes()
    kept = settings.store(stage.world).keep(content, CURRENT)
    files.config_path.with_name("openclaw.json.bak").write_text('{"gateway": {"mode": "local"}, "meta": {}}')
    files.write_config('{"gateway": {"mode": "local", "bogusKey": 1}}')
    valid, problems = await settings.validate(stage.world)
    assert valid is False
    assert any("bogusKey" in line for line in problems)
    verdict = await settings.restore_config(stage.world, RestoreConfig(digest=kept.digest, reason="test"))
    assert verdict.result == "done", verdict
    async with started(stage, files):
        assert files.config_path.read_bytes() == content
        assert await end(stage) == 0


async def test_spring_restarts_on_its_own_signal(gateway_files: Files, tmp_path: Path) -> None:
    files = gateway_files(SPRING)
    stage = stage_of(files, tmp_path)
    async with started(stage, files), stage.line(files.url, files.token) as line:
        await dial(line)
        assert (await stage.wait_for(LinkUp)).protocol == 3
        verdict = await gateway.restart_in_place(stage.world, RestartInPlace(reason="test"))
        assert verdict.result == "done", verdict
        await stage.wait_for(LinkDown, within=60)
        await dial(line)
        assert alive(stage.children[-1].process)
        assert await end(stage) == 0


async def test_the_doctor_mends_and_what_else_it_did_is_told(gateway_files: Files, tmp_path: Path) -> None:
    files = gateway_files(CURRENT)
    stage = stage_of(files, tmp_path)
    config = json.loads(files.config_path.read_text())
    files.write_config(config | {"gateway": config["gateway"] | {"bogusKey": 1}})
    verdict = await doctor.doctor(stage.world, Doctor(reason="test"))
    assert verdict.result == "done", verdict
    assert "1 removed (gateway)" in verdict.detail
    mended = json.loads(files.config_path.read_text())
    assert mended["gateway"] == config["gateway"]
    assert mended["logging"] == config["logging"]


async def test_what_the_doctor_cannot_read_is_left_as_it_was(gateway_files: Files, tmp_path: Path) -> None:
    files = gateway_files(CURRENT)
    stage = stage_of(files, tmp_path)
    broken = files.config_path.read_text()[:-2]
    files.write_config(broken)
    verdict = await doctor.doctor(stage.world, Doctor(reason="test"))
    assert verdict.result == "failed", verdict
    assert "still not valid" in verdict.detail
    assert files.config_path.read_text() == broken
