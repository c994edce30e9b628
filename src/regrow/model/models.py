"""What can be seen of turns and models, and done to a session's model."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct

from regrow.model.action import Lane, Risk, Targeted
from regrow.model.fact import Fact

Cause = Literal["rate", "money", "auth", "missing", "overload", "transport", "caller"]
"""Why a model did not answer. `caller`: the request itself was at fault, which says nothing about the model."""


class TurnRetrying(Fact, frozen=True, tag="turn-retrying"):
    """A turn's model failed and the gateway tries it again by itself.

    Attributes:
        run: The turn.
        session, agent: Whose.
        provider, model: Which one is tried.
        attempt: The attempt that comes next, from 2.
        cause: Why the last one failed.
    """

    run: str
    session: str
    agent: str
    provider: str
    model: str
    attempt: int
    cause: Cause


class TurnWentOn(Fact, frozen=True, tag="turn-went-on"):
    """A turn that was retried gets its answer after all: text comes."""

    run: str


class ModelFailed(Fact, frozen=True, tag="model-failed"):
    """The gateway gave a model up for a turn. `retry_after`: seconds the provider named, if it did."""

    run: str
    session: str
    agent: str
    provider: str
    model: str
    cause: Cause
    retry_after: float | None = None


class TurnEnded(Fact, frozen=True, tag="turn-ended"):
    """A turn is over. `ok`: it was answered, by the model named; None: it was aborted."""

    run: str
    session: str
    ok: bool | None
    provider: str = ""
    model: str = ""


class Candidate(Struct, frozen=True):
    """A model an agent may use, as `provider/model`; `available` None: the gateway did not say."""

    name: str
    available: bool | None = None


class ModelsSeen(Fact, frozen=True, tag="models-seen"):
    """An agent's models: its own order (primary first, then fallbacks), and all that are configured."""

    agent: str
    order: tuple[str, ...]
    models: tuple[Candidate, ...]


class SwitchModel(Targeted, frozen=True, tag="switch-model"):
    """Give a session another model, in the middle of its turn if one runs. `subject` is its key."""

    model: str
    risk: ClassVar[Risk] = "gentle"
    lane: ClassVar[Lane] = "sessions"
    limit: ClassVar[float] = 15.0
    settles: ClassVar[float] = 30.0
