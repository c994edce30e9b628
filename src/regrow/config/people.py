"""The settings for telling people: where issues are filed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta, Struct

REPO = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}$"
Repo = Annotated[str, Meta(pattern=REPO)]
Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]


class GithubConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[github]`: where issues are filed about what keeps failing."""

    repo: Annotated[
        Repo | None,
        Meta(description="the repository for issues, `owner/repo`; default: the variable GITHUB_REPOSITORY, else none"),
    ] = None
    api: Annotated[
        str, Meta(pattern="^https?://.", description="the API; for GitHub Enterprise `https://HOST/api/v3`")
    ] = "https://api.github.com"
    label: Annotated[str, Meta(max_length=50, description="the label of issues filed by regrow; empty for none")] = (
        "regrow"
    )
    cooldown: Annotated[
        float, Meta(ge=300, le=604_800, description="seconds between two writes about the same subject")
    ] = 21_600.0
    token_env: Annotated[
        Variable | None,
        Meta(
            description=(
                "the environment variable that holds the token; "
                "default: GITHUB_TOKEN, then GH_TOKEN, then what `gh` is signed in with"
            )
        ),
    ] = None
    token_file: Annotated[Path | None, Meta(description="a file that holds nothing but the token")] = None

    def problems(self) -> list[str]:
        """What contradicts itself, one line each."""
        found: list[str] = []
        if self.token_env is not None and self.token_file is not None:
            found.append("github.token_file: there is also github.token_env; keep one of them")
        parts = address(self.api)
        if parts is None:
            found.append("github.api: is no address")
        elif "@" in parts.netloc or parts.query:
            found.append("github.api: must not hold a token or password; use github.token_file")
        elif not private(self.api):
            found.append("github.api: the token would be sent unencrypted to another host; use https://")
        return found


def address(url: str) -> SplitResult | None:
    """The parts of an address that has a host, or None."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0  # a port that is none raises
    except ValueError:
        return None
    return parts if usable else None


def private(url: str) -> bool:
    """Whether nobody between here and there can read what is sent: it is encrypted or does not leave this machine."""
    parts = address(url)
    host = (parts.hostname or "") if parts is not None else ""
    return parts is not None and (
        parts.scheme == "https" or host == "localhost" or bool(re.fullmatch(r"127(?:\.\d+){3}|::1", host))
    )
