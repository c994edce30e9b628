"""Why something was done or withheld, and how it ended."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from regrow.model.changes import Change

Result = Literal["done", "failed", "refused", "would", "inconclusive"]


class Verdict(Struct, frozen=True, omit_defaults=True):
    """How one action ended.

    Attributes:
        result: `done` the effect was carried out (which does not mean that the symptom is gone); `failed`;
            `refused` a guard said no; `would` dry run; `inconclusive` nobody can say.
        by: The guard that refused, or "".
        detail: For people: what happened, what would change the answer.
        retry_at: When it may be asked again, if known.
        changes: What of the user's things was changed, with the old values.
        undone: Ids of earlier changes that no longer stand: put back, or changed by somebody else.
    """

    result: Result
    by: str = ""
    detail: str = ""
    retry_at: float | None = None
    changes: tuple[Change, ...] = ()
    undone: tuple[str, ...] = ()


class Withheld(Struct, frozen=True, omit_defaults=True):
    """A wish that was not granted now, by which guard, and what would change the answer."""

    key: str
    by: str
    detail: str
    until: float | None = None
    reason: str = ""


Effect = Literal["", "cured", "ineffective", "inconclusive"]


class Tried(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One remedy of an episode.

    Attributes:
        action: Its kind.
        reason: Why it was chosen.
        at: When it was begun.
        verdict: How carrying it out ended; "" while it is under way.
        by: The guard that refused.
        detail: For people.
        ended: When it ended.
        effect: What became of the symptom: `cured` it is gone; `ineffective` it stands and the next remedy is due;
            `inconclusive` nobody could look; "" not known yet.
        human: A person asked for it.
        changes: Ids of what it changed, for `regrow undo`.
    """

    action: str
    reason: str
    at: float
    verdict: Result | Literal[""] = ""
    by: str = ""
    detail: str = ""
    ended: float | None = None
    effect: Effect = ""
    human: bool = False
    changes: tuple[str, ...] = ()


class Held(Struct, frozen=True, omit_defaults=True):
    """A remedy that a guard withheld, which guard, and what would change the answer."""

    action: str
    by: str
    detail: str
    at: float


class Episode(Struct, frozen=True, omit_defaults=True):
    """One symptom of one subject, from first sight to verified end, with everything that was tried.

    Attributes:
        id: Stable name, `<domain>:<subject>:<opened>`.
        state: `open`, `cured`, `ended` (the symptom went by itself), `human` (the ladder's end).
        evidence: What was seen, one line each.
        remedies: Actions with their verdicts.
        held: What was withheld and why.
        rule: By which rule it counts as ill.
    """

    id: str
    domain: str
    subject: str
    opened: float
    state: Literal["open", "cured", "ended", "human"] = "open"
    closed: float | None = None
    evidence: tuple[str, ...] = ()
    remedies: tuple[Tried, ...] = ()
    held: tuple[Held, ...] = ()
    rule: str = ""


class Proposal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A remedy that waits for a person.

    Attributes:
        id: Short, for `regrow approve`.
        key: The action's key: one proposal per wish.
        remedy: The setting that made it a question, `[heal.<domain>] <remedy>`.
        action: Its kind.
        evidence: What was seen.
        risk: Of the action.
        undo: How it is undone, for people.
        expires: When it is no longer offered.
        state: `approved` until it was carried out; then `done`, `failed` or `refused`.
        by, why: Who decided, and the reason of a rejection or an end.
    """

    id: str
    key: str
    domain: str
    subject: str
    remedy: str
    action: str
    reason: str
    evidence: str
    risk: str
    undo: str
    created: float
    expires: float
    state: Literal["waiting", "approved", "rejected", "expired", "done", "failed", "refused"] = "waiting"
    by: str = ""
    why: str = ""
    decided: float | None = None
