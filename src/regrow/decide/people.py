"""What people ask of the healer itself: decide on a proposal, undo a change, pause and go on."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide import proposals as offers
from regrow.decide.domains.base import Note, Reply
from regrow.decide.healing import FOREVER, paused
from regrow.decide.proposals import Proposals, Turn
from regrow.decide.view import View
from regrow.model.actions import Undo
from regrow.model.facts import AnyFact, Asked, Ended


class Desk(Struct, frozen=True):
    """What people wait for.

    Attributes:
        proposals: What they have to decide.
        undoing: Undos they asked for, by request.
    """

    proposals: Proposals = Proposals()
    undoing: dict[str, Undo] = {}


def heard(desk: Desk, view: View, fact: AnyFact, *, hours: float) -> tuple[Desk, View, Turn]:
    """Take a request, or the end of what was done for one, into account."""
    match fact:
        case Asked(verb="approve" | "reject"):
            turn = offers.asked(desk.proposals, fact, hours=hours)
            return replace(desk, proposals=turn.proposals), view, turn
        case Asked(verb="undo"):
            return _undo(desk, view, fact)
        case Asked(verb="pause"):
            view = paused(view, at=view.at, lasts=fact.lasts)
            until = view.paused_until if fact.lasts else None
            told = Note("healing:paused", {"until": until, "by": fact.by, "reason": fact.reason})
            text = "paused: nothing is healed until `regrow resume`" + (" or the time is over" if fact.lasts else "")
            return desk, view, Turn(desk.proposals, notes=(told,), replies=(Reply(fact.id, "done", text, until),))
        case Asked(verb="resume"):
            was = view.paused_until is not None
            resumed = (Note("healing:resumed", {"by": fact.by}),) if was else ()
            text = "healing goes on" if was else "it was not paused"
            reply = Reply(fact.id, "done", text)
            return desk, replace(view, paused_until=None), Turn(desk.proposals, notes=resumed, replies=(reply,))
        case Ended(action=Undo()) if fact.action.request in desk.undoing:
            undoing = {k: v for k, v in desk.undoing.items() if k != fact.action.request}
            result = fact.verdict.result
            state = "done" if result in ("done", "would") else "refused" if result == "refused" else "failed"
            reply = Reply(fact.action.request, state, fact.verdict.detail)  # type: ignore[arg-type]
            return replace(desk, undoing=undoing), view, Turn(desk.proposals, replies=(reply,))
        case Ended():
            turn = offers.ended(desk.proposals, fact)
            return replace(desk, proposals=turn.proposals), view, turn
        case _ if view.paused_until is not None and view.at >= view.paused_until:
            over = Note("healing:resumed", {"by": "the pause is over"})
            return desk, replace(view, paused_until=None), Turn(desk.proposals, notes=(over,))
        case _:
            return desk, view, Turn(desk.proposals)


def _undo(desk: Desk, view: View, fact: Asked) -> tuple[Desk, View, Turn]:
    change = view.changes.get(fact.subject)
    if change is None:
        text = f"no change {fact.subject} stands: it was undone, or never made; `regrow actions` lists them"
        return desk, view, Turn(desk.proposals, replies=(Reply(fact.id, "refused", text),))
    action = Undo(
        changes=(change,), reason=f"asked for by {fact.by}", human=True, request=fact.id, subject=change.subject,
        domain=change.domain,
    )  # fmt: skip
    return replace(desk, undoing={**desk.undoing, fact.id: action}), view, Turn(desk.proposals)


def is_paused(view: View) -> tuple[bool, float | None]:
    """Whether healing is paused, and until when if that is known."""
    if view.paused_until is None or view.at >= view.paused_until:
        return False, None
    return True, view.paused_until if view.paused_until < FOREVER else None
