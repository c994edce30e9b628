"""The running gateway is asked to restart or reload, never into a configuration that would not come back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from act.rigging import Stage
from regrow.act import child, gateway
from regrow.model.actions import Reload, RestartInPlace, Start
from regrow.model.errors import GatewayError, Refused
from regrow.model.facts import LinkDown
from regrow.model.gateway import Mode
from regrow.testing import FakeGateway
from rig.programs import ChildProgram

RESTART = RestartInPlace(reason="test")
RELOAD = Reload(reason="test")


@contextlib.asynccontextmanager
async def linked(fake: FakeGateway, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(None, tmp_path / "regrow", state_dir=tmp_path, config_path=tmp_path / "openclaw.json")
    async with fake, stage.line(fake.url, fake.token) as line:
        assert (await line.dial()).result == "done"
        yield stage


def config(*answers: dict[str, Any]) -> Any:
    """Scripted answers of config.get; the last one for ever."""
    left = list(answers)

    def answer(_: Any) -> dict[str, Any]:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


SAME = {"valid": True, "configRevisionHash": "a", "appliedConfigHash": "a"}
DIFFERS = {"valid": True, "configRevisionHash": "b", "appliedConfigHash": "a"}
BROKEN = {"valid": False, "appliedConfigHash": "a",
          "issues": [{"path": "gateway", "message": 'Unrecognized key: "bogusKey"'}]}  # fmt: skip


async def test_a_restart_is_asked_for_after_the_file_was_judged(tmp_path: Path) -> None:
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:
        verdict = await gateway.restart_in_place(stage.world, RESTART)
        await stage.wait_for(LinkDown)
    assert verdict.result == "done"
    assert verdict.detail == "scheduled (safe to restart now)"
    assert [method for method, _ in fake.calls] == [
        "config.get", "gateway.restart.preflight", "gateway.restart.request",
    ]  # fmt: skip
    assert fake.calls[-1][1] == {"reason": "test"}


async def test_running_work_is_named_and_waited_for(tmp_path: Path) -> None:
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:
        fake.active_work = 2
        verdict = await gateway.restart_in_place(stage.world, RESTART)
        assert verdict.detail.startswith("deferred, it first finishes: 2 active embedded run(s)")
        assert not stage.posted(LinkDown)
        await gateway.restart_in_place(stage.world, RestartInPlace(reason="now", skip_drain=True))
        await stage.wait_for(LinkDown)
    assert fake.calls[-1][1] == {"reason": "now", "skipDeferral": True}


async def test_an_invalid_file_blocks_it_and_force_does_not_ask(tmp_path: Path) -> None:
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:
        fake.on("config.get", BROKEN)
        with pytest.raises(Refused, match="bogusKey") as refused:
            await gateway.restart_in_place(stage.world, RESTART)
        assert refused.value.by == "config"
        assert "gateway.restart.request" not in [method for method, _ in fake.calls]
        assert (await gateway.restart_in_place(stage.world, RestartInPlace(reason="x", force=True))).result == "done"


async def test_a_rate_limit_says_when_to_come_again(tmp_path: Path) -> None:
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:

        def limited(_: Any) -> None:
            raise GatewayError("UNAVAILABLE", "rate limit exceeded; retry after 59s", retryable=True, retry_after=59.0)

        fake.on("gateway.restart.request", limited)
        verdict = await gateway.restart_in_place(stage.world, RESTART)
    assert verdict.result == "failed"
    assert "rate limit" in verdict.detail
    assert verdict.retry_at is not None
    assert verdict.retry_at - stage.clock.now() == pytest.approx(59.0, abs=5.0)


async def test_going_down_before_the_answer_counts_as_accepted(tmp_path: Path) -> None:
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:

        async def down(_: Any) -> None:
            await fake.hang_up(1012, "service restart")

        fake.on("gateway.restart.request", down)
        assert (await gateway.restart_in_place(stage.world, RESTART)).result == "done"


async def test_without_a_line_nothing_can_be_asked(tmp_path: Path) -> None:
    stage = Stage(None, tmp_path / "regrow", state_dir=tmp_path, config_path=tmp_path / "openclaw.json")
    stage.believe(methods=("gateway.restart.request",))
    with pytest.raises(Refused) as refused:
        await gateway.restart_in_place(stage.world, RESTART)
    assert refused.value.by == "link"


# ── early 2026 ──


@contextlib.asynccontextmanager
async def spring(program: ChildProgram, tmp_path: Path) -> AsyncIterator[Stage]:
    program.script({"protocol": 3})
    stage = Stage(program, tmp_path / "regrow")
    await child.start(stage.world, Start(reason="x"))
    await program.wait_listening()
    async with stage.line(program.url, program.token) as line:
        async with asyncio.timeout(10):
            while (await line.dial()).result != "done":
                await asyncio.sleep(0.05)
        yield stage


@pytest.mark.parametrize("reload", [False, True])
async def test_early_2026_restarts_by_its_own_signal(child_program: ChildProgram, tmp_path: Path, reload: bool) -> None:
    async with spring(child_program, tmp_path) as stage:
        effect = gateway.reload(stage.world, RELOAD) if reload else gateway.restart_in_place(stage.world, RESTART)
        assert (await effect).result == "done"
        await stage.wait_for(LinkDown)
        assert any("SIGUSR1 received; restarting" in line for line in stage.children[0].last())


async def test_early_2026_that_is_not_ours_is_not_signalled(child_program: ChildProgram, tmp_path: Path) -> None:
    async with spring(child_program, tmp_path) as stage:
        stage.believe(mode=Mode.SERVICE)
        with pytest.raises(Refused) as refused:
            await gateway.restart_in_place(stage.world, RESTART)
        assert refused.value.by == "owner"
        verdict = await gateway.reload(stage.world, RELOAD)
        assert verdict.result == "failed"
        assert verdict.detail.startswith("restart-needed")


# ── reload ──


async def test_nothing_differs_so_only_secrets_are_read_again(tmp_path: Path) -> None:
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:
        verdict = await gateway.reload(stage.world, RELOAD)
    assert verdict.result == "done"
    assert "nothing on disk differs" in verdict.detail
    assert [method for method, _ in fake.calls] == ["config.get", "secrets.reload"]


async def test_a_hot_change_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_HOT_EVERY", 0.01)
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:
        fake.on("config.get", config(DIFFERS, DIFFERS, SAME))
        verdict = await gateway.reload(stage.world, RELOAD)
    assert verdict.result == "done"
    assert "applied what had changed" in verdict.detail


async def test_a_change_that_is_not_applied_needs_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_HOT_EVERY", 0.01)
    monkeypatch.setattr(gateway, "HOT_WITHIN", 0.1)
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:
        fake.on("config.get", DIFFERS)
        verdict = await gateway.reload(stage.world, RELOAD)
    assert verdict.result == "failed"
    assert verdict.detail.startswith("restart-needed")
    assert "secrets.reload" not in [method for method, _ in fake.calls]


async def test_a_restart_class_key_is_named_at_once(tmp_path: Path) -> None:
    fake = FakeGateway()
    fake.on("config.schema.lookup", lambda params: {"reloadKind": "restart" if "port" in params["path"] else "hot"})
    shown = {"sourceConfig": {"gateway": {"port": 2, "bind": "loopback"}, "meta": {"a": 1}},
             "runtimeConfig": {"gateway": {"port": 1, "bind": "loopback", "auth": {"mode": "token"}}}}  # fmt: skip
    async with linked(fake, tmp_path) as stage:
        fake.on("config.get", DIFFERS | shown)
        async with asyncio.timeout(gateway.HOT_WITHIN):
            verdict = await gateway.reload(stage.world, RELOAD)
    assert verdict.detail.startswith("restart-needed: gateway.port changed")


async def test_an_invalid_file_is_not_reloaded(tmp_path: Path) -> None:
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:
        fake.on("config.get", BROKEN)
        with pytest.raises(Refused) as refused:
            await gateway.reload(stage.world, RELOAD)
    assert refused.value.by == "config"
    assert "secrets.reload" not in [method for method, _ in fake.calls]


async def test_a_gateway_that_restarts_by_itself_is_not_restarted_twice(tmp_path: Path) -> None:
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:

        async def leaving(_: Any) -> dict[str, Any]:
            if len(fake.calls) > 1:
                await fake.hang_up(1012, "service restart")
            return DIFFERS

        fake.on("config.get", leaving)
        verdict = await gateway.reload(stage.world, RELOAD)
    assert verdict.result == "done"
    assert "restarts by itself" in verdict.detail


async def test_a_file_that_was_just_changed_is_judged_when_it_has_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway answers from a snapshot at first: an old "valid" must not let a restart through."""
    monkeypatch.setattr(gateway, "SETTLED", 0.4)
    fake = FakeGateway()
    file = tmp_path / "openclaw.json"
    async with linked(fake, tmp_path) as stage:

        def snapshot(_: Any) -> dict[str, Any]:
            return SAME if time.time() - file.stat().st_ctime < 0.3 else BROKEN

        fake.on("config.get", snapshot)
        file.write_text("{broken")
        os.utime(file, (1, 1))
        with pytest.raises(Refused) as refused:
            await gateway.restart_in_place(stage.world, RESTART)
    assert refused.value.by == "config"


@pytest.mark.parametrize("effect", [gateway.restart_in_place, gateway.reload])
async def test_one_that_is_restarting_already_needs_no_push(tmp_path: Path, effect: Any) -> None:
    fake = FakeGateway()

    def leaving(_: Any) -> None:
        raise GatewayError("UNAVAILABLE", "config.get unavailable during gateway restart", retryable=True)

    async with linked(fake, tmp_path) as stage:
        fake.on("config.get", leaving)
        assert (await effect(stage.world, RESTART)).result == "done"
    assert [method for method, _ in fake.calls] == ["config.get"]
