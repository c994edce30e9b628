"""Opens or updates a GitHub issue: one open issue per subject, at most one write per cooldown."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec.structs import replace

from regrow.act.github import Github, NotSent, repository, talking, token
from regrow.config.people import GithubConfig
from regrow.model.actions import FileIssue
from regrow.model.errors import Refused
from regrow.model.people import Filed
from regrow.model.verdicts import Verdict

FRESH = 300.0  # seconds after which an issue that may have been made is looked for again
TITLE = 200
REJECTED = 422
BODY = 60_000  # GitHub takes 65,536

Say = Callable[[str, dict[str, object]], None]


class Ledger(Protocol):
    """Remembers the last write about each subject."""

    async def filed(self, marker: str) -> Filed | None:
        """The last write."""

    async def book_filed(self, filed: Filed) -> None:
        """Remember a write before it is made; returns when it is committed."""

    def unbook_filed(self, marker: str, before: Filed | None) -> None:
        """It was certainly not made: remember the one before again, or none."""


class Tracker:
    """Files issues for one gateway.

    Args:
        settings: `[github]` as it is now.
        ledger: What was filed before.
        mark: Makes a stable name for a subject that does not give it away.
        tidy: Removes secrets and session keys from a text.
        now: Epoch seconds.
        say: Tells events.
        environ: Where tokens and GITHUB_REPOSITORY may be.
    """

    def __init__(
        self,
        settings: Callable[[], GithubConfig],
        ledger: Ledger,
        *,
        mark: Callable[[str], str],
        tidy: Callable[[str], str],
        now: Callable[[], float],
        say: Say,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._mark = mark
        self._tidy = tidy
        self._now = now
        self._say = say
        self._environ = environ
        self._held: tuple[GithubConfig | None, float, str] = (None, 0.0, "")
        self._asked_to_choose = False

    def where(self) -> str:
        """The repository, or "" while nobody has chosen one."""
        return repository(self._settings(), self._environ)

    async def file(self, action: FileIssue) -> Verdict:
        """Open an issue about the action's subject, or comment on the open one.

        Raises:
            Refused: No repository, no token, or GitHub will not have it.
            Retryable: Nobody knows whether it was made; it is looked for the next time.
        """
        config, now, repo = self._settings(), self._now(), self.where()
        if not repo:
            raise self._nowhere()
        held_for, until, why = self._held
        if now < until and held_for == config:  # with other settings it is worth a try
            return Verdict(result="refused", by="github", detail=f"not asked again yet: {why}", retry_at=until)
        marker = self._mark(f"{action.domain}:{action.subject}")
        known = await self._ledger.filed(marker)
        if known is not None and known.repo == repo and now - known.at < config.cooldown:
            text = f"{f'#{known.number}' if known.number else 'it'} was written less than {config.cooldown:g} s ago"
            return Verdict(result="refused", by="cooldown", detail=text, retry_at=known.at + config.cooldown)
        secret = await token(config, self._environ)
        before = known if known is not None and known.repo == repo else None
        try:
            async with talking(config, repo, secret, self._now) as github:
                return await self._write(github, action, before or Filed(marker, repo, 0, 0.0), config)
        except NotSent as error:
            return self._not_sent(error, marker, known, config)

    async def _write(self, github: Github, action: FileIssue, before: Filed, config: GithubConfig) -> Verdict:
        now, label = self._now(), action.label or config.label
        open_, closed = await self._standing(github, before, label)
        if open_ is not None and before.at and not before.number:
            # we made it and died, or heard no answer, before that was known
            await self._ledger.book_filed(replace(before, number=open_, at=now))
            return Verdict(result="done", detail=f"it had been filed as #{open_}")
        body = self._tidy(action.body)[:BODY]
        if open_ is not None:
            await self._ledger.book_filed(replace(before, number=open_, at=now))
            await github.comment(open_, f"Again:\n\n{body}")
            self._say("issue:updated", {"repo": before.repo, "number": open_, **_about(action)})
            return Verdict(result="done", detail=f"a comment was added to {before.repo}#{open_}")
        await self._ledger.book_filed(replace(before, number=0, at=now - config.cooldown + FRESH))
        again = f"\n\nBefore, it was #{closed}." if closed else ""
        text = f"{body}{again}\n\n{_foot(config.cooldown)}\n\n{_comment(before.marker)}"
        made = await github.create(" ".join(self._tidy(action.title).split())[:TITLE], text, label)
        await self._ledger.book_filed(replace(before, number=made.number, at=now))
        data = {"repo": before.repo, "number": made.number, "url": made.html_url, **_about(action)}
        self._say("issue:opened", data)
        return Verdict(result="done", detail=f"{before.repo}#{made.number} was opened")

    async def _standing(self, github: Github, before: Filed, label: str) -> tuple[int | None, int | None]:
        """The number of the open issue about this, if there is one; else of the one that was closed."""
        if before.number:
            known = await github.issue(before.number)
            if known is not None and known.pull_request is None:
                return (known.number, None) if known.state == "open" else (None, known.number)
        found = await github.find(_comment(before.marker), label)
        return (found.number if found is not None else None), None

    def _not_sent(self, error: NotSent, marker: str, known: Filed | None, config: GithubConfig) -> Verdict:
        """Nothing was written: the cooldown is as it was before, and all of GitHub is left alone for a while."""
        retry_at = self._now() + error.after
        if error.status == REJECTED:  # this text's fault: others may be filed, this one has had its turn
            return Verdict(result="failed", by="github", detail=str(error), retry_at=retry_at)
        self._ledger.unbook_filed(marker, known)
        self._held = (config, retry_at, str(error))
        return Verdict(result="failed", by="github", detail=str(error), retry_at=retry_at)

    def _nowhere(self) -> Refused:
        text = "no repository is chosen for issues: set [github] repo to `owner/repo`"
        if not self._asked_to_choose:
            self._asked_to_choose = True
            self._say("trouble", {"what": text})
        return Refused(text, by="github")


def _about(action: FileIssue) -> dict[str, str]:
    return {"domain": action.domain, "subject": action.subject}


def _comment(marker: str) -> str:
    return f"<!-- regrow {marker} -->"


def _foot(cooldown: float) -> str:
    hours = cooldown / 3600
    often = f"{hours:g} h" if hours >= 1 else f"{cooldown / 60:g} min"
    return (
        "---\n"
        f"regrow filed this. While it is open, news is added as comments, at most one every {often}; "
        "close it when it is solved."
    )
