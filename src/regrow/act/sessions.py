"""Changes which model a session uses, and puts back what was changed; ends a turn that hangs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from regrow.act import undo
from regrow.act.world import World
from regrow.config.redaction import redact
from regrow.model.changes import Change
from regrow.model.errors import GatewayError, Refused
from regrow.model.models import AbortTurn, SwitchModel
from regrow.model.verdicts import Verdict

PIN = "session-pin"
PATCH_WITHIN = 10.0
LOOK_WITHIN = 8.0


class Row(Struct, frozen=True):
    """What the gateway says of one session: its id, and what was chosen for it (`provider/model`, "" nothing)."""

    session_id: str
    pin: str


async def look(world: World, session: str) -> Row | None:
    """One session as it is now; None if there is none.

    Raises:
        Refused: This version cannot be asked about one session.
        GatewayError, TransportError: It was not told.
    """
    if "sessions.describe" not in world.methods():
        raise Refused("this version of OpenClaw cannot be asked about one session", by="version")
    said = await world.call("sessions.describe", {"key": session}, LOOK_WITHIN)
    row = said.get("session") if isinstance(said, Mapping) else None
    if not isinstance(row, Mapping) or not row.get("sessionId"):
        return None
    return Row(str(row["sessionId"]), pin_of(row))


def pin_of(row: Mapping[str, Any]) -> str:
    """What a person or a program chose for a session; what the gateway chose by itself is no choice."""
    if row.get("modelOverrideSource") != "user":
        return ""
    return f"{row.get('modelProvider') or ''}/{row.get('model') or ''}"


async def switch_model(world: World, action: SwitchModel) -> Verdict:
    """Pin a session to another model. The old choice is written down before.

    Raises:
        Refused: The session is another one by now, or the old choice could not be written down.
        GatewayError, TransportError: The gateway said no, or nothing; in the second case the change may stand.
    """
    made = undo.change(world, action, PIN, action.session, before=action.before, after=action.model)
    await undo.announce(world, [made])
    try:
        await patch(world, action.session, action.session_id, action.model)
    except GatewayError as error:
        undo.withdraw(world, [made], f"not made: {error.code}")
        if error.details.get("reason") == "session-changed":
            raise Refused("the session is another one by now; nothing was changed", by="session") from None
        raise
    except Refused:
        undo.withdraw(world, [made], "not made: no connection")
        raise
    return Verdict(result="done", detail=f"{action.before or 'the default'} → {action.model}", changes=(made,))


async def patch(world: World, session: str, session_id: str, model: str) -> None:
    """Choose a model for a session, or none with "". Without its id a session could be made that nobody wanted."""
    params = {"key": session, "model": model or None, "expectedSessionId": session_id}
    await world.call("sessions.patch", params, PATCH_WITHIN)


@undo.put_back(PIN)
async def put_back(world: World, changes: Sequence[Change]) -> tuple[list[str], list[str], list[str]]:
    """Give sessions back what was chosen for them before, unless somebody chose something else meanwhile."""
    back: list[str] = []
    theirs: list[str] = []
    words: list[str] = []
    for change in changes:
        try:
            row = await look(world, change.subject)
            if row is None:
                back.append(change.id)  # the session is gone, and its choice with it
            elif row.pin != change.after:
                theirs.append(change.id)
            else:
                await patch(world, change.subject, row.session_id, change.before)
                back.append(change.id)
        except GatewayError as error:
            words.append(redact(f"the gateway answered: {error.code}"))
    return back, theirs, words


async def abort_turn(world: World, action: AbortTurn) -> Verdict:
    """End one run. That it ended is told by the gateway, not by its answer.

    Raises:
        GatewayError, TransportError: The gateway said no, or nothing.
    """
    said = await world.call("sessions.abort", {"key": action.session, "runId": action.subject}, 15.0)
    status = str(said.get("status", "")) if isinstance(said, Mapping) else ""
    if status and status != "aborted":
        return Verdict(result="failed", detail=f"the gateway answered {redact(status)[:60]}")
    return Verdict(result="done", detail="aborted")
