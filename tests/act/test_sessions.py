"""A session's model is changed, put back, and never another session's; a turn is ended."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from act.rigging import Stage
from regrow.act import sessions, undo
from regrow.model.actions import Undo
from regrow.model.changes import Change
from regrow.model.errors import GatewayError, Refused
from regrow.model.models import AbortTurn, SwitchModel
from regrow.testing import FakeGateway
from regrow.testing.sessions import session

KEY = "agent:main:whatsapp:direct:+15550001111"


@contextlib.asynccontextmanager
async def linked(fake: FakeGateway, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(None, tmp_path / "regrow", state_dir=tmp_path, config_path=tmp_path / "openclaw.json")
    async with fake, stage.line(fake.url, fake.token) as line:
        assert (await line.dial()).result == "done"
        yield stage


def switch(session_id: str, model: str = "fakeb/m1", before: str = "") -> SwitchModel:
    return SwitchModel(
        reason="fakea/m1 keeps failing", domain="models", subject="run1", session=KEY, session_id=session_id,
        model=model, before=before,
    )  # fmt: skip


async def test_a_session_is_moved_and_put_back(tmp_path: Path) -> None:
    fake = FakeGateway()
    row = session(fake, KEY)
    async with linked(fake, tmp_path) as stage:
        verdict = await sessions.switch_model(stage.world, switch(row["sessionId"]))
        (change,) = verdict.changes
        assert (change.kind, change.subject, change.before, change.after) == ("session-pin", KEY, "", "fakeb/m1")
        assert stage.journal.lines == [("change", change.id, KEY)]
        assert (row["modelProvider"], row["modelOverrideSource"]) == ("fakeb", "user")
        back = await undo.undo(stage.world, Undo(changes=(change,), reason="the turn is over"))
        assert (back.result, back.undone) == ("done", (change.id,))
        assert (row["modelProvider"], row["modelOverrideSource"]) == ("fakea", None)


async def test_what_a_person_had_chosen_comes_back(tmp_path: Path) -> None:
    fake = FakeGateway()
    row = session(fake, KEY, modelProvider="fakea", model="m2", modelOverrideSource="user")
    async with linked(fake, tmp_path) as stage:
        verdict = await sessions.switch_model(stage.world, switch(row["sessionId"], before="fakea/m2"))
        assert verdict.detail == "fakea/m2 → fakeb/m1"
        await undo.undo(stage.world, Undo(changes=verdict.changes, reason="the turn is over"))
        assert (row["modelProvider"], row["model"], row["modelOverrideSource"]) == ("fakea", "m2", "user")


async def test_what_somebody_chose_meanwhile_stays(tmp_path: Path) -> None:
    fake = FakeGateway()
    row = session(fake, KEY)
    async with linked(fake, tmp_path) as stage:
        verdict = await sessions.switch_model(stage.world, switch(row["sessionId"]))
        row |= {"modelProvider": "fakea", "model": "m2"}
        back = await undo.undo(stage.world, Undo(changes=verdict.changes, reason="the turn is over"))
        assert (back.result, back.by) == ("refused", "human")
        assert row["model"] == "m2"


async def test_a_session_that_was_reset_or_is_gone_is_not_touched_and_none_is_made(tmp_path: Path) -> None:
    fake = FakeGateway()
    async with linked(fake, tmp_path) as stage:
        with pytest.raises(Refused, match="another one by now"):
            await sessions.switch_model(stage.world, switch("an older one"))
        assert fake.sessions == {}
        change = stage.journal.lines[0][1]
        assert stage.journal.lines[1:] == [("gone", change, "not made: INVALID_REQUEST")]
        gone = Change(id="c9", kind="session-pin", subject=KEY, before="", after="fakeb/m1", at=1.0)
        back = await undo.undo(stage.world, Undo(changes=(gone,), reason="the turn is over"))
        assert (back.result, back.undone) == ("done", ("c9",))
        assert fake.sessions == {}


async def test_what_the_gateway_refuses_does_not_stand(tmp_path: Path) -> None:
    fake = FakeGateway()
    row = session(fake, KEY)
    async with linked(fake, tmp_path) as stage:
        with pytest.raises(GatewayError, match="Unknown provider"):
            await sessions.switch_model(stage.world, switch(row["sessionId"], "nope/m1"))
        assert stage.journal.lines[-1][0] == "gone"
        change = Change(id="c9", kind="session-pin", subject=KEY, before="nope/m1", after="fakea/m2", at=1.0)
        row |= {"model": "m2", "modelOverrideSource": "user"}
        back = await undo.undo(stage.world, Undo(changes=(change,), reason="the turn is over"))
        assert (back.result, back.undone) == ("failed", ())


async def test_without_a_connection_nothing_is_changed_and_nothing_stands(tmp_path: Path) -> None:
    stage = Stage(None, tmp_path / "regrow", state_dir=tmp_path, config_path=tmp_path / "openclaw.json")
    with pytest.raises(Refused, match="no connection"):
        await sessions.switch_model(stage.world, switch("any"))
    assert [line[0] for line in stage.journal.lines] == ["change", "gone"]


async def test_an_early_version_cannot_be_asked_about_one_session(tmp_path: Path) -> None:
    fake = FakeGateway(protocol=3)
    session(fake, KEY)
    async with linked(fake, tmp_path) as stage:
        with pytest.raises(Refused, match="this version"):
            await sessions.look(stage.world, KEY)


@pytest.mark.parametrize(("status", "result"), [("running", "done"), ("done", "failed")])
async def test_a_turn_is_ended_if_it_runs(tmp_path: Path, status: str, result: str) -> None:
    fake = FakeGateway()
    row = session(fake, KEY, status=status)
    async with linked(fake, tmp_path) as stage:
        action = AbortTurn(reason="silent", subject="run1", session=KEY)
        assert (await sessions.abort_turn(stage.world, action)).result == result
        assert row["status"] == ("killed" if status == "running" else "done")
    assert fake.calls[-1] == ("sessions.abort", {"key": KEY, "runId": "run1"})
