"""The words of an issue about something that keeps failing: name, id, how often, its last error."""

from __future__ import annotations

import re

from regrow.model.actions import FileIssue

ERROR = 1200  # characters of the last error
NAME = 120


def report(
    what: str,
    name: str,
    id_: str,
    *,
    failures: int,
    error: str,
    done: str = "",
    label: str = "",
    subject: str = "",
) -> FileIssue:
    """The wish for an issue about one job, plugin or channel that keeps failing.

    Args:
        what: Its kind in one word: `cron`, `plugin`.
        name: What people call it.
        id_: What the gateway calls it.
        failures: How often in a row, 0 if that was not counted.
        error: Its last error; cut. Secrets are removed when it is sent.
        done: One sentence: what regrow did about it and how that is undone.
        subject: What is ill, as its symptom says; else the id.
        label: Another label than the one in the settings.
    """
    called = " ".join(name.split())[:NAME] or id_
    again = f" {failures} times in a row" if failures > 1 else ""
    rows = [("name", called), ("id", id_)]
    if failures:
        rows.append(("consecutive failures", str(failures)))
    facts = "\n".join(f"- {title}: {_inline(value)}" for title, value in rows)
    last = error.strip()[:ERROR]
    parts = [f"The {what} {_inline(called)} of an OpenClaw gateway failed{again}.", facts]
    if last:
        parts.append(f"Last error:\n\n{_block(last)}")
    if done:
        parts.append(done)
    return FileIssue(
        subject=subject or id_,
        title=f"{what} {called!r} keeps failing",
        body="\n\n".join(parts),
        label=label,
        reason=f"the {what} {called!r} failed{again}",
    )


def _inline(text: str) -> str:
    """As code, so that nobody is mentioned and nothing is a link."""
    fence = "`" * (_longest(text) + 1)
    gap = " " if "`" in text else ""
    return f"{fence}{gap}{' '.join(text.split()) or '?'}{gap}{fence}"


def _block(text: str) -> str:
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def _longest(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
