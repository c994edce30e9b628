"""Memory, descriptors and disks are watched before they run out; a leaking gateway is offered a restart."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from regrow.decide.domains.base import Context, DomainConfig, Remedy, Setting, Step, Symptom, domain
from regrow.decide.ladder import Climb, Rung, begun, ended, place
from regrow.model.actions import RestartGateway
from regrow.model.facts import AnyFact, Ended, Intended
from regrow.model.gateway import Phase
from regrow.model.resources import ResourcesSeen, Volume

IN_A_ROW = 3  # looks over the limit, half a minute apart
WINDOW = 600.0  # the lowest memory of ten minutes is what is really held
WINDOWS = 36
RISING = 6  # windows in a row, each higher than the one before
AHEAD = 6 * 3600.0  # a limit that is reached within so long is worth a warning
SETTLED = 900.0  # what a gateway takes in its first quarter of an hour is no leak
RUNGS = (Rung(action="restart-gateway", settles=180.0, gap=300.0),)


class ResourcesConfig(DomainConfig, frozen=True):
    """`[heal.resources]`."""

    restart: Annotated[
        Setting, Meta(description="a drained restart with a new process when memory or descriptors run out")
    ] = "ask"
    disk_percent: Annotated[int, Meta(ge=1, le=100, description="a volume, or its inodes, used to this share")] = 85
    memory_percent: Annotated[int, Meta(ge=1, le=100, description="memory used of what the gateway can have")] = 90
    descriptor_percent: Annotated[int, Meta(ge=1, le=100, description="open files of those it may open")] = 80


class Leak(Struct, frozen=True, omit_defaults=True):
    """The lowest memory of each ten minutes of one boot, and the window under way."""

    boot: str = ""
    begun: float = 0.0
    minima: tuple[int, ...] = ()
    lowest: int = 0
    until: float = 0.0


class Stock(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was seen last, and what was tried.

    Attributes:
        seen: The last look.
        over: How many looks in a row were over a limit, by what.
        leak: Whether memory only rises.
        climbs: What was tried, by what runs out.
    """

    seen: ResourcesSeen | None = None
    over: dict[str, int] = {}
    leak: Leak = Leak()
    climbs: dict[str, Climb] = {}


@domain("resources", state=Stock, config=ResourcesConfig, sees=(ResourcesSeen,))
def step(s: Stock, fact: AnyFact, cx: Context) -> Step:
    """Count looks over a limit, follow the minima of memory, offer a restart."""
    match fact:
        case ResourcesSeen():
            s = _seen(s, fact, cx)
        case Intended() if fact.action.domain == "resources":
            name = fact.action.subject
            s = replace(s, climbs={**s.climbs, name: begun(s.climbs.get(name, Climb()), fact.action, cx.at)})
        case Ended() if fact.action.domain == "resources":
            name = fact.action.subject
            climb = ended(s.climbs.get(name, Climb()), fact.action, fact.verdict, cx.at)
            s = replace(s, climbs={**s.climbs, name: climb})
        case _:
            pass
    if s.seen is None:
        return Step(state=s)
    symptoms = [*_disks(s.seen, cx.config), *_held(s, cx)]
    gone = set(s.climbs) - {symptom.subject for symptom in symptoms}
    if gone:
        s = replace(s, climbs={name: climb for name, climb in s.climbs.items() if name not in gone})
    wishes = [w for w in (_remedy(s, symptom, cx) for symptom in symptoms) if w is not None]
    judged = tuple(
        replace(x, human=True) if x.subject in s.climbs and place(s.climbs[x.subject], RUNGS, cx.at).is_end else x
        for x in symptoms
    )
    return Step(state=s, symptoms=judged, wishes=tuple(wishes))


def _seen(s: Stock, fact: ResourcesSeen, cx: Context) -> Stock:
    config: ResourcesConfig = cx.config
    over = dict(s.over)
    for name, used, limit, percent in (
        ("memory", fact.rss, fact.limit, config.memory_percent),
        ("descriptors", fact.descriptors, fact.descriptor_limit, config.descriptor_percent),
    ):
        if used is None or not limit:
            if fact.process is None:
                over.pop(name, None)  # no process, nothing that could run out
            continue  # not seen is no sign of health
        over[name] = over.get(name, 0) + 1 if used * 100 >= limit * percent else 0
    return replace(s, seen=fact, over=over, leak=_leak(s.leak, fact, cx))


def _leak(leak: Leak, fact: ResourcesSeen, cx: Context) -> Leak:
    boot = f"{fact.process.pid if fact.process else ''} {cx.view.boot_id}"
    if fact.rss is None or fact.process is None:
        return leak
    if boot != leak.boot:
        return Leak(boot=boot, begun=fact.at)
    if fact.at - leak.begun < SETTLED:
        return leak
    if not leak.until:
        return replace(leak, lowest=fact.rss, until=fact.at + WINDOW)
    if fact.at < leak.until:
        return replace(leak, lowest=min(leak.lowest, fact.rss))
    minima = (*leak.minima, leak.lowest)[-WINDOWS:]
    return replace(leak, minima=minima, lowest=fact.rss, until=fact.at + WINDOW)


def _full_in(leak: Leak, limit: int | None) -> float | None:
    """Seconds until the limit is reached if memory goes on as in the last hour; None if it does not only rise."""
    last = leak.minima[-RISING:]
    if limit is None or len(last) < RISING or any(b <= a for a, b in pairwise(last)):
        return None
    speed = (last[-1] - last[0]) / (WINDOW * (RISING - 1))
    return max(0.0, (limit - last[-1]) / speed)


def _disks(seen: ResourcesSeen, config: ResourcesConfig) -> list[Symptom]:
    """Full volumes: regrow never deletes anything, so a person is asked at once."""
    found: list[Symptom] = []
    for volume in seen.volumes:
        what = _fullest(volume)
        if what is None or what[0] < config.disk_percent:
            continue
        percent, name = what
        evidence = f"{volume.path}: {percent} % of {name} used, {_size(volume.free)} free; make room"
        rule = f"{config.disk_percent} % of a volume or of its inodes"
        found.append(Symptom(f"disk:{volume.path}", evidence, human=True, rule=rule))
    return found


def _fullest(volume: Volume) -> tuple[int, str] | None:
    shares = [(100 - volume.free * 100 // volume.total, "the space")] if volume.total else []
    if volume.inodes:
        shares.append((100 - volume.inodes_free * 100 // volume.inodes, "the inodes"))
    return max(shares) if shares else None


def _held(s: Stock, cx: Context) -> list[Symptom]:
    """What the gateway holds too much of."""
    seen, config, found = s.seen, cx.config, []
    assert seen is not None  # noqa: S101  (asked for by whoever has looked)
    if s.over.get("memory", 0) >= IN_A_ROW and seen.rss and seen.limit:
        text = f"the gateway's processes hold {_size(seen.rss)} of {_size(seen.limit)}"
        found.append(Symptom("memory", text, rule=f"{config.memory_percent} % in {IN_A_ROW} looks in a row"))
    left = _full_in(s.leak, seen.limit)
    if left is not None and left < AHEAD and not found:
        text = f"memory only rises; at this pace {_size(seen.limit or 0)} are full in {left / 3600:.1f} h"
        found.append(Symptom("memory", text, rule=f"{RISING} rising minima of ten minutes, full within six hours"))
    if s.over.get("descriptors", 0) >= IN_A_ROW:
        text = f"{seen.descriptors} of {seen.descriptor_limit} files are open"
        rule = f"{config.descriptor_percent} % in {IN_A_ROW} looks in a row"
        found.append(Symptom("descriptors", text, rule=rule))
    return found


def _remedy(s: Stock, symptom: Symptom, cx: Context) -> Remedy | None:
    if symptom.human or cx.view.phase is not Phase.RUNNING or not cx.view.ready:
        return None
    if place(s.climbs.get(symptom.subject, Climb()), RUNGS, cx.at).rung is None:
        return None
    # only a new process gives memory and descriptors back
    action = RestartGateway(reason=symptom.evidence, subject=symptom.subject, full=True)
    return Remedy(
        action=action, name="restart", setting=cx.config.restart, evidence=symptom.evidence,
        undo="nothing to undo: running work is finished first",
    )  # fmt: skip


def _size(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number // 2**20} MiB"
