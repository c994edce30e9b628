"""A gateway's life under a keeper: started, crashed, replaced, stopped, restarted, reloaded, adopted."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from regrow.decide.engine import Outcome
from regrow.model.facts import AnyFact, ChildExited
from rig.kept import HASTY, Kept, keeping, settings
from rig.programs import ChildProgram

pytestmark = pytest.mark.usefixtures("no_leaks")


def order(kept: Kept, *types: str) -> list[str]:
    """Events of these types as they came; actions with their name."""
    return [
        f"{type_} {data['action']}" if "action" in data else type_ for type_, data in kept.told if type_ in types
    ]  # fmt: skip


def governed(kept: Kept, kind: type[AnyFact]) -> list[tuple[Any, Outcome]]:
    return [(fact, outcome) for fact, outcome in kept.facts if isinstance(fact, kind)]


@asynccontextmanager
async def left(program: ChildProgram) -> AsyncIterator[int]:
    """A gateway that somebody else started, over its whole life."""
    process = await asyncio.create_subprocess_exec(
        *program.argv, env=program.env, start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await program.wait_listening()
        yield process.pid
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_it_is_started_proven_and_ended_with_the_keeper(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        assert kept.status["gatewayReady"]
        assert child_program.pids() == [kept.pid]
    assert kept.code == 0
    assert child_program.pids() == []
    assert kept.done() == ["start", "terminate"]


async def test_a_first_crash_is_replaced_at_once_and_a_second_waits_for_the_gap(
    child_program: ChildProgram, folder: Path
) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        for count in (1, 2):
            os.kill(kept.pid, signal.SIGKILL)
            await kept.until(lambda count=count: len(governed(kept, ChildExited)) == count)
            await kept.ready(count + 1)
        (_, once), (_, twice) = governed(kept, ChildExited)
        # the first is decided in the very step that saw it; the second waits until the gap is over
        assert [a.kind for a in once.plan] == ["start"]
        assert [a.kind for a in twice.plan if a.kind == "start"] == []
        governor = twice.state.domains["liveness"].governor
        assert governor.not_before >= governor.booked + 2.5
        assert kept.status["restarts"]["executed"] == 2
        assert kept.status["restarts"]["suppressed"] == 1
        assert len(child_program.pids()) == 1


async def test_a_gateway_that_cannot_boot_is_put_in_quarantine_and_a_person_is_told(
    child_program: ChildProgram, folder: Path
) -> None:
    child_program.script({"exit_code": 1, "last_words": ["Error: Cannot find module 'left-pad'"]})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.told_of("status", phase="quarantine")
        assert kept.status["lifecycleState"] == "error"
        episode = next(iter(kept.daemon.mind.state.episodes.open.values()))
        assert episode.state == "human"
        assert "rarely" in episode.evidence[-1]
        due = kept.status["restarts"]["pendingUntil"]
        assert due > kept.status["at"] + 40_000
        assert kept.status["lastError"]
        assert 3 <= len(child_program.boots()) <= 6


async def test_a_person_is_not_held_by_quarantine(child_program: ChildProgram, folder: Path) -> None:
    bad = {"exit_code": 1, "last_words": ["Error: Cannot find module 'left-pad'"]}
    child_program.script(bad, bad, bad, {})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.told_of("status", phase="quarantine")
        answers = await kept.ask("start")
        assert [a["state"] for a in answers] == ["queued", "done"]
        assert kept.status["gatewayReady"]


async def test_stop_and_start_through_the_control_socket(child_program: ChildProgram, folder: Path) -> None:
    child_program.script({"term_takes": 0.3})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        stopped = await kept.ask("stop")
        assert [a["state"] for a in stopped] == ["queued", "done"]
        assert "up to 8 s" in stopped[0]["text"]
        assert stopped[0]["until"] > kept.status["at"] - 8000
        assert child_program.pids() == []
        assert (kept.status["want"], kept.status["wantBy"]) == ("stopped", "test")
        again = await kept.ask("stop")
        assert [a["state"] for a in again] == ["done"]
        refused = await kept.ask("reload")
        assert [a["state"] for a in refused] == ["refused"]
        started = await kept.ask("start")
        assert [a["state"] for a in started] == ["queued", "done"]
        assert "ready after" in started[-1]["text"]
        assert [a["state"] for a in await kept.ask("start")] == ["done"]
        assert kept.done() == ["start", "terminate", "start"]


async def test_a_stop_holds_over_a_restart_of_regrow(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        await kept.ask("stop")
        since = kept.status["wantSince"]
    async with keeping(settings(child_program, folder)) as later:
        await later.until(lambda: later.status["owner"] == "none")
        assert (later.status["want"], later.status["wantBy"], later.status["wantSince"]) == ("stopped", "test", since)
        assert later.status["phase"] == "stopped"
        assert len(child_program.boots()) == 1
        await later.ask("start")
        assert later.status["gatewayReady"]


async def test_a_restart_happens_inside_the_process_and_is_proven(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        pid, boot = kept.pid, kept.status["bootId"]
        answers = await kept.ask("restart", reason="new model")
        assert [a["state"] for a in answers] == ["queued", "done"]
        assert "inside its process" in answers[-1]["text"]
        assert kept.pid == pid
        assert kept.status["bootId"] != boot
        assert kept.status["restarts"]["lastReason"] == "new model"
        full = await kept.ask("restart", subject="full")
        assert "with a new process" in full[-1]["text"]
        assert kept.pid != pid
        assert len(child_program.pids()) == 1


async def test_a_restart_asked_for_while_it_starts_is_put_off_and_done(
    child_program: ChildProgram, folder: Path
) -> None:
    child_program.script({"boot": 0.6})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.until(lambda: kept.status["phase"] == "starting")
        answers = await kept.ask("restart")
        assert answers[0]["state"] == "queued"
        assert "start under way" in answers[0]["text"]
        assert answers[-1]["state"] == "done"
        assert len(kept.all("gateway:ready")) == 2
        assert order(kept, "gateway:ready", "action:done") == [
            "action:done start", "gateway:ready", "action:done restart-in-place", "gateway:ready"
        ]  # fmt: skip


async def test_several_debounced_restarts_are_one(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        answers = await asyncio.gather(
            *(kept.ask("restart", delay=0.4, topics=[topic], warnings=[f"w {topic}"], reason=topic) for topic in "abc")
        )
        assert all(replies[0]["state"] == "queued" and replies[-1]["state"] == "done" for replies in answers)
        assert all(replies[0]["until"] for replies in answers)
        assert kept.done().count("restart-in-place") == 1
        (changed,) = kept.all("runtime:changed")
        assert sorted(changed["topics"]) == ["a", "b", "c"]
        assert sorted(changed["warnings"]) == ["w a", "w b", "w c"]
        assert changed["syncedAt"] > 0


async def test_a_reload_reads_secrets_again_without_a_restart(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        boot = kept.status["bootId"]
        answers = await kept.ask("reload", topics=["models"])
        assert answers[-1]["state"] == "done", answers
        assert kept.status["bootId"] == boot
        assert kept.all("runtime:changed")[0]["topics"] == ["models"]


@pytest.mark.parametrize("mode", ["off", "restart"])
async def test_a_reload_is_a_restart_where_the_policy_says_so(
    child_program: ChildProgram, folder: Path, mode: str
) -> None:
    child_program.write_config(
        {"gateway": {"mode": "local", "bind": "loopback", "port": child_program.port, "reload": {"mode": mode}}}
    )
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        answers = await kept.ask("reload")
        assert answers[-1]["state"] == "done", answers
        assert kept.done() == ["start", "restart-in-place"]
        assert len(kept.all("gateway:ready")) == 2


async def test_a_change_that_could_not_take_effect_is_announced_with_the_failure(
    child_program: ChildProgram, folder: Path
) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        child_program.write_config('{"bogus": 1, "gateway": {"mode": "local"}}')
        kept.daemon.watchers.settings.nudge()
        await kept.until(lambda: kept.daemon.mind.view().config_ok is not True)
        answers = await kept.ask("restart", topics=["providers"], warnings=["one"])
        assert answers[-1]["state"] == "refused", answers
        assert "not valid" in answers[-1]["text"]
        changed = await kept.told_of("runtime:changed")
        assert changed["topics"] == ["providers"]
        assert changed["warnings"][0] == "one"
        assert "Gateway restart failed" in changed["warnings"][1]
        assert kept.status["gatewayReady"], "the running gateway goes on serving"
        assert len(child_program.boots()) == 1


async def test_what_ran_before_is_observed_until_it_is_adopted(child_program: ChildProgram, folder: Path) -> None:
    async with left(child_program) as pid:
        async with keeping(settings(child_program, folder)) as kept:
            await kept.ready()
            assert kept.pid == pid
            assert "regrow adopt" in kept.status["observeOnly"]
            refused = await kept.ask("stop")
            assert [a["state"] for a in refused] == ["refused"]
            assert "regrow adopt" in refused[0]["text"]
            assert [a["state"] for a in await kept.ask("adopt")] == ["done"]
            await kept.until(lambda: not kept.status["observeOnly"])
            assert kept.status["owner"] == "ours"
            assert (await kept.ask("stop"))[-1]["state"] == "done"
        assert child_program.pids() == []


async def test_what_was_adopted_and_dies_has_died_once(child_program: ChildProgram, folder: Path) -> None:
    async with left(child_program) as pid, keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        await kept.ask("adopt")
        os.kill(pid, signal.SIGKILL)
        await kept.ready(2)
        assert kept.pid != pid
        assert len(kept.all("exit", pid=pid)) == 1
        assert kept.daemon.mind.state.domains["liveness"].governor.level == 1


async def test_what_is_only_observed_is_neither_ended_nor_signalled(child_program: ChildProgram, folder: Path) -> None:
    async with left(child_program) as pid:
        async with keeping(settings(child_program, folder)) as kept:
            await kept.ready()
        assert kept.code == 0
        assert kept.done() == []
        assert child_program.pids() == [pid]


async def test_what_is_only_observed_and_ends_is_not_replaced_by_two(child_program: ChildProgram, folder: Path) -> None:
    async with left(child_program) as pid, keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        os.kill(pid, signal.SIGKILL)
        told = await kept.told_of("episode:opened", domain="liveness")
        assert "whoever started it has" in told["evidence"]
        assert kept.status["phase"] == "backoff"
        assert kept.status["restarts"]["pendingUntil"] > kept.status["at"]
        await kept.ready(2)
        assert child_program.pids() == [kept.pid]
        assert kept.pid != pid


async def test_what_is_only_observed_and_comes_back_by_itself_is_watched_on(
    child_program: ChildProgram, folder: Path
) -> None:
    patient = replace(HASTY, stranger_grace=60.0)
    async with left(child_program) as first, keeping(settings(child_program, folder), policy=patient) as kept:
        await kept.ready()
        os.kill(first, signal.SIGKILL)
        await kept.told_of("exit", pid=first)
        async with left(child_program) as second:
            await kept.ready(2)
            assert kept.pid == second
            assert "regrow adopt" in kept.status["observeOnly"]
            assert kept.done() == []


async def test_a_gateway_that_ignores_sigterm_is_killed_after_its_budget(
    child_program: ChildProgram, folder: Path
) -> None:
    child_program.script({"ignore_term": True})
    async with keeping(settings(child_program, folder), policy=replace(HASTY, stop_budget=0.5)) as kept:
        await kept.ready()
        # between two tries to end it lie fifteen seconds; the budget alone decides here
        answers = await kept.ask("stop")
        assert answers[-1]["state"] == "done"
        assert "killed" in answers[-1]["text"]
        assert child_program.pids() == []
        assert kept.done() == ["start", "terminate", "kill"]


async def test_a_composed_configuration_that_worked_is_known_to_the_next_keeper(
    child_program: ChildProgram, folder: Path
) -> None:
    (child_program.state_dir / "agents.json5").write_text("{}")
    child_program.write_config({"gateway": {"mode": "local"}, "agents": {"$include": "agents.json5"}})
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        await kept.until(lambda: kept.daemon.mind.view().composed)
        digest = kept.daemon.mind.view().served
    async with keeping(settings(child_program, folder)) as again:
        await again.ready()
        assert again.daemon.mind.view().composed == (digest,)
        config = again.daemon.mind.view().config
        assert config is not None
        assert (config.digest, config.composed, again.daemon.mind.view().config_ok) == (digest, True, True)
