"""Everything that can be seen. A fact says what was observed and when, never what it means.

`at` is in seconds since the epoch on a clock that never runs backwards within one life of regrow.
In every fact `None` means *unknown*: it neither counts against anything nor clears anything.
"""

from __future__ import annotations

from typing import Literal

from regrow.model.actions import AnyAction
from regrow.model.changes import Change
from regrow.model.fact import Fact
from regrow.model.gateway import Mode, Process
from regrow.model.models import ModelFailed, ModelsSeen, TurnEnded, TurnRetrying, TurnWentOn
from regrow.model.resources import ResourcesSeen
from regrow.model.verdicts import Verdict

Verb = Literal[
    "start", "stop", "restart", "reload", "adopt", "doctor", "restore",
    "approve", "reject", "undo", "pause", "resume",
]  # fmt: skip
"""What a person may ask for."""


# ── time and host ──


class Tick(Fact, frozen=True, tag="tick"):
    """Time passed. `lag`: how late our own loop was, in seconds. `slept`: seconds the host was asleep."""

    lag: float = 0.0
    slept: float = 0.0


class HostSeen(Fact, frozen=True, tag="host-seen"):
    """The host's own health: `route` is False when no network route exists, `pressed` when memory stalls tasks."""

    route: bool | None = None
    pressed: bool | None = None


# ── the process ──


class OwnerSeen(Fact, frozen=True, tag="owner-seen"):
    """Who holds the state directory and the port right now.

    Attributes:
        owner: `none` nobody; `ours` a process regrow spawned or adopted; `unit` a gateway of this state directory
            that a service manager runs; `gateway` a gateway of this state directory that regrow has not met
            before; `listener` something on the port that is not this gateway; `healer` a gateway of ours, but
            another regrow holds its lease; `remote` it is reached by URL only.
        detail: For people: the command, unit or user, with secrets removed.
        rivals: Other supervisors found (a unit, a watchdog, the self-healing plugin in the gateway).
    """

    owner: Literal["none", "ours", "unit", "gateway", "listener", "healer", "remote"]
    process: Process | None = None
    port: int | None = None
    mode: Mode = Mode.OWN
    detail: str = ""
    rivals: tuple[str, ...] = ()


class ChildStarted(Fact, frozen=True, tag="child-started"):
    """A gateway process of ours exists, or one was taken over (`adopted`: it was running before)."""

    process: Process
    port: int
    epoch: int
    adopted: bool = False


class ChildExited(Fact, frozen=True, tag="child-exited"):
    """A gateway process is gone. `code` is None if unknown (it was not our child); negative is a signal.

    Attributes:
        fingerprint: Names the crash: same text, same cause. Empty if it left no words.
        culprit: The plugin the crash points at, if one is named.
        config_invalid: True if its last words blame the configuration.
        last: The last lines it wrote, secrets removed.
        cpu: CPU seconds this life burnt.
        handed_over: It wrote a hand-off: it ended in order to be started again (external-supervisor contract).
    """

    process: Process
    code: int | None = None
    handed_over: bool = False
    fingerprint: str = ""
    culprit: str = ""
    config_invalid: bool = False
    last: tuple[str, ...] = ()
    cpu: float = 0.0


class ProcessSeen(Fact, frozen=True, tag="process-seen"):
    """The kernel's word on the process: `state` is R, S, D, T (stopped), t (traced) or Z; `cpu` seconds so far."""

    process: Process
    state: str
    cpu: float
    rss: int = 0


class OutputSeen(Fact, frozen=True, tag="output-seen"):
    """A line of the gateway's output that means something: a milestone of the boot or a known trouble."""

    kind: Literal["progress", "ready", "startup-failed", "breaker-tripped", "breaker-recovered", "trouble"]
    text: str = ""


# ── what the gateway answers ──


class Probed(Fact, frozen=True, tag="probed"):
    """One look at the HTTP probes.

    Attributes:
        tcp: True the port accepts, False it refuses, None the look itself failed (our fault, host sick).
        live: True `/healthz` answered as a gateway; False silence or nonsense; None not looked.
        started: True the boot is over; False still starting or draining; None unknown (old version).
        draining: True if it says that it is draining.
        pending: What the boot waits for.
        ready: `/readyz`. Never a reason to restart: one broken channel makes it False.
        failing: What `/readyz` names.
        suppressed: Channels muted by the gateway's crash-loop breaker.
        boot_age: Seconds since this boot of the gateway, if it says.
        took: Seconds the liveness answer took.
    """

    tcp: bool | None = None
    live: bool | None = None
    started: bool | None = None
    draining: bool = False
    pending: str = ""
    ready: bool | None = None
    failing: tuple[str, ...] = ()
    suppressed: tuple[str, ...] = ()
    version: str = ""
    boot_age: float | None = None
    took: float = 0.0


class Verified(Fact, frozen=True, tag="verified"):
    """The answer to one core RPC asked on suspicion. `ok` None: we could not ask (no socket, no scope)."""

    ok: bool | None
    took: float = 0.0
    detail: str = ""


class LinkUp(Fact, frozen=True, tag="link-up"):
    """The socket is open and the gateway greeted us."""

    version: str
    protocol: int
    boot_id: str = ""
    boot_age: float | None = None
    methods: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    state_dir: str = ""
    config_path: str = ""


class LinkDown(Fact, frozen=True, tag="link-down"):
    """The socket closed. `code` is the WebSocket close code, 1006 if it just ended."""

    code: int
    reason: str = ""


class LinkRefused(Fact, frozen=True, tag="link-refused"):
    """The gateway, or the network, did not let us connect.

    `blind` means that the gateway is there but will not talk to us (wrong token, pairing needed): we cannot
    observe, which is not the same as down.
    """

    code: str
    reason: str = ""
    blind: bool = False
    retry_after: float | None = None


class Heard(Fact, frozen=True, tag="heard"):
    """Any frame or pong arrived since the last such fact (at most one fact per second)."""


class PongMissed(Fact, frozen=True, tag="pong-missed"):
    """A ping was not answered in time. `misses` in a row."""

    misses: int


class RestartAnnounced(Fact, frozen=True, tag="restart-announced"):
    """The gateway says that it is going down: `restarting` in place, or for good."""

    restarting: bool
    reason: str = ""


# ── its files ──


class ConfigSeen(Fact, frozen=True, tag="config-seen"):
    """openclaw.json as it lies on disk.

    Attributes:
        digest: SHA-256 of its bytes, those of included files with them; "" if there is no file.
        parsed: It is JSON5.
        valid: The gateway's own judgement of exactly these bytes; None if not asked yet.
        problems: What is wrong with it.
        reload_kind: What applying it takes, if known: `none`, `hot` or `restart`.
        clobbered: A `.clobbered.*` or `.rejected.*` copy appeared.
        composed: Parts of it lie in other files (`$include`).
    """

    digest: str
    parsed: bool
    valid: bool | None = None
    problems: tuple[str, ...] = ()
    reload_kind: Literal["unknown", "none", "hot", "restart"] = "unknown"
    reload_mode: Literal["hybrid", "reload", "restart", "off"] = "hybrid"
    reload_debounce: float = 1.2
    clobbered: tuple[str, ...] = ()
    composed: bool = False


class ConfigKept(Fact, frozen=True, tag="config-kept"):
    """A configuration that reached ready was stored, by content, with the version that served it.

    `composed`: of several files, which are not put back: the stored copy is for people.
    """

    digest: str
    version: str
    composed: bool = False


class PackageSeen(Fact, frozen=True, tag="package-seen"):
    """The installed OpenClaw: `quiet` False while files are still being written (an update under way)."""

    version: str
    stamp: str
    quiet: bool = True


# ── people and our own doing ──


class Asked(Fact, frozen=True, tag="asked"):
    """A person (or a program for one) asked for something. Never withheld by budget, breaker or pause.

    Attributes:
        id: Names the request, so that its answer finds the way back.
        force: Overrides the guard against an invalid configuration, and nothing else.
        delay: Debounce in seconds: several within it become one.
        topics: What changed, for the `runtime:changed` event.
        subject: What it is about: a proposal, a change to undo, a stored configuration, a model.
        lasts: Seconds a pause is to last; 0 until somebody says `resume`.
    """

    id: str
    verb: Verb
    by: str = "cli"
    reason: str = ""
    force: bool = False
    delay: float = 0.0
    topics: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    channel_type: str = ""
    account_id: str = ""
    subject: str = ""
    lasts: float = 0.0


class Intended(Fact, frozen=True, tag="intended"):
    """An action was journalled and is about to be done."""

    action: AnyAction


class Ended(Fact, frozen=True, tag="ended"):
    """An action is over; `verdict` says how. Accepted is not cured: the symptom decides."""

    action: AnyAction
    verdict: Verdict


class Started(Fact, frozen=True, tag="started"):
    """regrow itself began. Carries what outlived the last life."""

    want: Literal["running", "stopped"] = "running"
    want_since: float = 0.0
    want_by: str = ""
    dry_run: bool = False


class ChangesKept(Fact, frozen=True, tag="changes-kept"):
    """What earlier lives of ours changed and nobody has undone, as the journal remembers it."""

    changes: tuple[Change, ...]


class Quitting(Fact, frozen=True, tag="quitting"):
    """regrow itself is going to end. `leave_running`: the gateway is to live on."""

    leave_running: bool = False


AnyFact = (
    Tick | HostSeen | OwnerSeen | ChildStarted | ChildExited | ProcessSeen | OutputSeen | Probed | Verified
    | LinkUp | LinkDown | LinkRefused | Heard | PongMissed | RestartAnnounced | ConfigSeen | ConfigKept
    | PackageSeen | Asked | Intended | Ended | Started | ChangesKept | Quitting | ResourcesSeen
    | TurnRetrying | TurnWentOn | ModelFailed | TurnEnded | ModelsSeen
)  # fmt: skip
