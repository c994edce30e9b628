"""Folds facts into the View: what is believed about the gateway right now, readable by every domain."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from regrow.model.actions import AnyAction
from regrow.model.changes import Change
from regrow.model.cooling import Cooling
from regrow.model.facts import (
    AnyFact,
    Asked,
    ChangesKept,
    ChildExited,
    ChildStarted,
    ConfigKept,
    ConfigSeen,
    Ended,
    Heard,
    HostSeen,
    Intended,
    LinkDown,
    LinkRefused,
    LinkUp,
    OwnerSeen,
    PackageSeen,
    Probed,
    Started,
    Tick,
)
from regrow.model.gateway import Mode, Phase, Process

KEPT = 50


class View(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is believed. `None` and "" mean unknown.

    Attributes:
        want: What a person wants, since when and by whom. It outlives regrow.
        owner: Who holds the state directory, as last seen; "" before the first look.
        adopted: We may act on it: we spawned it, or a person said `adopt`.
        given: A person said `adopt`: the gateway is ours to act on, whichever process it is next.
        ready: This boot has been proven ready.
        link: `up`, `down`, or `blind`: it is there and will not talk to us.
        muted: Channels that the gateway's own breaker keeps from starting, as `/readyz` last said.
        served: Digest of the configuration the running gateway booted with, if known.
        kept: (digest, version) of stored configurations that reached ready, newest last.
        composed: Digests of those that consist of several files: they are known to be good, and not put back.
        in_flight: What the executor is doing now.
        paused_until: Healing is paused until then; None: it is not.
        changes: What we changed of the user's things and nobody has undone, by id.
        cooling: The models that are left alone now.
    """

    at: float = 0.0
    dry_run: bool = False
    want: Literal["running", "stopped"] = "running"
    want_since: float = 0.0
    want_by: str = ""
    phase: Phase = Phase.STOPPED
    phase_since: float = 0.0
    epoch: int = 0
    mode: Mode = Mode.OWN
    owner: str = ""
    owner_detail: str = ""
    rivals: tuple[str, ...] = ()
    adopted: bool = False
    given: bool = False
    process: Process | None = None
    port: int | None = None
    version: str = ""
    protocol: int = 0
    boot_id: str = ""
    methods: tuple[str, ...] = ()
    link: Literal["up", "down", "blind"] = "down"
    link_since: float = 0.0
    heard_at: float = 0.0
    ready: bool = False
    ready_at: float = 0.0
    probe: Probed | None = None
    config: ConfigSeen | None = None
    muted: tuple[str, ...] = ()
    served: str = ""
    kept: tuple[tuple[str, str], ...] = ()
    composed: tuple[str, ...] = ()
    package: PackageSeen | None = None
    route: bool | None = None
    pressed: bool | None = None
    lag: float = 0.0
    in_flight: AnyAction | None = None
    paused_until: float | None = None
    changes: dict[str, Change] = {}
    cooling: tuple[Cooling, ...] = ()

    @property
    def config_ok(self) -> bool | None:
        """Whether openclaw.json on disk can be booted: None if nobody has judged these bytes yet.

        Bytes that the version which would boot them has served before need no judge.
        """
        if self.config is None:
            return None
        if not self.config.parsed:
            return False
        if self.config.valid is not None:
            return self.config.valid
        return True if (self.config.digest, self.installed) in self.kept else None

    @property
    def may_stop(self) -> bool:
        """A stop is ours to give: nothing runs, or what runs is proven to be ours."""
        if self.mode is Mode.ATTACH or self.owner in ("healer", "remote"):
            return False
        return self.process is None or self.adopted

    def bound(self, *, human: bool) -> str:
        """Why it may not be acted on, or "". Another supervisor beside us binds the healer, not a person."""
        return "" if human and self.may_stop else self.observed_only

    @property
    def observed_only(self) -> str:
        """Why we may only look, or "" if we may act."""
        if self.owner == "healer":
            return f"another regrow looks after it: {self.owner_detail}"
        if self.rivals:
            return f"another supervisor is at work: {', '.join(self.rivals)}"
        if self.mode is Mode.ATTACH or self.owner == "remote":
            return "it is attached: somebody else starts and stops it"
        if self.process is not None and not self.adopted:
            return "it ran before regrow met it; `regrow adopt` allows regrow to act"
        return ""

    @property
    def installed(self) -> str:
        """The version a start would run."""
        return self.package.version if self.package is not None else self.version

    @property
    def updating(self) -> bool:
        """Files of the package are being written."""
        return self.package is not None and not self.package.quiet


def fold(v: View, fact: AnyFact) -> View:
    """The View after one more fact. Phases are not folded here: they follow from decisions."""
    v = replace(v, at=max(v.at, fact.at))
    match fact:
        case Started():
            return replace(v, dry_run=fact.dry_run, want=fact.want, want_since=fact.want_since, want_by=fact.want_by)
        case Tick():
            return replace(v, lag=fact.lag)
        case HostSeen():
            return replace(
                v,
                route=v.route if fact.route is None else fact.route,
                pressed=v.pressed if fact.pressed is None else fact.pressed,
            )
        case Asked(verb="stop" | "start" | "restart") if v.dry_run:
            return v  # nothing is done, so nothing that outlives us changes
        case Asked(verb="stop") if v.may_stop:
            return replace(v, want="stopped", want_since=v.at, want_by=fact.by, given=False)
        case Asked(verb="start" | "restart"):
            return _wanted(v, fact)
        case Asked(verb="adopt") if v.owner != "healer":
            # who takes over what runs wants it to run; what was ours already may be on its way down
            taken = v.process is not None and not v.adopted
            v = replace(v, adopted=True, given=True)
            return _wanted(v, fact) if taken else v
        case OwnerSeen():
            return _owner(v, fact)
        case ChildStarted():
            return replace(
                v, process=fact.process, port=fact.port, adopted=True, owner="ours",
                ready=False, boot_id="", probe=None, muted=(), link="down", link_since=v.at,
            )  # fmt: skip
        case ChildExited() if v.process is None or fact.process == v.process:
            # what another keeper tends is that keeper's to start again
            owner = "healer" if v.owner == "healer" else "none"
            return replace(v, process=None, ready=False, probe=None, muted=(), boot_id="", link="down", owner=owner)
        case Probed():
            muted = v.muted if fact.ready is None else fact.suppressed  # no word about it is no news
            return replace(v, probe=fact, muted=muted, version=fact.version or v.version)
        case ConfigSeen():
            return replace(v, config=fact)
        case ConfigKept():
            entry = (fact.digest, fact.version)
            kept = (*(k for k in v.kept if k != entry), entry)[-KEPT:]
            composed = (*(d for d in v.composed if d != fact.digest), *((fact.digest,) if fact.composed else ()))
            return replace(v, kept=kept, composed=composed[-KEPT:], served=fact.digest)
        case PackageSeen():
            return replace(v, package=fact)
        case LinkUp() | LinkDown() | LinkRefused() | Heard():
            return _link(v, fact)
        case Intended():
            return replace(v, in_flight=fact.action)
        case ChangesKept():
            return replace(v, changes={**v.changes, **{change.id: change for change in fact.changes}})
        case Ended():
            return _ended(v, fact)
        case _:
            return v


def _ended(v: View, fact: Ended) -> View:
    verdict = fact.verdict
    if v.in_flight is not None and v.in_flight.key == fact.action.key:
        v = replace(v, in_flight=None)
    if not verdict.changes and not verdict.undone:
        return v
    gone = frozenset(verdict.undone)
    stands = {name: change for name, change in v.changes.items() if name not in gone}
    return replace(v, changes={**stands, **{change.id: change for change in verdict.changes}})


def _wanted(v: View, fact: Asked) -> View:
    return replace(v, want="running", want_since=v.at, want_by=fact.by) if v.want == "stopped" else v


def _owner(v: View, fact: OwnerSeen) -> View:
    served = v.mode is Mode.SERVICE and v.adopted  # its manager replaces the process of a service we act on
    watched = v.mode is Mode.SERVICE and not v.adopted
    mode = v.mode if fact.owner == "none" and v.mode is Mode.SERVICE else fact.mode
    v = replace(
        v, owner=fact.owner, owner_detail=fact.detail, mode=mode, rivals=fact.rivals,
        port=fact.port if fact.port is not None else v.port,
    )  # fmt: skip
    if fact.owner == "none":
        # a service that is down is still its manager's; anything else that is not there may be started by us
        return replace(v, process=None, ready=False, muted=(), link="down", adopted=v.adopted or not watched)
    if fact.process is not None and fact.owner != "listener":
        if fact.process == v.process:
            return replace(v, adopted=v.adopted or fact.owner == "ours")
        ours = fact.owner == "ours" or v.given or (served and fact.owner == "unit")
        return replace(v, process=fact.process, adopted=ours, ready=False, probe=None, muted=(), boot_id="")
    return v


def _link(v: View, fact: LinkUp | LinkDown | LinkRefused | Heard) -> View:
    match fact:
        case LinkUp():
            return replace(
                v, link="up", link_since=v.at, heard_at=v.at, version=fact.version or v.version,
                protocol=fact.protocol, methods=fact.methods, boot_id=fact.boot_id,
                ready=v.ready and v.boot_id in ("", fact.boot_id),
            )  # fmt: skip
        case LinkDown() | LinkRefused():
            link: Literal["down", "blind"] = "blind" if isinstance(fact, LinkRefused) and fact.blind else "down"
            # one more refusal is no news: since when it has been so is what counts
            return replace(v, link=link, link_since=v.link_since if v.link == link else v.at)
        case _:
            return replace(v, heard_at=v.at)
