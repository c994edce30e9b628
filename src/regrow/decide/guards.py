"""Reasons to withhold a wish; each says what would change the answer. A person is refused by two of them only."""

from __future__ import annotations

from collections.abc import Callable, Collection

from regrow.decide.supervise.hang import SICK_FOR
from regrow.decide.view import View
from regrow.model.actions import (
    AnyAction,
    Dial,
    Doctor,
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
from regrow.model.verdicts import Withheld

LATE = 0.25  # seconds our own loop may be late before we distrust ourselves

REPAIRS = ("doctor", "restore-config")
RESTARTS = (RestartInPlace, RestartGateway)

Guard = Callable[[AnyAction, View], Withheld | None]


def changes(action: AnyAction) -> bool:
    """Whether carrying it out would change anything but our own socket."""
    return action.risk != "look"


def observed_only(action: AnyAction, view: View) -> Withheld | None:
    """Not ours to touch. A person may still restart or reload it through its own RPC."""
    why = view.bound(human=action.human)
    if not why or not changes(action):
        return None
    if isinstance(action, Undo) or (action.human and isinstance(action, RestartInPlace | Reload)):
        return None  # our own change may be taken back; the others are asked of the gateway itself
    if action.human and isinstance(action, Start | RestoreConfig | Doctor) and view.owner != "healer":
        return None  # a person may start what another supervisor left down, and mend the file
    return Withheld(action.key, "owner", why, reason=action.reason)


def invalid_config(action: AnyAction, view: View) -> Withheld | None:
    """A restart would not come back: the file on disk does not boot."""
    if not isinstance(action, (*RESTARTS, Start, Revive)):
        return None
    if view.config_ok is not False or (isinstance(action, Start | RestartInPlace) and action.force):
        return None
    problems = "; ".join(view.config.problems[:3]) if view.config is not None else ""
    return Withheld(
        action.key, "config", f"openclaw.json is not valid ({problems}); mend or restore it, or use --force",
        reason=action.reason,
    )  # fmt: skip


def updating(action: AnyAction, view: View) -> Withheld | None:
    """The package is being replaced: wait until the tree is quiet."""
    if action.human or not view.updating or not isinstance(action, (*RESTARTS, Start, Terminate, Revive)):
        return None
    return Withheld(action.key, "update", "OpenClaw's files are changing (an update?); it goes on when they are quiet")


def offline(action: AnyAction, view: View) -> Withheld | None:
    """Restarting a living gateway into a dead network is damage. One that is down may be started."""
    if action.human or view.route is not False or not isinstance(action, RESTARTS):
        return None
    return Withheld(action.key, "network", "this host has no network route; it goes on when there is one")


def ourselves_sick(action: AnyAction, view: View) -> Withheld | None:
    """The detector can be the sick one: nothing is ended while our own loop or the host stalls."""
    if action.human or not isinstance(action, (*RESTARTS, Terminate, Kill)):
        return None
    if view.lag <= LATE and not view.pressed:
        return None
    return Withheld(
        action.key, "host", "this host stalls our own work; nothing is ended until it is well", view.at + SICK_FOR
    )


def mending(action: AnyAction, pending: Collection[str]) -> Withheld | None:
    """A repair of openclaw.json and a start never meet, whoever asked: one follows right after the other."""
    if isinstance(action, Doctor) and "start" in pending:
        return Withheld(action.key, "start", "a start is under way", reason=action.reason)
    under_way = any(key.startswith(REPAIRS) for key in pending)
    if not under_way or not isinstance(action, Start | RestartInPlace | Revive):
        return None
    return Withheld(
        action.key, "repair", "openclaw.json is being repaired; it goes on right after", reason=action.reason
    )


GUARDS: tuple[Guard, ...] = (observed_only, invalid_config, updating, offline, ourselves_sick)


def check(action: AnyAction, view: View) -> Withheld | None:
    """The first guard that says no, or None."""
    if isinstance(action, Dial | HangUp):
        return None
    for guard in GUARDS:
        withheld = guard(action, view)
        if withheld is not None:
            return withheld
    return None
