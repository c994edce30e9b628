"""Speaks the part of GitHub's REST API that issues need, and says what its refusals mean."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from regrow import __version__
from regrow.config.people import REPO, GithubConfig, address
from regrow.config.redaction import redact, remember_secret
from regrow.host.cli import run_command
from regrow.model.errors import Fatal, Refused, RegrowError, Retryable

if TYPE_CHECKING:
    import httpx2

PATIENCE = 10.0  # seconds for one answer
HOPS = 3  # a renamed repository is reached by a redirect
PAGE = 100
PAGES = 3
AFTER_REFUSAL = 900.0  # somebody has to do something first
LONGEST = 86_400.0  # seconds a server may have us wait
TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")


T = TypeVar("T")


class Issue(Struct, frozen=True):
    """An issue as GitHub tells it; `pull_request` is set where it is none."""

    number: int
    state: str = "open"
    html_url: str = ""
    body: str | None = None
    pull_request: Any = None


class NotSent(RegrowError):  # noqa: N818  (a quality of the failure)
    """The request certainly changed nothing. `after`: seconds to leave GitHub alone."""

    def __init__(self, message: str, *, after: float, status: int = 0) -> None:
        super().__init__(message)
        self.after = after
        self.status = status


def repository(config: GithubConfig, environ: Mapping[str, str] = os.environ) -> str:
    """The repository for issues: the setting, else GITHUB_REPOSITORY if it is one, else ""."""
    given = environ.get("GITHUB_REPOSITORY", "")
    return config.repo or (given if re.fullmatch(REPO, given) else "")


async def token(config: GithubConfig, environ: Mapping[str, str] = os.environ) -> str:
    """The token: from the configured file or variable, else the usual variables, else what `gh` is signed in with.

    Raises:
        Refused: There is none, or it is none.
    """
    if config.token_file is not None:
        try:
            found = config.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise Refused(f"github.token_file: {config.token_file} cannot be read ({reason})", by="github") from None
        where = "github.token_file"
    elif config.token_env is not None:
        found, where = environ.get(config.token_env, "").strip(), config.token_env
    else:
        where = next((name for name in TOKENS if environ.get(name, "").strip()), "gh")
        found = await _signed_in(config, environ) if where == "gh" else environ[where].strip()
    if not found:
        hint = "set GITHUB_TOKEN or [github] token_file, or sign in with `gh auth login`"
        raise Refused(f"there is no token for GitHub: {hint}", by="github")
    if any(not 32 < ord(letter) < 127 for letter in found):
        raise Refused(f"what {where} holds is no token for GitHub", by="github")
    remember_secret(found)
    return found


async def _signed_in(config: GithubConfig, environ: Mapping[str, str]) -> str:
    """What GitHub's own command is signed in with; "" without it."""
    program = shutil.which("gh", path=environ.get("PATH"))
    parts = address(config.api)
    if program is None or parts is None:
        return ""
    host = "github.com" if parts.hostname == "api.github.com" else str(parts.hostname)
    try:
        done = await run_command((program, "auth", "token", "--hostname", host), "gh", env=environ, timeout=5.0)
    except (Fatal, Retryable):
        return ""
    return done.stdout.strip() if done.code == 0 else ""


class Github:
    """One conversation with the API about one repository.

    Args:
        client: Made by `talking`.
        config: Where the API is.
        repo: `owner/repo`.
        now: Epoch seconds.
    """

    def __init__(self, client: httpx2.AsyncClient, config: GithubConfig, repo: str, now: Callable[[], float]) -> None:
        self._client = client
        self._base = f"{config.api.rstrip('/')}/repos/{repo}"
        self._repo = repo
        self._now = now

    async def issue(self, number: int) -> Issue | None:
        """The issue, or None if there is none any more.

        Raises:
            NotSent, Retryable: It cannot be said.
        """
        try:
            return self._read(await self._ask("GET", f"/issues/{number}"), Issue)
        except NotSent as error:
            if error.status in {404, 410}:
                return None
            raise

    async def find(self, marker: str, label: str) -> Issue | None:
        """The open issue whose text has the marker: among those with the label, else among the newest.

        Raises:
            NotSent, Retryable: It cannot be said.
        """
        for wanted in ({"labels": label}, {}) if label else ({},):
            for page in range(1, PAGES + 1):
                params = {"state": "open", "per_page": str(PAGE), "page": str(page), **wanted}
                found = self._read(await self._ask("GET", "/issues", params=params), list[Issue])
                for one in found:
                    if marker in (one.body or "") and one.pull_request is None:
                        return one
                if len(found) < PAGE:
                    break
        return None

    async def create(self, title: str, body: str, label: str) -> Issue:
        """Open an issue.

        Raises:
            NotSent: It was certainly not made.
            Retryable: Nobody knows.
        """
        content = {"title": title, "body": body, "labels": [label] if label else []}
        return self._read(await self._ask("POST", "/issues", content), Issue)

    async def comment(self, number: int, body: str) -> None:
        """Add a comment to an issue.

        Raises:
            NotSent: It was certainly not made.
            Retryable: Nobody knows.
        """
        await self._ask("POST", f"/issues/{number}/comments", {"body": body})

    def _read(self, answer: httpx2.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Retryable(
                f"the answer of {answer.url.host} is not GitHub's; is github.api right?", after=300.0
            ) from None

    async def _ask(
        self, method: str, path: str, content: Any = None, params: dict[str, str] | None = None
    ) -> httpx2.Response:
        import httpx2

        url = httpx2.URL(self._base + path, params=params) if params else httpx2.URL(self._base + path)
        home = url
        for _ in range(HOPS):
            try:
                answer = await self._client.request(method, url, json=content)
            except (
                httpx2.ConnectError,
                httpx2.ConnectTimeout,
                httpx2.PoolTimeout,
                httpx2.UnsupportedProtocol,
            ) as error:
                raise NotSent(f"{home.host} cannot be reached ({_why(error)})", after=60.0) from None
            except httpx2.HTTPError as error:
                raise Retryable(f"{home.host} did not answer ({_why(error)})", after=60.0) from None
            there = answer.headers.get("location", "")
            if not answer.is_redirect or not there:
                break
            url = url.join(there)
            if (url.scheme, url.host, url.port) != (home.scheme, home.host, home.port):
                raise NotSent(f"{home.host} sends us to {url.host}; the token stays here", after=AFTER_REFUSAL)
        if answer.is_success:
            return answer
        raise self._refusal(answer)

    def _refusal(self, answer: httpx2.Response) -> NotSent | Retryable:
        status, host = answer.status_code, answer.url.host
        after = self._wait(answer)
        if after is not None:
            return NotSent(f"GitHub's limit for us is used up; it asks to wait {after:.0f} s", after=after)
        if status >= 500:
            return Retryable(f"{host} failed ({status})", after=60.0)
        try:
            said = str(msgspec.json.decode(answer.content).get("message", ""))[:200]
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
            said = ""
        meaning = {
            401: "the token is not valid (any more); give it a new one",
            403: f"the token may not write issues in {self._repo}; it needs the permission `issues: write`",
            404: f"there is no {self._repo}, or the token may not see it; is github.repo right?",
            410: f"issues are switched off in {self._repo}",
            422: "it did not accept what was sent",
        }.get(status, "it refused")
        why = redact(f"GitHub answered {status}: {meaning}{f' ({said})' if said else ''}")
        return NotSent(why, status=status, after=AFTER_REFUSAL)

    def _wait(self, answer: httpx2.Response) -> float | None:
        """Seconds it asks us to wait, or None if this is no limit."""
        if answer.status_code not in {403, 429}:
            return None
        headers = answer.headers
        if "retry-after" in headers:
            return _bounded(_seconds(headers["retry-after"], self._now()))
        if headers.get("x-ratelimit-remaining") == "0":
            try:
                return _bounded(float(headers.get("x-ratelimit-reset", "")) - self._now())
            except ValueError:
                return 60.0
        return 60.0 if answer.status_code == 429 else None


@asynccontextmanager
async def talking(config: GithubConfig, repo: str, secret: str, now: Callable[[], float]) -> AsyncIterator[Github]:
    """A conversation with the API, closed at the end."""
    client = await asyncio.to_thread(_client, secret)  # certificates are read from disk
    async with client:
        yield Github(client, config, repo, now)


def _client(secret: str) -> httpx2.AsyncClient:
    import httpx2

    return httpx2.AsyncClient(
        timeout=PATIENCE,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {secret}",
            "User-Agent": f"regrow/{__version__}",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )


def _seconds(text: str, now: float) -> float:
    """`Retry-After`: seconds, or a date."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError):
        return 60.0


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), LONGEST)


def _why(error: Exception) -> str:
    return redact(str(error)) or type(error).__name__
