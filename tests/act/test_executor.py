"""What is decided is done once, in order, with its intent written before and its outcome after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from act.rigging import Stage
from regrow.act.effects import explain
from regrow.act.executor import Executor
from regrow.model.actions import (
    Capture,
    FileIssue,
    Kill,
    LookOwner,
    Reload,
    RestartInPlace,
    Start,
    Terminate,
    Verify,
)
from regrow.model.errors import Fatal, GatewayError, Refused, Retryable
from regrow.model.facts import Ended, Intended, OwnerSeen
from regrow.model.gateway import Process
from regrow.model.verdicts import Verdict
from rig.programs import ChildProgram

SOMEBODY = Process(pid=2, started=3)


@contextlib.asynccontextmanager
async def executor(stage: Stage, effects: dict[Any, Any], **options: Any) -> AsyncIterator[Executor]:
    made = Executor(stage.world, effects, stage.journal, stage.post, stage.clock, **options)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(None, tmp_path / "regrow", state_dir=tmp_path, config_path=tmp_path / "openclaw.json")


async def test_the_intent_is_written_before_the_act_and_the_outcome_after(stage: Stage) -> None:
    async def effect(_: Any) -> Verdict:
        stage.journal.lines.append(("acted",))
        return Verdict(result="done", detail="it was done")

    async with executor(stage, {Terminate: effect}) as work:
        work.submit(Terminate(process=SOMEBODY, reason="why"))
        ended = await stage.wait_for(Ended)
    assert stage.journal.lines == [("intend", "terminate", False), ("acted",), ("conclude", 1, "done")]
    assert [type(fact) for fact in stage.facts] == [Intended, Ended]
    assert ended.verdict == Verdict(result="done", detail="it was done")
    assert [kind for kind, _ in stage.said] == ["action:intended", "action:done"]
    assert stage.said[1][1]["detail"] == "it was done"


async def test_what_cannot_be_undone_is_on_the_disk_before(stage: Stage) -> None:
    async def effect(_: Any) -> None:
        return

    async with executor(stage, {Kill: effect, Terminate: effect}) as work:
        work.submit(Kill(process=SOMEBODY, reason="why"))
        work.submit(Terminate(process=SOMEBODY, reason="why"))
        await stage.wait_for(Ended, 2)
    assert [line for line in stage.journal.lines if line[0] == "intend"] == [
        ("intend", "kill", True), ("intend", "terminate", False),
    ]  # fmt: skip


async def test_changes_are_made_one_at_a_time_in_order_and_looks_beside_them(stage: Stage) -> None:
    going, done = asyncio.Event(), []

    async def slow(action: Any) -> None:
        await going.wait()
        done.append(action.kind)

    async def owner(_: Any) -> OwnerSeen:
        return OwnerSeen(at=1.0, owner="none")

    async with executor(stage, {Terminate: slow, Reload: slow, RestartInPlace: slow, LookOwner: owner}) as work:
        work.submit(Terminate(process=SOMEBODY, reason="1"))
        work.submit(Reload(reason="2"))
        work.submit(RestartInPlace(reason="3"))
        work.submit(LookOwner(reason="beside"))
        ended = await stage.wait_for(Ended)
        assert isinstance(ended.action, LookOwner), "a look does not wait for a change"
        assert stage.posted(OwnerSeen)
        assert [fact.action.kind for fact in stage.posted(Intended)] == ["terminate", "look-owner"]
        going.set()
        await stage.wait_for(Ended, 4)
    assert done == ["terminate", "reload", "restart-in-place"]


async def test_what_leaves_the_gateway_alone_does_not_hold_up_what_saves_it(stage: Stage) -> None:
    order: list[str] = []
    hanging = asyncio.Event()

    async def effect(action: Any) -> None:
        if isinstance(action, FileIssue):
            await hanging.wait()
        order.append(action.key)

    async with executor(stage, {FileIssue: effect, Terminate: effect}) as work:
        for subject in ("a", "b"):
            work.submit(FileIssue(subject=subject, title="t", body="b", reason="why"))
        work.submit(Terminate(process=SOMEBODY, reason="why"))
        await stage.wait_for(Ended)
        assert order == ["terminate"]
        hanging.set()
        await stage.wait_for(Ended, 3)
    assert order == ["terminate", "file-issue:a", "file-issue:b"]
    assert len([line for line in stage.journal.lines if line[0] == "intend"]) == 3


async def test_the_same_wish_twice_at_once_is_one_and_later_it_is_new(stage: Stage) -> None:
    count, going = 0, asyncio.Event()

    async def effect(_: Any) -> None:
        nonlocal count
        count += 1
        await going.wait()

    async with executor(stage, {Verify: effect, Reload: effect}) as work:
        for _ in range(3):
            work.submit(Verify(reason="x"))
            work.submit(Reload(reason="x"))
        await stage.wait_for(Intended, 2)
        going.set()
        await stage.wait_for(Ended, 2)
        assert count == 2
        assert work.busy == frozenset()
        work.submit(Reload(reason="x"))
        await stage.wait_for(Ended, 3)
    assert count == 3


@pytest.mark.parametrize(
    ("error", "result", "by", "retry"),
    [
        (Refused("no", by="identity"), "refused", "identity", False),
        (Retryable("later", after=5.0), "failed", "", True),
        (Fatal("never"), "failed", "", False),
        (GatewayError("UNAVAILABLE", "rate limit", retryable=True, retry_after=59.0), "failed", "", True),
        (KeyError("bug"), "failed", "", False),
        (RuntimeError("sk-abcdefgh12345678"), "failed", "", False),
    ],
)
async def test_whatever_an_effect_raises_is_its_verdict(
    stage: Stage, error: Exception, result: str, by: str, retry: bool
) -> None:
    async def effect(_: Any) -> None:
        raise error

    async with executor(stage, {Reload: effect}) as work:
        work.submit(Reload(reason="x"))
        verdict = (await stage.wait_for(Ended)).verdict
        work.submit(Reload(reason="x"))
        await stage.wait_for(Ended, 2)
    assert (verdict.result, verdict.by, verdict.retry_at is not None) == (result, by, retry)
    assert "sk-abcdefgh" not in verdict.detail


async def test_what_takes_too_long_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def effect(_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Capture, "limit", 0.01)
    async with executor(stage, {Capture: effect}) as work:
        work.submit(Capture(reason="x"))
        verdict = (await stage.wait_for(Ended)).verdict
    assert (verdict.result, verdict.by) == ("failed", "limit")


async def test_a_start_of_an_older_life_is_void(stage: Stage) -> None:
    started = []

    async def effect(action: Any) -> None:
        started.append(action.epoch)

    stage.believe(epoch=5)
    async with executor(stage, {Start: effect}) as work:
        work.submit(Start(reason="old", epoch=4))
        assert (await stage.wait_for(Ended)).verdict.by == "epoch"
        work.submit(Start(reason="new", epoch=5))
        await stage.wait_for(Ended, 2)
        assert started == [5]
        stage.believe(want="stopped", want_by="somebody")
        work.submit(Start(reason="decided before the stop", epoch=5))
        verdict = (await stage.wait_for(Ended, 3)).verdict
    assert (verdict.result, verdict.by) == ("refused", "want")
    assert started == [5]


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(child_program: ChildProgram, tmp_path: Path) -> None:
    stage = Stage(child_program, tmp_path / "regrow")
    stage.believe(dry_run=True)

    async def effect(_: Any) -> None:
        raise AssertionError("nothing is done in a dry run")

    async def look(_: Any) -> None:
        return

    async def words(action: Any) -> str:
        return await explain(stage.world, action)

    async with executor(stage, {Start: effect, Kill: effect, Verify: look}, explain=words) as work:
        work.submit(Start(reason="it is down"))
        verdict = (await stage.wait_for(Ended)).verdict
        work.submit(Kill(process=SOMEBODY, reason="x"))
        assert (await stage.wait_for(Ended, 2)).verdict.result == "would"
        work.submit(Verify(reason="x"))
        assert (await stage.wait_for(Ended, 3)).verdict.result == "done", "looking is allowed"
    assert verdict.result == "would"
    assert "openclaw.mjs gateway run" in verdict.detail
    assert child_program.token not in verdict.detail
    assert stage.journal.lines == []
    assert [kind for kind, _ in stage.said] == ["action:would", "action:would"]


async def test_without_an_intent_nothing_is_done_but_a_start(stage: Stage) -> None:
    did = []

    async def effect(action: Any) -> None:
        did.append(action.kind)

    stage.journal.broken = True
    async with executor(stage, {Start: effect, Kill: effect}) as work:
        work.submit(Kill(process=SOMEBODY, reason="x"))
        assert (await stage.wait_for(Ended)).verdict.by == "journal"
        work.submit(Start(reason="a full disk keeps no gateway down"))
        assert (await stage.wait_for(Ended, 2)).verdict.result == "done"
    assert did == ["start"]


async def test_what_is_cut_off_keeps_its_intent_without_an_outcome(stage: Stage) -> None:
    async def effect(_: Any) -> None:
        await asyncio.Event().wait()

    async with executor(stage, {Reload: effect}) as work:
        work.submit(Reload(reason="x"))
        await stage.wait_for(Intended)
    assert stage.journal.lines == [("intend", "reload", False)]


async def test_an_unknown_action_is_refused(stage: Stage) -> None:
    async with executor(stage, {}) as work:
        work.submit(Reload(reason="x"))
        assert (await stage.wait_for(Ended)).verdict.result == "refused"
