"""An issue is opened once, added to instead of repeated, and GitHub's refusals are understood, over real HTTP."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from act.rigging import Stage
from regrow.act.effects import effects, explain
from regrow.act.github import token
from regrow.act.issues import Tracker
from regrow.config.people import GithubConfig
from regrow.config.redaction import forget_secrets
from regrow.decide.reports import report
from regrow.model.actions import FileIssue
from regrow.model.errors import Refused, Retryable
from regrow.model.people import Filed
from regrow.model.verdicts import Verdict
from regrow.record.journal import Journal
from regrow.record.log import clean, pseudonyms
from rig.issues import REPO, TOKEN, Hub, hub
from rig.web import Answer

HOUR = 3600.0
WISH = replace(report("cron", "daily report", "job-1", failures=3, error="boom"), domain="crons")


class Desk:
    """A tracker over a journal on disk, with a clock that a test turns."""

    def __init__(self, github: Hub, journal: Journal, folder: Path, **settings: Any) -> None:
        self.hub = github
        self.journal = journal
        self.at = 1_800_000_000.0
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.config = GithubConfig(**{"repo": REPO, "api": f"{github.web.url}/api", **settings})
        self.environ = {"GITHUB_TOKEN": TOKEN, "PATH": str(folder)}
        self.name = pseudonyms(folder / "pseudonyms.key")
        self.tracker = self.fresh()

    def fresh(self) -> Tracker:
        """As after a restart of the keeper."""
        self.tracker = Tracker(
            lambda: self.config, self.journal, mark=self.name, tidy=lambda text: clean(text, name=self.name),
            now=lambda: self.at, say=lambda kind, data: self.said.append((kind, data)), environ=self.environ,
        )  # fmt: skip
        return self.tracker

    async def file(self, wish: FileIssue = WISH) -> Verdict:
        return await self.tracker.file(wish)

    async def known(self, wish: FileIssue = WISH) -> Filed | None:
        return await self.journal.filed(self.name(f"crons:{wish.subject}"))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    journal = await Journal.open(tmp_path / "journal.db")
    async with hub() as github:
        yield Desk(github, journal, tmp_path)
    await journal.close()
    forget_secrets()


async def test_the_first_time_an_issue_is_opened_with_what_is_known(desk: Desk) -> None:
    verdict = await desk.file()
    assert verdict == Verdict(result="done", detail=f"{REPO}#1 was opened")
    (issue,) = desk.hub.issues
    assert issue["title"] == "cron 'daily report' keeps failing"
    assert issue["labels"] == ["regrow"]
    for known in ("daily report", "job-1", "consecutive failures: `3`", "boom", "at most one every 6 h"):
        assert known in issue["body"]
    sent = desk.hub.writes[0].headers
    assert sent["authorization"] == f"Bearer {TOKEN}"
    assert sent["accept"] == "application/vnd.github+json"
    assert sent["user-agent"].startswith("regrow/")
    assert desk.said == [("issue:opened", {
        "repo": REPO, "number": 1, "url": issue["html_url"], "domain": "crons", "subject": "job-1",
    })]  # fmt: skip


async def test_within_the_cooldown_nothing_is_written_also_after_a_restart(desk: Desk) -> None:
    await desk.file()
    desk.at += 6 * HOUR - 1
    asked = len(desk.hub.web.seen)
    for tracker in (desk.tracker, desk.fresh()):
        verdict = await tracker.file(WISH)
        assert (verdict.result, verdict.by, verdict.retry_at) == ("refused", "cooldown", desk.at + 1)
    assert len(desk.hub.web.seen) == asked, "GitHub is not even asked"


async def test_after_it_the_open_issue_gets_a_comment(desk: Desk) -> None:
    await desk.file()
    desk.at += 6 * HOUR
    verdict = await desk.file(replace(WISH, body="worse"))
    assert verdict == Verdict(result="done", detail=f"a comment was added to {REPO}#1")
    assert len(desk.hub.issues) == 1
    assert desk.hub.comments == [(1, "Again:\n\nworse")]
    assert desk.said[-1] == ("issue:updated", {"repo": REPO, "number": 1, "domain": "crons", "subject": "job-1"})
    desk.at += 60
    assert (await desk.file()).by == "cooldown", "a comment is a write too"


async def test_one_that_was_closed_is_solved_and_what_comes_back_is_a_new_one(desk: Desk) -> None:
    await desk.file()
    desk.hub.issues[0]["state"] = "closed"
    desk.at += 7 * HOUR
    assert (await desk.file()).detail == f"{REPO}#2 was opened"
    assert "Before, it was #1." in desk.hub.issues[1]["body"]


async def test_each_subject_has_its_own(desk: Desk) -> None:
    await desk.file()
    other = report("cron", "daily report", "job-2", failures=3, error="boom")
    assert (await desk.file(other)).detail == f"{REPO}#2 was opened"


@pytest.mark.parametrize("labelled", [True, False])
async def test_a_keeper_that_forgot_finds_it_by_its_mark(desk: Desk, labelled: bool) -> None:
    desk.hub.labelled = labelled
    await desk.file()
    for number in range(2, 140):
        desk.hub.add(f"other {number}", "text", ["regrow"])
    desk.hub.add("a pull request", desk.hub.issues[0]["body"], ["regrow"], pull_request={"url": "x"})
    desk.journal.unbook_filed(desk.name(f"crons:{WISH.subject}"), None)
    assert (await desk.file()).detail == f"a comment was added to {REPO}#1"


async def test_one_that_was_deleted_is_filed_again(desk: Desk) -> None:
    await desk.file()
    desk.hub.issues[0]["number"] = 99
    desk.hub.issues[0]["body"] = "taken over by somebody"
    desk.at += 7 * HOUR
    assert (await desk.file()).detail == f"{REPO}#2 was opened"


async def test_another_repository_begins_anew(desk: Desk) -> None:
    await desk.file()
    desk.config = replace(desk.config, repo="owner/elsewhere")
    verdict = await desk.file()
    assert verdict.result == "failed"
    assert "there is no owner/elsewhere" in verdict.detail
    known = await desk.known()
    assert known is not None
    assert known.repo == REPO, "what was filed before is not forgotten"


async def test_an_issue_whose_making_nobody_heard_of_is_found_and_not_made_twice(desk: Desk) -> None:
    desk.hub.fail("POST", Answer(201, cut=True))
    with pytest.raises(Retryable, match="did not answer"):
        await desk.file()
    assert len(desk.hub.issues) == 1
    assert (await desk.file()).by == "cooldown", "GitHub gets time to show it"
    desk.at += 301
    verdict = await desk.fresh().file(WISH)
    assert verdict == Verdict(result="done", detail="it had been filed as #1")
    assert desk.hub.comments == []
    assert (await desk.file()).by == "cooldown"


async def test_a_failure_of_theirs_before_the_write_costs_no_turn(desk: Desk) -> None:
    desk.hub.fail("GET", Answer(502, {"message": "bad gateway"}))
    with pytest.raises(Retryable, match="502"):
        await desk.file()
    assert await desk.known() is None
    assert (await desk.file()).result == "done"


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Answer(429, {"message": "slow down"}, {"Retry-After": "42"}), 42.0),
        (Answer(403, {"message": "secondary limit"}, {"Retry-After": "7"}), 7.0),
        (Answer(403, {}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000120"}), 120.0),
        (Answer(403, {}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}), 60.0),
        (Answer(429, {}), 60.0),
        (Answer(429, {}, {"Retry-After": formatdate(1_800_000_090, usegmt=True)}), 90.0),
        (Answer(429, {}, {"Retry-After": "whenever"}), 60.0),
        (Answer(429, {}, {"Retry-After": "9999999"}), 86_400.0),
    ],
)
async def test_a_limit_is_respected_for_all_subjects(desk: Desk, answer: Answer, wait: float) -> None:
    desk.hub.fail("POST", answer)
    verdict = await desk.file()
    assert (verdict.result, verdict.retry_at) == ("failed", desk.at + wait)
    assert await desk.known() is None, "nothing was written: the turn is not used up"
    asked = len(desk.hub.web.seen)
    held = await desk.file(report("cron", "other", "job-9", failures=1, error=""))
    assert (held.result, held.retry_at) == ("refused", desk.at + wait)
    assert len(desk.hub.web.seen) == asked
    desk.at += wait
    assert (await desk.file()).result == "done"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "token is not valid"),
        (403, "issues: write"),
        (404, f"there is no {REPO}"),
        (410, "switched off"),
        (422, "did not accept"),
        (418, "refused"),
    ],
)
async def test_a_refusal_is_explained(desk: Desk, status: int, words: str) -> None:
    desk.hub.fail("POST", Answer(status, {"message": f"because of {TOKEN}"}))
    verdict = await desk.file()
    assert verdict.result == "failed"
    assert words in verdict.detail
    assert str(status) in verdict.detail
    assert TOKEN not in verdict.detail
    again = await desk.file()
    assert again.result == "refused", "it is left alone for a while"


async def test_other_settings_are_tried_at_once(desk: Desk) -> None:
    desk.hub.fail("POST", Answer(404, b"not JSON"))
    assert (await desk.file()).result == "failed"
    desk.config = replace(desk.config, label="")
    assert (await desk.file()).result == "done"
    assert desk.hub.issues[0]["labels"] == []


async def test_a_text_that_is_not_accepted_does_not_stop_the_others(desk: Desk) -> None:
    desk.hub.fail("POST", Answer(422, {"message": "Validation Failed"}))
    assert (await desk.file()).result == "failed"
    assert (await desk.file(report("cron", "other", "job-9", failures=1, error=""))).result == "done"


async def test_a_renamed_repository_is_followed_and_another_host_is_not(desk: Desk) -> None:
    moved = Answer(301, None, {"Location": f"/api/repos/{REPO}/issues?state=open&per_page=100&page=1"})
    desk.hub.fail("GET", moved)
    assert (await desk.file()).result == "done"
    desk.at += 7 * HOUR
    desk.hub.fail("GET", Answer(307, None, {"Location": "http://127.0.0.1:1/elsewhere"}))
    verdict = await desk.file()
    assert "the token stays here" in verdict.detail


async def test_nobody_there_and_nonsense_there(desk: Desk) -> None:
    desk.hub.fail("GET", Answer(200, b"<html>"))
    with pytest.raises(Retryable, match="not GitHub's"):
        await desk.file()
    await desk.hub.web.down()
    verdict = await desk.file()
    assert (verdict.result, verdict.retry_at) == ("failed", desk.at + 60)
    assert "cannot be reached" in verdict.detail
    await desk.hub.web.up()
    desk.at += 60
    assert (await desk.file()).result == "done"


async def test_secrets_numbers_and_session_keys_do_not_get_out(desk: Desk) -> None:
    secret = "sk-" + "x" * 30
    error = f"HTTP 401 for {secret} in agent:main:whatsapp:+4917012345678, call +49 170 12345678 " + "y" * 3000
    await desk.file(report("cron", f"job {secret}", "job-1", failures=3, error=error))
    desk.at += 7 * HOUR
    await desk.file(report("cron", f"job {secret}", "job-1", failures=3, error=error))
    for text in (desk.hub.issues[0]["title"], desk.hub.issues[0]["body"], desk.hub.comments[0][1]):
        assert secret not in text
        assert "12345678" not in text
    assert desk.hub.issues[0]["body"].count("y" * 1000) == 1
    assert "y" * 1200 not in desk.hub.issues[0]["body"]


async def test_where_to_is_the_owners_choice_and_is_asked_once(desk: Desk) -> None:
    desk.config = replace(desk.config, repo=None)
    for _ in range(3):
        with pytest.raises(Refused, match="no repository is chosen"):
            await desk.file()
    assert [kind for kind, _ in desk.said] == ["trouble"]
    desk.environ["GITHUB_REPOSITORY"] = "no repository"
    with pytest.raises(Refused):
        await desk.file()
    desk.environ["GITHUB_REPOSITORY"] = REPO
    assert desk.tracker.where() == REPO
    assert (await desk.file()).result == "done"


async def test_what_is_set_wins_over_the_variable(desk: Desk) -> None:
    desk.environ["GITHUB_REPOSITORY"] = "somebody/else"
    assert desk.tracker.where() == REPO


async def test_the_token_is_found_in_this_order(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    both = {"GITHUB_TOKEN": "first", "GH_TOKEN": "second", "MINE": "third"}
    assert await token(GithubConfig(token_file=file), both) == "from-file"
    assert await token(GithubConfig(token_env="MINE"), both) == "third"
    assert await token(GithubConfig(), both) == "first"
    assert await token(GithubConfig(), {"GITHUB_TOKEN": " ", "GH_TOKEN": "second"}) == "second"
    for config, environ, words in (
        (GithubConfig(token_file=tmp_path / "none"), both, "cannot be read"),
        (GithubConfig(token_env="NONE"), both, "no token"),
        (GithubConfig(), {"PATH": str(tmp_path)}, "no token"),
        (GithubConfig(), {"GH_TOKEN": "two words"}, "GH_TOKEN holds is no token"),
    ):
        with pytest.raises(Refused, match=words):
            await token(config, environ)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match="not text"):
        await token(GithubConfig(token_file=file), both)


async def test_whoever_is_signed_in_with_gh_needs_nothing_more(tmp_path: Path) -> None:
    gh = tmp_path / "gh"
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    gh.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\necho a-token-of-gh\n')
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    assert await token(GithubConfig(), environ) == "a-token-of-gh"
    assert (tmp_path / "asked").read_text() == "auth token --hostname github.com\n"
    await token(GithubConfig(api="https://github.example.com/api/v3"), environ)
    assert (tmp_path / "asked").read_text() == "auth token --hostname github.example.com\n"
    gh.write_text("#!/bin/sh\necho nobody is signed in >&2\nexit 1\n")
    with pytest.raises(Refused, match="gh auth login"):
        await token(GithubConfig(), environ)
    gh.write_text("#!/nowhere\n")
    with pytest.raises(Refused, match="no token"):
        await token(GithubConfig(), environ)


async def test_the_effect_is_in_the_table(desk: Desk, tmp_path: Path) -> None:
    stage = Stage(None, tmp_path / "regrow", state_dir=tmp_path, config_path=tmp_path / "openclaw.json")
    with pytest.raises(Refused, match="nobody to file"):
        await effects(stage.world)[FileIssue](WISH)
    assert "still to be chosen" in await explain(stage.world, WISH)
    stage.world.tracker = desk.tracker
    assert await explain(stage.world, WISH) == f"it would file an issue in {REPO}: {WISH.title}"
    done = await effects(stage.world)[FileIssue](WISH)
    assert isinstance(done, Verdict)
    assert done.result == "done"


async def test_a_write_that_is_cut_off_does_not_use_up_the_turn_for_hours(desk: Desk) -> None:
    desk.hub.fail("POST", Answer(201, {"number": 1}, hold=asyncio.Event()))
    filing = asyncio.create_task(desk.file())
    await desk.hub.web.got(method="POST")
    filing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filing
    desk.at += 301
    assert (await desk.file()).result == "done"
