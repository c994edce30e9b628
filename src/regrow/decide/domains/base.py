"""The one interface a healing domain implements, and the list of those that exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from regrow.decide.lifecycle import Signal
from regrow.decide.profiles import Policy
from regrow.decide.view import View
from regrow.model.actions import AnyAction
from regrow.model.cooling import Cooling
from regrow.model.facts import AnyFact, Asked, Ended, Intended, Started, Tick
from regrow.model.verdicts import Episode

Setting = Literal["off", "observe", "ask", "auto"]
_ORDER: tuple[Setting, ...] = ("off", "observe", "ask", "auto")


class DomainConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every domain's section has."""

    mode: Annotated[
        Setting,
        Meta(
            description=(
                "off: neither acts nor reports; observe: reports; "
                "ask: proposes what it would do; a person approves; auto: acts"
            )
        ),
    ] = "auto"
    budget: Annotated[
        int, Meta(ge=0, le=1000, description="remedies this domain may carry out by itself within an hour")
    ] = 20

    def problems(self) -> list[str]:
        """What the types cannot say is wrong with these settings, one line each."""
        return []


def effective(mode: Setting, remedy: Setting | None) -> Setting:
    """What a remedy may do: the more careful of the domain's mode and its own setting."""
    return min(mode, remedy or mode, key=_ORDER.index)


class Context(Struct, frozen=True, kw_only=True):
    """What a domain may know besides its own state.

    Attributes:
        view: What is believed about the gateway, the fact included.
        before: The same before the fact, to see edges.
        config: The domain's own settings.
        policy: The figures of the profile.
        at: The time of the fact.
        episodes: What is ill in any domain right now, by `domain:subject`, before this fact.
    """

    view: View
    before: View
    config: Any
    policy: Policy
    at: float
    episodes: Mapping[str, Episode] = {}


class Symptom(Struct, frozen=True):
    """Something is wrong with `subject` right now. It opens an episode; when it is no longer named, that ends.

    Attributes:
        subject: What is ill: `process`, `config`, a channel, a job.
        evidence: One line for people.
        human: The ladder's end: only a person can help.
        rule: By which rule it counts as ill: what `regrow why` prints.
    """

    subject: str
    evidence: str
    human: bool = False
    rule: str = ""


class Remedy(Struct, frozen=True, kw_only=True):
    """A wish of a healing domain: the engine carries it out, proposes it to a person, or leaves it, as is set.

    A bare action as a wish is carried out: supervision of the process has limits of its own. A remedy is bound by the
    domain's mode, its own setting, pauses, quiet hours and budgets. Its action names the subject of the symptom.

    Attributes:
        action: What to do; `domain` is filled in.
        name: The setting `[heal.<domain>] <name>` that rules it.
        setting: Its value; None: as the domain's mode.
        evidence: Why, in one line for the person who is asked.
        undo: How a person gets back what was before.
    """

    action: AnyAction
    name: str
    setting: Setting | None = None
    evidence: str = ""
    undo: str = ""


class Reply(Struct, frozen=True):
    """What a person who asked is told. `queued` says when; the others are final."""

    request: str
    state: Literal["queued", "done", "refused", "failed"]
    text: str
    until: float | None = None


class Note(Struct, frozen=True):
    """An event for people and programs; `data` is JSON-able and holds no secrets."""

    type: str
    data: dict[str, Any]


class Step(Struct, frozen=True, kw_only=True):
    """What one fact led to in one domain.

    Attributes:
        state: The domain's next state.
        wishes: Actions and remedies it wants as long as the symptom stands.
        symptoms: Everything that is wrong now.
        replies: Answers to people.
        notes: Events.
        signals: Moves of the lifecycle (liveness only).
        cooling: Every model that is cooling now (models only); None: as before.
    """

    state: Any
    wishes: tuple[AnyAction | Remedy, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    replies: tuple[Reply, ...] = ()
    notes: tuple[Note, ...] = ()
    signals: tuple[Signal, ...] = ()
    cooling: tuple[Cooling, ...] | None = None


class Domain(Struct, frozen=True):
    """A registered domain: its name is its section `[heal.<name>]`, its label and its file.

    Attributes:
        sees: The facts it is asked about, besides time, requests and its own actions; empty: every fact.
        keeps: Its state outlives regrow.
    """

    name: str
    config: type[DomainConfig]
    state: type[Struct]
    step: Callable[..., Any]
    sees: frozenset[type] = frozenset()
    keeps: bool = False

    def is_asked(self, fact: AnyFact) -> bool:
        """Whether this fact concerns it."""
        if not self.sees or type(fact) in self.sees or isinstance(fact, Tick | Asked | Started):
            return True
        return isinstance(fact, Intended | Ended) and fact.action.domain == self.name


_REGISTRY: dict[str, Domain] = {}


def domain(
    name: str,
    *,
    state: type[Struct],
    config: type[DomainConfig],
    sees: Iterable[type] = (),
    keeps: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated `step(state, fact, context) -> Step` as a healing domain.

    Args:
        name: Section, label and file name.
        state: The domain's own frozen record; its defaults are the first state.
        config: The domain's settings.
        sees: The facts it wants to be asked about, besides ticks, requests and its own actions; all if empty. What
            it wishes and names holds until it is asked again, which a tick does every second.
        keeps: Write its state down, so that it outlives regrow.
    """

    def register(step: Callable[..., Any]) -> Callable[..., Any]:
        _REGISTRY[name] = Domain(name, config, state, step, frozenset(sees), keeps)
        return step

    return register


def registry() -> dict[str, Domain]:
    """All known domains by name. Importing `regrow.decide.domains` registers the built-in ones."""
    return dict(_REGISTRY)
