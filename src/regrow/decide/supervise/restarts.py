"""One restart at a time: queued until it is due, asked for in place, else ended and started anew, then proven."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from regrow.model.gateway import Process

Stage = Literal["queued", "in-place", "ending", "starting"]
IN_PLACE_MOST = 5  # each keeps some 20 MB; then a new process
DRAIN = 300.0  # the gateway waits so long for running work before it restarts in place


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changed at run time and is announced once it took effect."""

    topics: tuple[str, ...] = ()
    reason: str = ""
    warnings: tuple[str, ...] = ()
    channel_type: str = ""
    account_id: str = ""


def merged(a: Change, b: Change) -> Change:
    """Both in one: topics and warnings united, the newer words win."""
    return Change(
        topics=tuple(dict.fromkeys((*a.topics, *b.topics))),
        reason=b.reason or a.reason,
        warnings=tuple(dict.fromkeys((*a.warnings, *b.warnings))),
        channel_type=b.channel_type or a.channel_type,
        account_id=b.account_id or a.account_id,
    )


class Restart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A wish that the running life be replaced by a newer one.

    Attributes:
        reason: For people.
        asked_at: A boot that began later fulfils it.
        due: Not before this.
        human: An explicit request: no budget, breaker or pause holds it.
        force: Go on although the configuration is invalid.
        requests: Who waits for the answer.
        full: Not in place: the process itself is to be replaced.
        hung: It will not listen: ten seconds after SIGTERM, then SIGKILL.
        stage, since: How far it is and since when.
        late: Those of `requests` who asked when the boot that fulfils the others had begun already.
        change: Announced when done.
    """

    reason: str
    asked_at: float
    due: float
    human: bool = False
    force: bool = False
    requests: tuple[str, ...] = ()
    full: bool = False
    hung: bool = False
    stage: Stage = "queued"
    since: float = 0.0
    late: tuple[str, ...] = ()
    change: Change = Change()


def joined(a: Restart | None, b: Restart) -> Restart:
    """Two wishes for a restart are one: nobody is dropped, a person's request makes it a person's."""
    if a is None:
        return b
    return replace(
        a,
        reason=b.reason if b.human or not a.human else a.reason,
        asked_at=max(a.asked_at, b.asked_at),
        due=b.due if b.human else (a.due if a.human else max(a.due, b.due)),
        human=a.human or b.human,
        force=a.force or b.force,
        requests=(*a.requests, *b.requests),
        full=a.full or b.full,
        hung=a.hung or b.hung,
        change=merged(a.change, b.change),
    )


class Stopping(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end of one process: told, waited for, at last killed.

    Attributes:
        process: Exactly this life.
        why: `stop` and `quit` are final; after the others it starts again.
        budget: Seconds between SIGTERM and SIGKILL.
        human: A person asked; the kill budget does not hold it.
        dead_anyway: It serves nobody (hung, or it never got ready): killing it loses nothing.
        told_at: When SIGTERM was sent.
        tried_at: When telling or killing was last tried.
        killed_at: When SIGKILL was sent.
        captured: Evidence was kept.
    """

    process: Process
    why: Literal["stop", "quit", "restart", "hung", "overdue", "deaf"]
    budget: float
    reason: str
    human: bool = False
    dead_anyway: bool = False
    requests: tuple[str, ...] = ()
    told_at: float | None = None
    tried_at: float = -60.0
    killed_at: float | None = None
    captured: bool = False
