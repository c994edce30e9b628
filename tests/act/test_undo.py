"""Changes to a user's things: written down before they are made, put back unless somebody changed them since."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from act.rigging import Stage
from regrow.act import undo as undoing
from regrow.model.actions import Reload, Undo
from regrow.model.changes import Change
from regrow.model.errors import GatewayError, Refused


@pytest.fixture
def lamps() -> Iterator[dict[str, str]]:
    """Things of a user that can be changed: lamps by name, `on` or `off`; one that is missing cannot be reached."""
    lamps = {"hall": "off", "attic": "off"}

    @undoing.put_back("lamp")
    async def lamp(_world, changes):
        done, theirs, failed = [], [], []
        for change in changes:
            if change.subject not in lamps:
                failed.append(f"{change.subject} cannot be reached")
            elif lamps[change.subject] != change.after:
                theirs.append(change.id)
            else:
                lamps[change.subject] = change.before
                done.append(change.id)
        return done, theirs, failed

    @undoing.put_back("broken")
    async def broken(_world, _changes):
        raise GatewayError("UNAVAILABLE", "busy with token=abcdef123456")

    yield lamps
    del undoing._KINDS["lamp"], undoing._KINDS["broken"]


def made(name: str, subject: str, kind: str = "lamp") -> Change:
    return Change(id=name, kind=kind, subject=subject, before="on", after="off", at=1.0)


async def test_an_old_value_is_written_down_before_anything_is_changed(tmp_path: Path) -> None:
    stage = Stage(None, tmp_path / "r", state_dir=tmp_path, config_path=tmp_path / "c")
    action = Reload(reason="too bright", domain="lights")
    change = undoing.change(stage.world, action, "lamp", "hall", before="on", after="off")
    assert (change.domain, change.why, change.before) == ("lights", "too bright", "on")
    await undoing.announce(stage.world, [change])
    undoing.withdraw(stage.world, [change], "it did not answer")
    assert stage.journal.lines == [("change", change.id, "hall"), ("gone", change.id, "it did not answer")]
    stage.journal.broken = True
    with pytest.raises(Refused, match="nothing was changed"):
        await undoing.announce(stage.world, [change])
    other = undoing.change(stage.world, action, "lamp", "hall", before="on", after="off")
    assert other.id != change.id


async def test_what_was_changed_is_put_back(tmp_path: Path, lamps: dict[str, str]) -> None:
    stage = Stage(None, tmp_path / "r", state_dir=tmp_path, config_path=tmp_path / "c")
    verdict = await undoing.undo(stage.world, Undo(changes=(made("c1", "hall"), made("c2", "attic")), reason="asked"))
    assert (verdict.result, verdict.undone) == ("done", ("c1", "c2"))
    assert lamps == {"hall": "on", "attic": "on"}
    assert [line[:2] for line in stage.journal.lines] == [("gone", "c1"), ("gone", "c2")]


async def test_what_somebody_changed_since_is_left_and_no_longer_ours(tmp_path: Path, lamps: dict[str, str]) -> None:
    stage = Stage(None, tmp_path / "r", state_dir=tmp_path, config_path=tmp_path / "c")
    lamps["hall"] = "dimmed"
    verdict = await undoing.undo(stage.world, Undo(changes=(made("c1", "hall"),), reason="asked"))
    assert (verdict.result, verdict.by, verdict.undone) == ("refused", "human", ("c1",))
    assert lamps["hall"] == "dimmed"
    both = await undoing.undo(stage.world, Undo(changes=(made("c1", "hall"), made("c2", "attic")), reason="asked"))
    assert (both.result, both.undone) == ("done", ("c2", "c1"))
    assert "1 left as somebody changed" in both.detail


async def test_what_cannot_be_put_back_stands_and_is_said(tmp_path: Path, lamps: dict[str, str]) -> None:
    stage = Stage(None, tmp_path / "r", state_dir=tmp_path, config_path=tmp_path / "c")
    changes = (made("c1", "hall"), made("c2", "cellar"), made("c3", "x", kind="broken"))
    verdict = await undoing.undo(stage.world, Undo(changes=changes, reason="asked"))
    assert (verdict.result, verdict.undone) == ("failed", ("c1",))
    assert "cellar cannot be reached" in verdict.detail
    assert "abcdef123456" not in verdict.detail
    with pytest.raises(Refused, match="cannot be undone"):
        await undoing.undo(stage.world, Undo(changes=(made("c9", "x", kind="window"),), reason="asked"))


async def test_without_a_journal_nothing_of_a_users_is_changed(tmp_path: Path, lamps: dict[str, str]) -> None:
    stage = Stage(None, tmp_path / "r", state_dir=tmp_path, config_path=tmp_path / "c")
    stage.world.journal = None
    with pytest.raises(Refused):
        await undoing.announce(stage.world, [made("c1", "hall")])
    undoing.withdraw(stage.world, [made("c1", "hall")], "never made")
    verdict = await undoing.undo(stage.world, Undo(changes=(made("c1", "hall"),), reason="asked"))
    assert verdict.result == "done"
