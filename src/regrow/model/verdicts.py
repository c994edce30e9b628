"""Why something was done or withheld, and how it ended."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Result = Literal["done", "failed", "refused", "would", "inconclusive"]


class Verdict(Struct, frozen=True, omit_defaults=True):
    """How one action ended.

    Attributes:
        result: `done` the effect was carried out (which does not mean that the symptom is gone); `failed`;
            `refused` a guard said no; `would` dry run; `inconclusive` nobody can say.
        by: The guard that refused, or "".
        detail: For people: what happened, what would change the answer.
        retry_at: When it may be asked again, if known.
    """

    result: Result
    by: str = ""
    detail: str = ""
    retry_at: float | None = None


class Withheld(Struct, frozen=True, omit_defaults=True):
    """A wish that was not granted now, by which guard, and what would change the answer."""

    key: str
    by: str
    detail: str
    until: float | None = None
    reason: str = ""


class Episode(Struct, frozen=True, omit_defaults=True):
    """One symptom of one subject, from first sight to verified end, with everything that was tried.

    Attributes:
        id: Stable name, `<domain>:<subject>:<opened>`.
        state: `open`, `cured`, `ended` (the symptom went by itself), `human` (the ladder's end).
        evidence: What was seen, one line each.
        tried: Actions with their verdicts, one line each.
    """

    id: str
    domain: str
    subject: str
    opened: float
    state: Literal["open", "cured", "ended", "human"] = "open"
    closed: float | None = None
    evidence: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
