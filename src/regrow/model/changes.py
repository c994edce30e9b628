"""A change that was made to a user's thing, with what it was before: what `undo` puts back."""

from __future__ import annotations

from msgspec import Struct


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change to one thing.

    Attributes:
        id: Names it for `regrow undo`: short, never used twice.
        kind: What sort of thing: `session-pin`, `cron`, `plugin`, `config`; who can undo it is found by this.
        subject: Which one: a session's key, a job's or a plugin's id.
        before: Its old value, "" for none. What the text means depends on the kind.
        after: The value we gave it. Whoever finds another one there knows that somebody changed it since.
        at: When, in epoch seconds.
        domain: Which domain wished it.
        why: For people.
    """

    id: str
    kind: str
    subject: str
    before: str
    after: str
    at: float
    domain: str = ""
    why: str = ""
