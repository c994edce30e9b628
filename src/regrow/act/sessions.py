"""A session's model: lent to one turn, put back when it is over, never taken from a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from regrow.act import undo
from regrow.act.world import World
from regrow.config.redaction import redact
from regrow.model.changes import Change
from regrow.model.errors import GatewayError, Refused, TransportError
from regrow.model.models import SwitchModel
from regrow.model.verdicts import Verdict

PIN = "session-pin"
WITHIN = 8.0


async def switch_model(world: World, action: SwitchModel) -> Verdict:
    """Give a session another model.

    Raises:
        Refused: There is no such session, a person chose its model, or this version cannot say.
        GatewayError, TransportError: As the gateway answered.
    """
    row = await _row(world, action.subject)
    if row is None:
        raise Refused("the session is not there any more", by="gone")
    pinned = _pin(row)
    standing = world.view().changes.values()
    is_ours = any(c.kind == PIN and c.subject == action.subject and c.after == pinned for c in standing)
    if pinned and not is_ours:
        raise Refused(f"a person chose {pinned} for this session; it is theirs to change", by="human")
    if row.get("modelSelectionLocked") is True:
        raise Refused("the session's model is locked", by="gateway")
    await _need_session_scope(world)
    change = undo.change(world, action, PIN, action.subject, before=pinned, after=action.model)
    await undo.announce(world, [change])
    params: dict[str, Any] = {"key": action.subject, "model": action.model}
    if isinstance(row.get("sessionId"), str):
        params["expectedSessionId"] = row["sessionId"]  # a patch of a session that is gone would make a new one
    try:
        await world.call("sessions.patch", params, WITHIN)
    except (GatewayError, TransportError) as error:
        if isinstance(error, GatewayError):
            undo.withdraw(world, [change], "the gateway refused it")
            raise
        # it may have been done before the line broke: the change stands until it is looked at
        return Verdict(result="inconclusive", detail=redact(str(error)), changes=(change,))
    return Verdict(result="done", detail=f"{action.model} until the turn is over", changes=(change,))


@undo.put_back(PIN)
async def put_back(world: World, changes: Sequence[Change]) -> tuple[list[str], list[str], list[str]]:
    """Give sessions the model they had, unless somebody chose another one since."""
    done: list[str] = []
    theirs: list[str] = []
    failed: list[str] = []
    for change in changes:
        row = await _row(world, change.subject)
        if row is None or _pin(row) != change.after:
            theirs.append(change.id)
            continue
        if row.get("hasActiveRun") is True or row.get("status") == "running":
            failed.append("its turn is not over yet")
            continue
        params: dict[str, Any] = {"key": change.subject, "model": change.before or None}
        if isinstance(row.get("sessionId"), str):
            params["expectedSessionId"] = row["sessionId"]
        try:
            await world.call("sessions.patch", params, WITHIN)
        except GatewayError as error:
            failed.append(redact(str(error)))
            continue
        done.append(change.id)
    return done, theirs, failed


async def _need_session_scope(world: World) -> None:
    """Where a choice for one session is meant for everybody, the gateway writes it into openclaw.json: not ours to do.

    Raises:
        Refused: So it is here.
    """
    seen: Any = await world.call("config.get", {}, WITHIN)
    for part in ("runtimeConfig", "agents", "defaults", "modelSelectionScope"):
        seen = seen.get(part) if isinstance(seen, Mapping) else None
    if seen not in (None, "session"):
        text = f'agents.defaults.modelSelectionScope is "{seen}": a switch would change openclaw.json'
        raise Refused(text, by="config")


async def _row(world: World, key: str) -> Mapping[str, Any] | None:
    """The session as the gateway lists it; None if there is none.

    Raises:
        Refused: This version cannot be asked.
    """
    if "sessions.describe" not in world.methods():
        raise Refused("this version of OpenClaw cannot say what model a session has", by="version")
    answer = await world.call("sessions.describe", {"key": key}, WITHIN)
    row = answer.get("session") if isinstance(answer, Mapping) else None
    return row if isinstance(row, Mapping) else None


def _pin(row: Mapping[str, Any]) -> str:
    """The model a session is pinned to, or ""."""
    if row.get("modelOverrideSource") != "user":
        return ""
    return f"{row.get('modelProvider')}/{row.get('model')}"
