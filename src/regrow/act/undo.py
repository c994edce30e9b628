"""Changes to a user's things, made so that they can be taken back; and the taking back."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence

from regrow.act.world import World
from regrow.config.redaction import redact
from regrow.model.action import Action
from regrow.model.actions import Undo
from regrow.model.changes import Change
from regrow.model.errors import GatewayError, Refused, RegrowError
from regrow.model.verdicts import Verdict

PutBack = Callable[[World, Sequence[Change]], Awaitable[tuple[list[str], list[str], list[str]]]]
"""Puts changes of one kind back. Returns the ids put back, those somebody changed since, and failures in words."""

_KINDS: dict[str, PutBack] = {}


def put_back(kind: str) -> Callable[[PutBack], PutBack]:
    """Register what undoes changes of this kind."""

    def register(effect: PutBack) -> PutBack:
        _KINDS[kind] = effect
        return effect

    return register


def change(world: World, action: Action, kind: str, subject: str, *, before: str, after: str) -> Change:
    """A change that is about to be made for an action."""
    return Change(
        id=f"c{secrets.token_hex(4)}", kind=kind, subject=subject, before=before, after=after, at=world.clock.now(),
        domain=action.domain, why=action.reason,
    )  # fmt: skip


async def announce(world: World, changes: Sequence[Change]) -> None:
    """Write the old values down before anything is changed.

    Raises:
        Refused: They cannot be written: then nothing is changed.
    """
    if world.journal is None or not await world.journal.record_changes(changes):
        raise Refused("the old value cannot be written down, so nothing was changed; free disk space", by="journal")


def withdraw(world: World, changes: Sequence[Change], why: str) -> None:
    """They were announced and then not made."""
    if world.journal is not None:
        world.journal.close_changes([c.id for c in changes], at=world.clock.now(), why=why)


async def undo(world: World, action: Undo) -> Verdict:
    """Put back what was changed, unless somebody changed it since.

    Raises:
        Refused: Somebody changed it since, or nothing here can undo it.
    """
    done: list[str] = []
    foreign: list[str] = []
    failed: list[str] = []
    for kind in dict.fromkeys(c.kind for c in action.changes):
        effect = _KINDS.get(kind)
        if effect is None:
            raise Refused(f"a change of kind {kind} cannot be undone by this version of regrow", by="platform")
        chosen = [c for c in action.changes if c.kind == kind]
        try:
            back, theirs, words = await effect(world, chosen)
        except (RegrowError, GatewayError) as error:
            failed.append(redact(str(error)))
            continue
        done, foreign, failed = [*done, *back], [*foreign, *theirs], [*failed, *words]
    if world.journal is not None:
        at = world.clock.now()
        world.journal.close_changes(done, at=at, why=f"undone: {action.reason}")
        world.journal.close_changes(foreign, at=at, why="somebody changed it since")
    undone = (*done, *foreign)
    if failed:
        detail = f"{len(done)} of {len(action.changes)} put back; {'; '.join(failed[:3])}"
        return Verdict(result="failed", detail=detail, undone=undone)
    if foreign and not done:
        detail = "somebody changed it since; it was left as it is"
        return Verdict(result="refused", by="human", detail=detail, undone=undone)
    theirs_left = f"; {len(foreign)} left as somebody changed them since" if foreign else ""
    return Verdict(result="done", detail=f"{len(done)} put back{theirs_left}", undone=undone)
