"""Remedies that wait for a person: proposed once, approved or rejected, forgotten when nobody needs them any more."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2s
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from regrow.decide.domains.base import Note, Remedy, Reply
from regrow.model.actions import AnyAction
from regrow.model.facts import Asked, Ended
from regrow.model.verdicts import Proposal


class Offer(Struct, frozen=True):
    """A proposal and the action it would be."""

    proposal: Proposal
    action: AnyAction
    request: str = ""  # of whoever approved it


class Proposals(Struct, frozen=True):
    """Those that stand, and those a person turned down: by the action's key.

    Attributes:
        open: Waiting, or approved and not carried out yet.
        refused: Until when a rejected one is not proposed again.
    """

    open: dict[str, Offer] = {}
    refused: dict[str, float] = {}


class Turn(Struct, frozen=True):
    """What became of them: the records that changed, what is told, who is answered."""

    proposals: Proposals
    changed: tuple[Proposal, ...] = ()
    notes: tuple[Note, ...] = ()
    replies: tuple[Reply, ...] = ()


def offer(proposals: Proposals, domain: str, remedies: Iterable[Remedy], at: float, *, hours: float) -> Turn:
    """What a domain wishes now and a person has to decide.

    Args:
        proposals: Those that stand.
        domain: Who wishes.
        remedies: Everything it wishes that is to be asked for.
        at: Now.
        hours: How long one waits.
    """
    wished = {remedy.action.key: remedy for remedy in remedies}
    stands, changed = dict(proposals.open), list[Proposal]()
    refused = {key: until for key, until in proposals.refused.items() if at < until}
    for key, held in proposals.open.items():
        if held.proposal.domain != domain or held.proposal.state != "waiting":
            continue
        why = "" if key in wished else "no longer needed"
        why = "nobody decided in time" if not why and at >= held.proposal.expires else why
        if why:
            changed.append(replace(held.proposal, state="expired", why=why, decided=at))
            del stands[key]
    for key, remedy in wished.items():
        if key in stands or key in refused:
            continue
        made = _proposal(domain, key, remedy, at, hours)
        stands[key] = Offer(made, replace(remedy.action, domain=domain))
        changed.append(made)
    notes = tuple(
        _note("proposal:created", p) if p.state == "waiting" else _note("proposal:expired", p) for p in changed
    )
    return Turn(Proposals(stands, refused), tuple(changed), notes)


def asked(proposals: Proposals, fact: Asked, *, hours: float) -> Turn:
    """A person approves or rejects one."""
    key = next((k for k, o in proposals.open.items() if o.proposal.id == fact.subject), None)
    held = proposals.open.get(key or "")
    if key is None or held is None or held.proposal.state != "waiting":
        known = ", ".join(o.proposal.id for o in proposals.open.values() if o.proposal.state == "waiting")
        text = f"no proposal {fact.subject} is waiting; {f'these are: {known}' if known else 'none is'}"
        return Turn(proposals, replies=(Reply(fact.id, "refused", text),))
    if fact.verb == "reject":
        gone = replace(held.proposal, state="rejected", by=fact.by, why=fact.reason, decided=fact.at)
        stands = {k: o for k, o in proposals.open.items() if k != key}
        refused = {**proposals.refused, key: fact.at + hours * 3600.0}
        reply = Reply(fact.id, "done", f"rejected; it is not proposed again for {hours:g} hours")
        return Turn(Proposals(stands, refused), (gone,), (_note("proposal:rejected", gone),), (reply,))
    taken = replace(held.proposal, state="approved", by=fact.by, why=fact.reason, decided=fact.at)
    action = replace(held.action, human=True, request=fact.id)
    stands = {**proposals.open, key: Offer(taken, action, fact.id)}
    reply = Reply(fact.id, "queued", f"approved: {taken.action} {taken.subject}")
    return Turn(replace(proposals, open=stands), (taken,), (_note("proposal:approved", taken),), (reply,))


def due(proposals: Proposals) -> list[AnyAction]:
    """What was approved and is to be done."""
    return [o.action for o in proposals.open.values() if o.proposal.state == "approved"]


def ended(proposals: Proposals, fact: Ended) -> Turn:
    """An approved one was carried out, or refused."""
    held = proposals.open.get(fact.action.key)
    if held is None or held.proposal.state != "approved" or fact.action.request != held.request:
        return Turn(proposals)
    verdict = fact.verdict
    return _conclude(proposals, held, verdict.result, verdict.detail, fact.at)


def stopped(proposals: Proposals, key: str, why: str, at: float) -> Turn:
    """A guard does not let an approved one through: the person is told at once."""
    held = proposals.open.get(key)
    if held is None or held.proposal.state != "approved":
        return Turn(proposals)
    return _conclude(proposals, held, "refused", why, at)


def _conclude(proposals: Proposals, held: Offer, result: str, detail: str, at: float) -> Turn:
    state: Any = {"done": "done", "would": "done", "refused": "refused"}.get(result, "failed")
    record = replace(held.proposal, state=state, why=detail, decided=at)
    stands = {k: o for k, o in proposals.open.items() if o is not held}
    reply = Reply(held.request, state, detail or f"{record.action} {record.subject}: {result}")
    return Turn(replace(proposals, open=stands), (record,), replies=(reply,))


def _proposal(domain: str, key: str, remedy: Remedy, at: float, hours: float) -> Proposal:
    action = remedy.action
    return Proposal(
        id=f"p{blake2s(f'{domain} {key} {at:.3f}'.encode(), digest_size=3).hexdigest()}",
        key=key, domain=domain, subject=action.subject, remedy=remedy.name, action=action.kind, reason=action.reason,
        evidence=remedy.evidence, risk=action.risk, undo=remedy.undo, created=at, expires=at + hours * 3600.0,
    )  # fmt: skip


def _note(type_: str, proposal: Proposal) -> Note:
    return Note(type_, to_builtins(proposal))
