"""Everything that can be done, or looked at on purpose: each with a key, a reason and a risk.

Actions are short: none waits for the world to change. `Terminate` ends when the signal is sent; that the process
is gone is a fact of its own. Equal keys are the same wish and collapse.
"""

from __future__ import annotations

from typing import ClassVar

from regrow.model.action import Action, Lane, Risk, Targeted
from regrow.model.changes import Change
from regrow.model.gateway import Process
from regrow.model.models import SwitchModel

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


class RestartGateway(Action, frozen=True, tag="restart-gateway"):
    """Hand a wish for a restart to supervision, which validates, drains, restarts and proves it.

    `full`: a new process, not only a new boot inside the running one.
    """

    full: bool = False
    risk: ClassVar[Risk] = "disruptive"
    settles: ClassVar[float] = 120.0


# ── what was changed before ──


class Undo(Action, frozen=True, tag="undo"):
    """Put back what was changed, unless somebody changed it again meanwhile."""

    changes: tuple[Change, ...]
    risk: ClassVar[Risk] = "gentle"
    lane: ClassVar[Lane] = "sessions"
    limit: ClassVar[float] = 120.0

    @property
    def key(self) -> str:
        """One undoing per first change."""
        return f"{self.kind}:{self.changes[0].id if self.changes else ''}"


# ── telling people ──


class FileIssue(Targeted, frozen=True, tag="file-issue"):
    """Open a GitHub issue about the subject, or add to the open one. The gateway is not touched.

    A write within the cooldown is refused with `retry_at`: wish it once per incident, not as long as it stands.

    Attributes:
        title, body: For people; secrets are removed before it is sent. `decide/reports.py` has the words.
        label: Another than the one in the settings, or "".
    """

    title: str
    body: str
    label: str = ""
    risk: ClassVar[Risk] = "gentle"
    lane: ClassVar[Lane] = "people"
    limit: ClassVar[float] = 20.0


AnyAction = (
    LookOwner | LookConfig | Verify | Capture | Dial | HangUp | Start | RestartInPlace | Terminate
    | Kill | Continue | Revive | Reload | Doctor | RestoreConfig | RestartGateway | Undo | SwitchModel
    | FileIssue
)  # fmt: skip
