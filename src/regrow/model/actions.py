"""Everything that can be done, or looked at on purpose: each with a key, a reason and a risk.

Actions are short: none waits for the world to change. `Terminate` ends when the signal is sent; that the process
is gone is a fact of its own. Equal keys are the same wish and collapse.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct

from regrow.model.gateway import Process

Risk = Literal["look", "gentle", "disruptive", "destructive"]


class Action(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="action"):
    """One wish. `reason` is for people; `human` marks an explicit request, `request` names it."""

    reason: str
    human: bool = False
    request: str = ""
    epoch: int = 0

    risk: ClassVar[Risk] = "look"
    limit: ClassVar[float] = 30.0  # seconds after which the executor gives the action up

    @property
    def kind(self) -> str:
        """The action's name, as journalled."""
        return str(self.__struct_config__.tag)

    @property
    def key(self) -> str:
        """Equal keys collapse: the same thing is not done twice at once."""
        return self.kind


# ── looks: they change nothing ──


class LookOwner(Action, frozen=True, tag="look-owner"):
    """Find out who holds the state directory and the port. Answered by OwnerSeen."""


class LookConfig(Action, frozen=True, tag="look-config"):
    """Have the gateway's own judge look at openclaw.json. Answered by ConfigSeen."""

    limit: ClassVar[float] = 90.0


class Verify(Action, frozen=True, tag="verify"):
    """Ask one core RPC, five seconds at most. Answered by Verified."""

    limit: ClassVar[float] = 8.0


class Capture(Action, frozen=True, tag="capture"):
    """Keep evidence (process state, stack, last output) before a process is ended."""


# ── the link ──


class Dial(Action, frozen=True, tag="dial"):
    """Open the socket. Answered by LinkUp or LinkRefused."""

    attempt: int = 0


class HangUp(Action, frozen=True, tag="hang-up"):
    """Close our socket: a half-open one is worth nothing."""


# ── the process ──


class Start(Action, frozen=True, tag="start"):
    """Spawn the gateway (or have its service manager start it). Answered by ChildStarted."""

    force: bool = False
    risk: ClassVar[Risk] = "gentle"
    limit: ClassVar[float] = 120.0


class RestartInPlace(Action, frozen=True, tag="restart-in-place"):
    """Have the gateway restart inside its process, by RPC or by the signal its version means."""

    skip_drain: bool = False
    force: bool = False
    risk: ClassVar[Risk] = "disruptive"


class Terminate(Action, frozen=True, tag="terminate"):
    """Tell a proven gateway process to end (SIGTERM, or its service manager). Answered by ChildExited."""

    process: Process
    risk: ClassVar[Risk] = "disruptive"


class Kill(Action, frozen=True, tag="kill"):
    """End a proven gateway process without its consent (SIGKILL), the last resort. Answered by ChildExited."""

    process: Process
    risk: ClassVar[Risk] = "destructive"


class Continue(Action, frozen=True, tag="continue"):
    """Let a stopped process run again (SIGCONT)."""

    process: Process
    risk: ClassVar[Risk] = "gentle"


class Revive(Action, frozen=True, tag="revive"):
    """Wake a gateway that lives without a listener after a failed restart (the restart signal of its version)."""

    process: Process
    risk: ClassVar[Risk] = "gentle"


# ── its files ──


class Reload(Action, frozen=True, tag="reload"):
    """Have the gateway read its secrets and settings again without a restart."""

    risk: ClassVar[Risk] = "gentle"


class Doctor(Action, frozen=True, tag="doctor"):
    """Let OpenClaw's doctor repair the configuration: snapshot, run, diff, revert if it removed what was valid."""

    risk: ClassVar[Risk] = "destructive"
    limit: ClassVar[float] = 150.0


class RestoreConfig(Action, frozen=True, tag="restore-config"):
    """Put back a stored configuration that this version once served; the bad one is kept."""

    digest: str
    risk: ClassVar[Risk] = "destructive"

    @property
    def key(self) -> str:
        """One restore per stored copy."""
        return f"{self.kind}:{self.digest[:12]}"


AnyAction = (
    LookOwner | LookConfig | Verify | Capture | Dial | HangUp | Start | RestartInPlace | Terminate
    | Kill | Continue | Revive | Reload | Doctor | RestoreConfig
)  # fmt: skip
