"""What the engine remembers over our own restarts: failures, budgets, what was learned, what a person allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.domains.base import registry
from regrow.decide.domains.settings import Repairs
from regrow.decide.engine import State
from regrow.decide.healing import Spent
from regrow.decide.people import Desk
from regrow.decide.supervise.governor import Governor
from regrow.decide.supervise.state import Supervision
from regrow.model.gateway import Mode


class Memory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of the state that must not be lost with us.

    Attributes:
        given: A person handed the gateway over: it stays so when host, service manager or they themselves start a
            new process of it while we are away.
        paused_until: As the View's.
        spent: Remedies of the last hour: our own end must not renew a budget.
        desk: What people have to decide.
        domains: The states of those domains that keep theirs.
    """

    governor: Governor = Governor()
    kills: tuple[float, ...] = ()
    killed: bool = False
    took: tuple[float, ...] = ()
    took_version: str = ""
    in_place: int = 0
    given: bool = False
    repairs: Repairs = Repairs()
    paused_until: float | None = None
    spent: Spent = Spent()
    desk: Desk = Desk()
    domains: dict[str, msgspec.Raw] = {}


def memory_of(state: State) -> Memory:
    """What is to be written down."""
    s: Supervision = state.domains["liveness"]
    view = state.view
    # a service is ours to act on until a person stops it, whoever starts its processes
    given = view.given or (view.mode is Mode.SERVICE and view.adopted)
    return Memory(
        governor=s.governor, kills=s.kills, killed=s.killed, took=s.took, took_version=s.took_version,
        in_place=s.in_place, given=given and view.want == "running",
        repairs=replace(state.domains["settings"], wanted=None, looked=("", 0.0)),
        paused_until=view.paused_until, spent=state.spent, desk=replace(state.desk, undoing={}),
        domains={
            name: msgspec.Raw(msgspec.json.encode(state.domains[name]))
            for name, domain in registry().items()
            if domain.keeps and name in state.domains
        },
    )  # fmt: skip


def recalled(state: State, path: Path, now: float) -> tuple[State, str]:
    """The state with what an earlier life wrote down.

    Args:
        state: The first state.
        path: The memory file.
        now: A clock set back in between must not freeze us: times in the future are taken as now.

    Returns:
        The state, and a problem to tell people, or "".
    """
    try:
        memory = msgspec.json.decode(path.read_bytes(), type=Memory)
    except FileNotFoundError:
        return state, ""
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return state, f"{path} cannot be read ({error}); failures of earlier lives are forgotten"
    g = memory.governor
    governor = replace(
        g,
        # while we were away nobody saw it serve: that time neither calms nor counts against it
        ready_since=None,
        level_at=min(g.level_at, now),
        booked=None if g.booked is None else min(g.booked, now),
        boots=tuple(min(t, now) for t in g.boots),
        not_before=min(g.not_before, now + 360.0),
    )
    s: Supervision = state.domains["liveness"]
    s = replace(
        s, governor=governor, kills=tuple(min(t, now) for t in memory.kills), killed=memory.killed,
        took=memory.took, took_version=memory.took_version, in_place=memory.in_place,
    )  # fmt: skip
    domains: dict[str, Any] = {**state.domains, "liveness": s, "settings": _no_later(memory.repairs, now)}
    problem = _recall_domains(domains, memory.domains)
    view = replace(state.view, given=memory.given, paused_until=memory.paused_until)
    spent = Spent({name: tuple(min(t, now) for t in times) for name, times in memory.spent.times.items()})
    return replace(state, domains=domains, view=view, spent=spent, desk=memory.desk), problem


def _no_later(repairs: Repairs, now: float) -> Repairs:
    """A copy that was put back in a future that never came is compared all the same."""
    copy = repairs.put_back
    return repairs if copy is None else replace(repairs, put_back=replace(copy, at=min(copy.at, now)))


def _recall_domains(domains: dict[str, Any], kept: dict[str, msgspec.Raw]) -> str:
    """Put the states of earlier lives in. Returns what could not be understood, or ""."""
    problems: list[str] = []
    for name, domain in registry().items():
        if not domain.keeps or name not in kept:
            continue
        try:
            domains[name] = msgspec.json.decode(kept[name], type=domain.state)
        except msgspec.MsgspecError as error:
            problems.append(f"what the domain {name} knew of earlier lives cannot be read ({error}); it begins anew")
    return "; ".join(problems)
