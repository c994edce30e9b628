"""The table of effects: for each kind of action, what does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from regrow.act import child, doctor, evidence, gateway, sessions, settings, undo
from regrow.act.world import Effect, World
from regrow.model.action import Action
from regrow.model.actions import (
    AnyAction,
    Capture,
    Continue,
    Dial,
    Doctor,
    FileIssue,
    HangUp,
    Kill,
    Reload,
    RestartGateway,
    RestartInPlace,
    RestoreConfig,
    Revive,
    Start,
    Terminate,
    Undo,
)
from regrow.model.errors import Refused
from regrow.model.models import SwitchModel
from regrow.model.verdicts import Verdict

_TABLE: dict[type[Action], Callable[[World, Any], Awaitable[Verdict]]] = {
    Start: child.start,
    Terminate: child.terminate,
    Kill: child.kill,
    Continue: child.let_continue,
    Revive: child.revive,
    Capture: evidence.capture,
    RestartInPlace: gateway.restart_in_place,
    Reload: gateway.reload,
    RestoreConfig: settings.restore_config,
    Doctor: doctor.doctor,
    RestartGateway: gateway.hand_over,
    Undo: undo.undo,
    SwitchModel: sessions.switch_model,
}


def effects(world: World) -> dict[type[Action], Effect]:
    """Everything that can be done in this world; the looks (owner, configuration, health) come from who looks."""
    table: dict[type[Action], Effect] = {kind: partial(effect, world) for kind, effect in _TABLE.items()}
    table[Dial] = partial(_dial, world)
    table[HangUp] = partial(_hang_up, world)
    table[FileIssue] = partial(_file_issue, world)
    return table


async def _dial(world: World, _action: Dial) -> Verdict:
    if world.line is None:
        raise Refused("there is no line to dial", by="link")
    return await world.line.dial()


async def _hang_up(world: World, _action: HangUp) -> Verdict:
    if world.line is not None:
        await world.line.hang_up()
    return Verdict(result="done")


async def _file_issue(world: World, action: FileIssue) -> Verdict:
    if world.tracker is None:
        raise Refused("there is nobody to file issues with", by="github")
    return await world.tracker.file(action)


async def explain(world: World, action: AnyAction) -> str:
    """What a dry run says it would have done."""
    match action:
        case Start():
            if world.unit is not None and world.view().mode == "service":
                return f"it would start {world.unit.name}: {action.reason}"
            return f"it would start the gateway: {action.reason}\n{(await world.launch()).summary()}"
        case Terminate() | Kill() | Continue() | Revive():
            verb = {"terminate": "end", "kill": "kill", "continue": "continue", "revive": "wake"}[action.kind]
            return f"it would {verb} process {action.process.pid}: {action.reason}"
        case RestoreConfig():
            return f"it would restore configuration {action.digest[:12]}: {action.reason}"
        case FileIssue():
            where = (world.tracker.where() if world.tracker is not None else "") or "a repository still to be chosen"
            return f"it would file an issue in {where}: {action.title}"
        case _:
            return f"it would {action.kind.replace('-', ' ')}: {action.reason}"
