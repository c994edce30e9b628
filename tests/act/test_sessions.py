"""A session's model on a fake gateway: lent, put back, and never taken from a person."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from act.rigging import Stage
from regrow.act.sessions import put_back, switch_model
from regrow.act.undo import undo
from regrow.model.actions import Undo
from regrow.model.changes import Change
from regrow.model.errors import GatewayError, Refused
from regrow.model.models import SwitchModel
from regrow.testing import FakeGateway

KEY = "agent:main:x"


class Sessions:
    """The sessions of a fake gateway."""

    def __init__(self, gateway: FakeGateway) -> None:
        self.rows: dict[str, dict[str, Any]] = {
            KEY: {"key": KEY, "sessionId": "s1", "modelProvider": "a", "model": "m", "modelOverrideSource": None}
        }
        self.patches: list[dict[str, Any]] = []
        self.refuses = False
        self.gateway = gateway
        gateway.on("sessions.describe", lambda params: {"session": self.rows.get(params["key"])})
        gateway.on("sessions.patch", self.patch)

    def patch(self, params: Any) -> Any:
        self.patches.append(dict(params))
        if self.refuses:
            raise GatewayError("INVALID_REQUEST", 'Unknown provider "b"')
        row = self.rows[params["key"]]
        name = params["model"]
        row["modelOverrideSource"] = "user" if name else None
        row["modelProvider"], _, row["model"] = (name or "a/m").partition("/")
        return {"ok": True, "key": params["key"]}


@contextlib.asynccontextmanager
async def acting(tmp_path: Path) -> AsyncIterator[tuple[Stage, Sessions]]:
    stage = Stage(None, tmp_path / "r", state_dir=tmp_path, config_path=tmp_path / "c")
    async with FakeGateway() as gateway, stage.line(gateway.url, gateway.token) as line:
        sessions = Sessions(gateway)
        await line.dial()
        client = line.client
        assert client is not None
        methods = ("sessions.describe", "sessions.patch")
        stage.world.methods = lambda: frozenset(methods)  # type: ignore[method-assign]
        yield stage, sessions


def switch(model: str = "b/m") -> SwitchModel:
    return SwitchModel(reason="retrying", subject=KEY, model=model, domain="models")


async def test_a_model_is_lent_with_its_old_value_written_down_and_put_back(tmp_path: Path) -> None:
    async with acting(tmp_path) as (stage, sessions):
        verdict = await switch_model(stage.world, switch())
        (change,) = verdict.changes
        assert (verdict.result, change.kind, change.before, change.after) == ("done", "session-pin", "", "b/m")
        assert stage.journal.lines == [("change", change.id, KEY)]
        assert sessions.patches == [{"key": KEY, "model": "b/m", "expectedSessionId": "s1"}]
        verdict = await undo(stage.world, Undo(changes=(change,), reason="the turn is over"))
        assert (verdict.result, verdict.undone) == ("done", (change.id,))
        assert sessions.patches[-1]["model"] is None


async def test_a_persons_choice_is_theirs_and_ours_may_be_changed_again(tmp_path: Path) -> None:
    async with acting(tmp_path) as (stage, sessions):
        sessions.rows[KEY] |= {"modelOverrideSource": "user", "modelProvider": "z"}
        with pytest.raises(Refused, match="a person chose z/m") as refused:
            await switch_model(stage.world, switch())
        assert refused.value.by == "human"
        assert sessions.patches == []
        ours = Change(id="c0", kind="session-pin", subject=KEY, before="", after="z/m", at=1.0)
        stage.view = replace(stage.view, changes={"c0": ours})
        assert (await switch_model(stage.world, switch())).changes[0].before == "z/m"


async def test_a_session_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    async with acting(tmp_path) as (stage, sessions):
        sessions.rows.clear()
        with pytest.raises(Refused, match="not there any more"):
            await switch_model(stage.world, switch())
        change = Change(id="c1", kind="session-pin", subject=KEY, before="", after="b/m", at=1.0)
        assert await put_back(stage.world, [change]) == ([], ["c1"], [])
        assert sessions.patches == []


async def test_a_refusal_of_the_gateway_leaves_no_change_behind(tmp_path: Path) -> None:
    async with acting(tmp_path) as (stage, sessions):
        sessions.refuses = True
        with pytest.raises(GatewayError):
            await switch_model(stage.world, switch())
        assert [line[0] for line in stage.journal.lines] == ["change", "gone"]
        sessions.rows[KEY] |= {"modelOverrideSource": "user", "modelProvider": "b"}
        change = Change(id="c1", kind="session-pin", subject=KEY, before="", after="b/m", at=1.0)
        done, theirs, failed = await put_back(stage.world, [change])
        assert (done, theirs, len(failed)) == ([], [], 1)


async def test_a_running_turn_keeps_what_it_was_lent_and_a_persons_change_stays(tmp_path: Path) -> None:
    async with acting(tmp_path) as (stage, sessions):
        change = Change(id="c1", kind="session-pin", subject=KEY, before="", after="b/m", at=1.0)
        sessions.rows[KEY] |= {"modelOverrideSource": "user", "modelProvider": "b", "hasActiveRun": True}
        assert await put_back(stage.world, [change]) == ([], [], ["its turn is not over yet"])
        sessions.rows[KEY] |= {"modelProvider": "q", "hasActiveRun": False}
        assert await put_back(stage.world, [change]) == ([], ["c1"], [])
        assert sessions.patches == []


async def test_a_version_that_cannot_say_is_left_alone(tmp_path: Path) -> None:
    async with acting(tmp_path) as (stage, sessions):
        stage.world.methods = lambda: frozenset({"sessions.patch"})  # type: ignore[method-assign]
        with pytest.raises(Refused, match="cannot say"):
            await switch_model(stage.world, switch())
        assert sessions.patches == []


@pytest.mark.parametrize("scope", ["agent", "global"])
async def test_where_a_switch_would_change_the_configuration_it_is_not_made(tmp_path: Path, scope: str) -> None:
    async with acting(tmp_path) as (stage, sessions):
        sessions.gateway.on("config.get", {"runtimeConfig": {"agents": {"defaults": {"modelSelectionScope": scope}}}})
        with pytest.raises(Refused, match=r"would change openclaw\.json"):
            await switch_model(stage.world, switch())
        sessions.rows[KEY]["modelSelectionLocked"] = True
        with pytest.raises(Refused, match="locked"):
            await switch_model(stage.world, switch())
        assert sessions.patches == []
