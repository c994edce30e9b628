"""Commands that tell the past from the journal: episodes, proposals, actions, why, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from regrow.host.paths import private_dir
from regrow.model.actions import Reload
from regrow.model.changes import Change
from regrow.model.facts import OutputSeen
from regrow.model.verdicts import Episode, Held, Proposal, Tried, Verdict
from regrow.record.journal import Journal
from rig.keeper import StubKeeper
from rig.shell import Shell

AT = 1_700_000_000.0
TRIED = Tried(
    action="channel-start",
    reason="down twice",
    at=AT + 5,
    verdict="done",
    ended=AT + 6,
    effect="cured",
    changes=("c1",),
)
EPISODE = Episode(
    id=f"channels:telegram:default:{AT:.3f}", domain="channels", subject="telegram:default", opened=AT, state="cured",
    closed=AT + 90, evidence=("no transport for 190 s",), remedies=(TRIED,), rule="two conclusive looks",
    held=(Held("restart-gateway", "quiet-hours", "these are quiet hours", AT + 4),),
)  # fmt: skip
STANDING = Episode(
    id=f"crons:j1:{AT + 500:.3f}", domain="crons", subject="j1", opened=AT + 500, evidence=("3 runs failed",)
)
PROPOSAL = Proposal(
    id="p1a2b3", key="cron-disable:j1", domain="crons", subject="j1", remedy="disable", action="cron-disable",
    reason="3 runs failed", evidence="403", risk="gentle", undo="regrow undo", created=AT + 510, expires=AT + 9e4,
)  # fmt: skip
CHANGE = Change(
    id="c1", kind="cron", subject="j1", before="true", after="false", at=AT + 5, domain="crons", why="3 runs failed"
)


@pytest.fixture
async def past(shell: Shell) -> None:
    """A journal with a bit of everything."""
    private_dir(shell.state())
    book = await Journal.open(shell.state() / "journal.db", clock=lambda: AT + 5)
    for seen in (
        OutputSeen(at=AT + 1, kind="trouble", text="telegram:default is silent"),
        OutputSeen(at=AT + 2, kind="ready"),
    ):
        book.append("fact:output-seen", seen, seen.at)
    book.append("fact:from-tomorrow", {"fact": "from-tomorrow", "at": AT + 3}, AT + 3)
    for episode in (EPISODE, STANDING):
        book.store_episode(episode)
    book.store_proposal(PROPOSAL)
    intent = await book.intend(Reload(reason="asked", human=True, domain="channels", subject="telegram:default"))
    book.conclude(intent, Verdict("done", detail="read again", changes=(CHANGE,)))
    await book.intend(Reload(reason="later"))
    await book.record_changes([CHANGE])
    book.close_changes(["c0"], at=AT, why="no such one")
    await book.commit()
    await book.close()


@pytest.mark.parametrize("words", [("episodes",), ("proposals",), ("actions",), ("why",)])
async def test_without_a_journal_the_next_step_is_named(shell: Shell, words: tuple[str, ...]) -> None:
    ran = await shell(*words)
    assert ran.code == 69
    assert "no keeper of this name has run yet" in ran.err


async def test_episodes_are_listed_newest_first(shell: Shell, past: None) -> None:
    found = (await shell("episodes", "--json")).json
    assert [e["subject"] for e in found] == ["j1", "telegram:default"]
    assert found[1]["closedAt"] - found[1]["openedAt"] == 90_000
    assert found[1]["remedies"][0]["effect"] == "cured"
    assert [e["subject"] for e in (await shell("episodes", "--open", "--json")).json] == ["j1"]
    assert [e["domain"] for e in (await shell("episodes", "--domain", "channels", "--json")).json] == ["channels"]
    told = (await shell("episodes")).out
    for words in ("cured after 90 s", "no transport for 190 s", "channel-start (cured)", "crons j1"):
        assert words in told


async def test_what_waits_for_a_person_is_listed_with_its_way_out(shell: Shell, past: None) -> None:
    told = (await shell("proposals")).out
    for words in ("p1a2b3", "waiting", "cron-disable j1 (gentle)", "[heal.crons] disable", "regrow undo", "403"):
        assert words in told
    assert (await shell("proposals", "--json")).json[0]["expiresAt"] == round((AT + 9e4) * 1000)


async def test_actions_and_changes_are_listed(shell: Shell, past: None) -> None:
    found = (await shell("actions", "--json")).json
    assert [(a["verdict"], a["changes"]) for a in found] == [(None, []), ("done", ["c1"])]
    told = (await shell("actions")).out
    assert "asked for: asked → done (read again)  changed: c1" in told
    assert "by regrow: later → under way" in told
    (change,) = (await shell("actions", "--changes", "--json")).json
    assert (change["id"], change["before"], change["undoneAt"]) == ("c1", "true", None)
    assert "true → false" in (await shell("actions", "--changes")).out


@pytest.mark.parametrize("name", ["channels:telegram", f"channels:telegram:default:{AT:.3f}"])
async def test_why_tells_facts_rule_remedies_and_guards(shell: Shell, past: None, name: str) -> None:
    told = (await shell("why", name)).out
    for words in ("no transport for 190 s", "two conclusive looks", "channel-start: down twice → done → cured",
                  "by quiet-hours", "telegram:default is silent"):  # fmt: skip
        assert words in told
    found = (await shell("why", name, "--json")).json
    assert [fact["kind"] for fact in found["facts"]] == ["trouble"]


async def test_why_of_a_proposal_names_what_would_change_the_answer(shell: Shell, past: None) -> None:
    for name in ("p1a2b3", "last"):
        assert "`regrow approve p1a2b3` has it done" in (await shell("why", name)).out
    assert "read again" in (await shell("why", "a1")).out
    ran = await shell("why", "nonsense")
    assert ran.code == 1
    assert "`regrow episodes` lists them" in ran.err


@pytest.mark.parametrize(
    ("args", "wish"),
    [
        (("approve", "p1", "--why", "fine"), {"verb": "approve", "subject": "p1", "reason": "fine"}),
        (("reject", "p1", "--why", "no"), {"verb": "reject", "subject": "p1", "reason": "no"}),
        (("undo", "c1"), {"verb": "undo", "subject": "c1"}),
        (("pause", "--for", "2h"), {"verb": "pause", "lasts": 7200.0}),
        (("pause",), {"verb": "pause", "lasts": 0.0}),
        (("resume",), {"verb": "resume"}),
    ],
)
async def test_what_is_asked_arrives(
    shell: Shell, keeper: StubKeeper, args: tuple[str, ...], wish: dict[str, Any]
) -> None:
    ran = await shell(*args)
    assert (ran.code, ran.out) == (0, "done: it is done\n"), ran
    assert {key: getattr(keeper.wishes[0], key) for key in wish} == wish


@pytest.mark.parametrize("time", ["soon", "0s", "-5m", "9999d"])
async def test_what_is_no_duration_is_refused(shell: Shell, time: str) -> None:
    ran = await shell("pause", f"--for={time}")
    assert ran.code == 64
    assert "is no duration" in ran.err


async def test_simulate_compares_two_configurations(shell: Shell, past: None, tmp_path: Path) -> None:
    new = tmp_path / "new.toml"
    new.write_text("[heal.liveness]\nmode = 'observe'\n")
    ran = await shell("simulate", "--config", str(new), "--since", "365d")
    assert ran.code in (0, 1), ran
    ran = await shell("simulate", "--config", str(new), "--since", "365d", "--json")
    assert ran.json["facts"] == 0, "the past lies further back"
    new.write_text("[heal.liveness]\nmode = 'sleepy'\n")
    assert (await shell("simulate", "--config", str(new))).code == 78


async def test_status_says_what_waits_and_that_healing_is_paused(shell: Shell, keeper: StubKeeper) -> None:
    keeper.now["proposals"] = [{"id": "p1", "state": "waiting", "action": "cron-disable", "subject": "j1"}]
    keeper.now |= {"paused": True, "pausedUntil": None}
    told = (await shell("status")).out
    assert "`regrow approve p1`" in told
    assert "healing is paused; `regrow resume` ends it" in told
