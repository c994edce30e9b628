"""Gateways that are there and not well: silent, half-open, deaf, refusing, invalid, in somebody else's way."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from regrow.daemon import Daemon
from regrow.model.facts import Heard, LinkUp
from regrow.testing import FakeGateway
from rig.kept import HASTY, Kept, keeping, settings
from rig.programs import ChildProgram

pytestmark = pytest.mark.usefixtures("no_leaks")

BROKEN = '{"bogus": 1, "gateway": {"mode": "local"}}'


async def test_a_wrong_token_blinds_us_and_nothing_is_restarted(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder, regrow_leave_running=True)) as kept:
        await kept.ready()
        pid = kept.pid
    life = folder / "gateway.life.json"
    life.write_text(life.read_text().replace(child_program.token, "not-the-token"))
    async with keeping(settings(child_program, folder, token="not-the-token")) as blind:
        await blind.ready()
        await blind.until(lambda: blind.daemon.mind.view().link == "blind")
        await blind.told_of("episode:opened", subject="link")
        assert blind.status["gatewayReady"], "its own probes say so"
        assert blind.pid == pid
        assert blind.done() == []
        assert "not-the-token" not in str(blind.told)
    assert child_program.pids() == []


async def test_a_zombie_is_woken_by_its_restart_signal(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"zombie_on_restart": True, "zombie_heals": True})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        pid = kept.pid
        os.kill(pid, signal.SIGUSR2)
        await kept.told_of("action:done", action="revive")
        # the scripted one stays deaf whatever it is told; what follows has its own test
        assert kept.done() == ["start", "revive"]
        assert kept.pid == pid


async def test_a_silent_gateway_is_asked_before_anything_is_done(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"hang_after": 0.3, "hang_for": 1.5})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        await kept.until(lambda: kept.daemon.mind.state.domains["liveness"].hang.misses >= 1)
        await kept.until(lambda: kept.daemon.mind.state.domains["liveness"].hang.misses == 0)
        assert kept.done() == ["start"], "a short silence is no hang"
        assert kept.status["gatewayReady"]


async def test_a_hung_gateway_is_proven_so_ended_and_replaced(
    child_program: ChildProgram, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regrow.decide.supervise import hang

    monkeypatch.setattr(hang, "IDLE_SILENCE", 1.0)
    child_program.script({"hang_after": 0.3}, {})
    policy = replace(HASTY, misses_suspect=2, suspect_span=0.5, hung_budget=0.3)
    async with keeping(settings(child_program, folder), policy=policy) as kept:
        await kept.ready()
        pid = kept.pid
        await kept.ready(2)
        assert kept.pid != pid
        assert kept.done() == ["start", "terminate", "kill", "start"]
        assert kept.all("episode:closed", state="cured")
        assert kept.status["restarts"]["executed"] == 1


async def test_a_gateway_that_is_stopped_goes_on_again(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        os.kill(kept.pid, signal.SIGSTOP)
        await kept.told_of("action:done", action="continue")
        await kept.until(lambda: kept.daemon.mind.state.domains["liveness"].hang.misses == 0)
        assert kept.done() == ["start", "continue"]


async def test_an_invalid_file_holds_the_start_until_it_is_mended(child_program: ChildProgram, folder: Path) -> None:
    child_program.write_config(BROKEN)
    async with keeping(settings(child_program, folder)) as kept:
        await kept.told_of("status", phase="held")
        assert child_program.boots() == []
        assert not kept.status["config"]["valid"]
        assert "bogus" in str(kept.status["config"]["problems"])
        refused = await kept.ask("start")
        assert refused[-1]["state"] == "refused"
        assert "--force" in refused[-1]["text"]
        child_program.write_config({"gateway": {"mode": "local", "bind": "loopback", "port": child_program.port}})
        await kept.ready()


async def test_it_is_started_on_request_even_so_and_its_refusal_is_told(
    child_program: ChildProgram, folder: Path
) -> None:
    child_program.write_config(BROKEN)
    async with keeping(settings(child_program, folder)) as kept:
        await kept.told_of("status", phase="held")
        answers = await kept.ask("start", force=True)
        assert answers[-1]["state"] == "failed", answers
        assert len(child_program.boots()) == 1
        await kept.told_of("status", count=2, phase="held")
        assert len(child_program.boots()) == 1


async def test_exit_78_with_a_valid_file_is_not_repeated_blindly(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"exit_code": 78, "last_words": ["another OpenClaw process owns gateway-lifecycle"]})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.told_of("status", phase="quarantine")
        assert len(child_program.boots()) == 1
        assert kept.status["restarts"]["pendingUntil"] > kept.status["at"] + 30_000


async def test_a_port_taken_by_a_stranger_is_reported_and_nobody_is_killed(
    child_program: ChildProgram, folder: Path
) -> None:
    with socket.create_server(("127.0.0.1", child_program.port)):
        async with keeping(settings(child_program, folder)) as kept:
            await kept.told_of("status", phase="foreign")
            opened = await kept.told_of("episode:opened", subject="process")
            assert str(child_program.port) in str(opened)
            refused = await kept.ask("start")
            assert refused[-1]["state"] == "refused"
            assert str(os.getpid()) in refused[-1]["text"]
            assert kept.done() == []
    assert child_program.boots() == []


async def test_a_person_need_not_wait_for_a_port_that_is_free_again(child_program: ChildProgram, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", child_program.port)) as taken:
        async with keeping(settings(child_program, folder)) as kept:
            await kept.told_of("status", phase="foreign")
            taken.close()
            answers = await kept.ask("start")
            assert answers[-1]["state"] == "done", answers


@contextlib.asynccontextmanager
async def attached(folder: Path, gateway: FakeGateway) -> AsyncIterator[Kept]:
    """A keeper that only attends a gateway by its address."""
    async with keeping(settings(None, folder, url=gateway.url, token="fake-token", mode="attach")) as kept:
        yield kept


async def test_an_attached_gateway_is_never_stopped_and_restarts_by_rpc(folder: Path) -> None:
    async with FakeGateway(port=0) as gateway, attached(folder, gateway) as kept:
        await kept.ready()
        status = kept.status
        assert (status["mode"], status["owner"], status["pid"]) == ("attach", "remote", None)
        for verb in ("stop", "start"):
            refused = await kept.ask(verb)
            if verb == "stop":
                assert [a["state"] for a in refused] == ["refused"]
                assert gateway.url.removeprefix("ws://") in refused[0]["text"]
        boot = gateway.boot_id
        answers = await kept.ask("restart", reason="because")
        assert answers[-1]["state"] == "done", answers
        assert gateway.boot_id != boot
        assert set(kept.done()) == {"restart-in-place"}


async def test_garbage_and_lost_frames_cost_neither_the_line_nor_the_gateway(folder: Path) -> None:
    async with FakeGateway(port=0, tick=0.05) as gateway, attached(folder, gateway) as kept:
        await kept.ready()
        gateway.drop_events(5)
        for garbage in ("{", "[]", '"x"', "null", '{"type":"event"}', '{"type":"res","id":7}', "\x00", '{"a":' * 500):
            await gateway.send_raw(garbage)
        gateway.drop_answers(1)
        lost = await kept.op("rpc", method="health", timeout=0.3)
        assert lost["ok"] is False
        answer = await kept.op("rpc", method="health", timeout=3)
        assert answer["ok"] is True
        assert kept.status["status"] == "connected"
        assert kept.status["diagnostics"]["consecutiveRpcFailures"] == 0
        assert kept.status["diagnostics"]["lastRpcFailureMethod"] == "health"
        assert kept.done() == []
        assert sum(isinstance(fact, LinkUp) for fact, _ in kept.facts) <= 1
        assert any(isinstance(fact, Heard) for fact, _ in kept.facts)


async def test_a_closed_socket_is_opened_again_and_nothing_is_restarted(folder: Path) -> None:
    async with FakeGateway(port=0) as gateway, attached(folder, gateway) as kept:
        await kept.ready()
        for code in (1001, 1006, 4000):
            seen = sum(isinstance(fact, LinkUp) for fact, _ in kept.facts)
            if code == 1006:
                await gateway.crash()
                await gateway.become("ready")
            else:
                await gateway.hang_up(code, "scripted")
            await kept.until(lambda seen=seen: sum(isinstance(fact, LinkUp) for fact, _ in kept.facts) > seen)
        await kept.until(lambda: kept.status["status"] == "connected")
        assert kept.status["diagnostics"]["lastSocketCloseCode"] == 4000
        assert kept.status["reconnects"]["successes"] >= 2
        assert kept.done() == []


async def test_a_failing_part_is_begun_again_and_the_keeper_lives_on(child_program: ChildProgram, folder: Path) -> None:
    class Fragile(Daemon):
        """Its vitals and its watching of the child fail once each."""

        async def _build(self) -> None:
            await super()._build()
            self.failed = 0
            run = self.upkeep.run

            async def breaks() -> None:
                self.failed += 1
                if self.failed <= 2:
                    raise ZeroDivisionError("scripted")
                await run()

            self.upkeep.run = breaks  # type: ignore[method-assign]

        async def _keep_served(self) -> None:
            raise ZeroDivisionError("scripted too")

    async with keeping(settings(child_program, folder), kind=Fragile) as kept:
        await kept.ready()
        await kept.told_of("fault", 3)
        faults = [said["what"] for said in kept.all("fault")]
        assert sum("upkeep: ZeroDivisionError" in what for what in faults) == 2
        assert sum("scripted too" in what for what in faults) == 1
        assert (await kept.ask("restart"))[-1]["state"] == "done"


async def test_a_second_keeper_only_watches_and_takes_over_when_the_first_ends(
    child_program: ChildProgram, folder: Path
) -> None:
    from rig.mortal import mortal

    async with mortal(child_program, folder) as first:
        await first.step("say:gateway:ready")
        pid = (await first.status())["pid"]
        async with keeping(settings(child_program, folder.with_name("second"))) as second:
            await second.until(lambda: second.status["owner"] == "healer")
            assert "another regrow" in second.status["observeOnly"]
            assert (await second.ask("stop"))[-1]["state"] == "refused"
            os.kill(pid, signal.SIGKILL)
            await first.step("say:gateway:ready", 2)
            pid = (await first.status())["pid"]
            assert second.done() == []
            first.signal(signal.SIGKILL)
            await first.ended()
            await second.until(lambda: second.status["owner"] not in ("healer", "none"))
            # what it did not start it watches until a person says otherwise; but a lost one is brought back
            os.kill(pid, signal.SIGKILL)
            await second.until(lambda: second.status["gatewayReady"] and second.pid != pid)
            assert child_program.pids() == [second.pid]
            assert second.daemon.lease.held


async def test_of_two_keepers_that_wait_one_starts_it(child_program: ChildProgram, folder: Path) -> None:
    from rig.mortal import mortal

    async with mortal(child_program, folder) as first:
        await first.step("say:gateway:ready")
        pid = (await first.status())["pid"]
        async with (
            mortal(child_program, folder.with_name("other")) as other,
            keeping(settings(child_program, folder.with_name("mine"))) as mine,
        ):
            await other.step("fact:owner-seen")
            await mine.until(lambda: mine.status["owner"] == "healer")
            first.signal(signal.SIGKILL)
            await first.ended()
            os.kill(pid, signal.SIGKILL)
            # either of them; the one without the lease only notices at its next look
            await mine.until(lambda: child_program.pids() not in ([], [pid]) and len(child_program.boots()) == 2)
            assert len(child_program.pids()) == 1


async def test_dry_run_says_what_it_would_do_and_does_nothing(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder, regrow_dry_run=True)) as kept:
        would = await kept.told_of("action:would", action="start")
        assert "would" in would["detail"]
        assert str(child_program.port) in would["detail"]
        answers = await kept.ask("start")
        assert "dry run" in answers[-1]["text"]
        assert kept.status["dryRun"]
        assert not (child_program.state_dir / "regrow.lease").exists()
        assert kept.done() == []
        assert len(kept.all("action:would")) == 2
    assert child_program.boots() == []


async def test_a_copy_that_the_gateway_replaced_at_its_boot_is_told_of(
    child_program: ChildProgram, folder: Path
) -> None:
    good = child_program.config_path.read_bytes()
    other = '{"gateway": {"mode": "local"}, "meta": {"by": "itself"}}'
    child_program.script({}, {"reverts": other}, {})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        await kept.until(lambda: kept.daemon.mind.view().kept)
        await kept.ask("stop")
        child_program.write_config('{"gateway": {')
        await kept.until(lambda: kept.daemon.mind.view().config_ok is False)
        assert [reply["state"] for reply in await kept.ask("restore")][-1] == "done"
        assert child_program.config_path.read_bytes() == good
        await kept.ask("start")
        told = await kept.told_of("config:reverted")
        assert told["aside"] == "openclaw.json.clobbered.2026-11-25T00-00-00Z"
        assert (child_program.state_dir / told["aside"]).read_bytes() == good
        episode = await kept.told_of("episode:opened", 2, domain="settings")
        assert (episode["state"], told["aside"] in episode["evidence"]) == ("human", True)
