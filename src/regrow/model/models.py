"""What can be seen of models and the turns they answer, and done about them."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct

from regrow.model.action import Lane, Risk, Targeted
from regrow.model.fact import Fact

Cause = Literal["rate", "money", "auth", "missing", "overload", "transport", "caller"]
"""Why a call failed; `caller`: the request was at fault, which says nothing about the model."""

Waits = Literal["gateway", "model", "tool"]
"""What a turn waits for: the gateway prepares or pauses, a model has been asked, a tool or a person is at work."""


class TurnFact(Fact, frozen=True, kw_only=True):
    """Something about one run of one session. Never what anybody said.

    Attributes:
        run: The gateway's name of the run.
        session: The session's key; it can hold a phone number.
        agent: Whose session it is.
        attended: Somebody waits for the answer: no cron job, no heartbeat.
    """

    run: str
    session: str = ""
    agent: str = ""
    attended: bool = True


class TurnBegan(TurnFact, frozen=True, tag="turn-began"):
    """A run that was not known before."""


class ModelChosen(TurnFact, frozen=True, tag="model-chosen"):
    """A model gave its first sign of life in this run, or an error."""

    provider: str
    model: str


class TurnMoved(TurnFact, frozen=True, tag="turn-moved"):
    """It went on; at most one such fact per second and run, but at once when it waits for something else.

    Attributes:
        waits: For what it waits now.
        said: Something was said to the user, or a tool was begun: it cannot be sent again without harm.
    """

    waits: Waits = "model"
    said: bool = False


class CallFailed(TurnFact, frozen=True, tag="call-failed"):
    """A model refused or failed.

    Attributes:
        provider, model: Which one.
        cause: The class.
        status: The HTTP status, if it was told.
        wait: Seconds it asked to be left alone, if it said so.
        reason: For people, in our own words.
    """

    provider: str
    model: str
    cause: Cause
    status: int | None = None
    wait: float | None = None
    reason: str = ""


class CallRetried(TurnFact, frozen=True, tag="call-retried"):
    """The gateway is going to try the same model again.

    Attributes:
        attempt: The number of the coming attempt; the first call was number one.
        of: How many there will be.
        delay: Seconds it waits before.
        session_id: The session's own id, which changes when it is reset.
    """

    attempt: int
    of: int = 0
    delay: float = 0.0
    session_id: str = ""


class FellBack(TurnFact, frozen=True, tag="fell-back"):
    """The gateway gave a model up in this run.

    Attributes:
        provider, model: The one given up.
        to: The next one, `provider/model`; "" there is none.
        cause: The class; None when the gateway says nothing reliable.
        wait: Seconds the provider asked for, or the gateway holds it back.
        disabled: It was not even asked: the gateway holds its credential back after an earlier failure.
    """

    provider: str
    model: str
    to: str = ""
    cause: Cause | None = None
    wait: float | None = None
    disabled: bool = False


class TurnEnded(TurnFact, frozen=True, tag="turn-ended"):
    """It is over.

    Attributes:
        outcome: `ok` it was answered, `failed`, `aborted`.
        provider, model: Who answered; "" unknown.
        troubled: Something went wrong on the way.
    """

    outcome: Literal["ok", "failed", "aborted"]
    provider: str = ""
    model: str = ""
    troubled: bool = False


class TurnsLost(Fact, frozen=True, tag="turns-lost"):
    """Events of the gateway were lost: whether a turn went on meanwhile is unknown."""


class SessionRow(Fact, frozen=True, tag="session-row"):
    """The gateway's own record of one session.

    Attributes:
        session: Its key.
        session_id: Its id; "" there is no such session.
        pinned: A model was chosen for it by a person or a program.
        provider, model: The model it uses.
        running: Whether a turn is under way; None unknown.
    """

    session: str
    session_id: str = ""
    pinned: bool = False
    provider: str = ""
    model: str = ""
    running: bool | None = None


class Offered(Struct, frozen=True, omit_defaults=True):
    """A model the gateway offers to an agent.

    Attributes:
        name: `provider/model`.
        available: False: the gateway itself holds it back, until `until` if it says.
    """

    name: str
    available: bool | None = None
    until: float | None = None


class ModelsSeen(Fact, frozen=True, tag="models-seen"):
    """What one agent can use, when that changed.

    Attributes:
        agent: Its id.
        order: Its primary model and its fallbacks.
        offered: What the gateway knows; None: it could not be asked.
    """

    agent: str
    order: tuple[str, ...] = ()
    offered: tuple[Offered, ...] | None = None


class ModelProbed(Fact, frozen=True, tag="model-probed"):
    """A provider was asked a word to see whether it works again.

    Attributes:
        agent: With whose credentials.
        provider: Which.
        status: `ok`, the class of its refusal, or None: nobody can say.
        models: Models that were proven, `provider/model`.
    """

    agent: str
    provider: str
    status: Cause | Literal["ok"] | None = None
    models: tuple[str, ...] = ()


# ── what can be done ──


class SwitchModel(Targeted, frozen=True, tag="switch-model"):
    """Have a session use another model: a running turn goes on with it after its next failure.

    Attributes:
        session, session_id: Which session; nothing is done if it is another one by now.
        model: `provider/model`; known to the gateway.
        before: What was chosen for it: `provider/model`, or "" for its agent's own.
    """

    session: str
    session_id: str
    model: str
    before: str = ""
    risk: ClassVar[Risk] = "gentle"
    lane: ClassVar[Lane] = "sessions"
    limit: ClassVar[float] = 15.0
    settles: ClassVar[float] = 30.0


class AbortTurn(Targeted, frozen=True, tag="abort-turn"):
    """End a turn that hangs; `subject` is its run."""

    session: str
    risk: ClassVar[Risk] = "gentle"
    lane: ClassVar[Lane] = "sessions"
    limit: ClassVar[float] = 20.0
    settles: ClassVar[float] = 10.0


class ProbeModel(Targeted, frozen=True, tag="probe-model"):
    """Ask a provider one word, at the cost of a few tokens. Answered by ModelProbed."""

    agent: str
    provider: str
    risk: ClassVar[Risk] = "gentle"
    lane: ClassVar[Lane] = "probes"
    limit: ClassVar[float] = 40.0
