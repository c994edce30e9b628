"""The one interface a healing domain implements, and the list of those that exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from regrow.decide.lifecycle import Signal
from regrow.decide.profiles import Policy
from regrow.decide.view import View
from regrow.model.actions import AnyAction

Setting = Literal["off", "observe", "ask", "auto"]


class DomainConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every domain's section has."""

    mode: Annotated[
        Setting,
        Meta(
            description=(
                "off: neither acts nor reports; observe: reports; "
                "ask: reports what it would do and a person does it; auto: acts"
            )
        ),
    ] = "auto"


class Context(Struct, frozen=True, kw_only=True):
    """What a domain may know besides its own state.

    Attributes:
        view: What is believed about the gateway, the fact included.
        before: The same before the fact, to see edges.
        config: The domain's own settings.
        policy: The figures of the profile.
        at: The time of the fact.
    """

    view: View
    before: View
    config: Any
    policy: Policy
    at: float


class Symptom(Struct, frozen=True):
    """Something is wrong with `subject` right now. It opens an episode; when it is no longer named, that ends.

    Attributes:
        subject: What is ill: `process`, `config`, a channel, a job.
        evidence: One line for people.
        human: The ladder's end: only a person can help.
    """

    subject: str
    evidence: str
    human: bool = False


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
        wishes: Actions it wants as long as the symptom stands.
        symptoms: Everything that is wrong now.
        replies: Answers to people.
        notes: Events.
        signals: Moves of the lifecycle (liveness only).
    """

    state: Any
    wishes: tuple[AnyAction, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    replies: tuple[Reply, ...] = ()
    notes: tuple[Note, ...] = ()
    signals: tuple[Signal, ...] = ()


class Domain(Struct, frozen=True):
    """A registered domain: its name is its section `[heal.<name>]`, its label and its file."""

    name: str
    config: type[DomainConfig]
    state: type[Struct]
    step: Callable[..., Any]


_REGISTRY: dict[str, Domain] = {}


def domain(
    name: str, *, state: type[Struct], config: type[DomainConfig]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated `step(state, fact, context) -> Step` as a healing domain.

    Args:
        name: Section, label and file name.
        state: The domain's own frozen record; its defaults are the first state.
        config: The domain's settings.
    """

    def register(step: Callable[..., Any]) -> Callable[..., Any]:
        _REGISTRY[name] = Domain(name, config, state, step)
        return step

    return register


def registry() -> dict[str, Domain]:
    """All known domains by name. Importing `regrow.decide.domains` registers the built-in ones."""
    return dict(_REGISTRY)
