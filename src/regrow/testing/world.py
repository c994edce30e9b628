"""What a fake gateway claims about itself; every field may be changed while it runs."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Final


class State(StrEnum):
    """What the fake gateway is doing."""

    STARTING = "starting"  # listens, is alive, lets nobody in yet
    READY = "ready"
    DRAINING = "draining"  # alive, keeps its sockets, lets nobody new in
    HUNG = "hung"  # as if stopped by SIGSTOP: accepts connections and says nothing at all
    ZOMBIE = "zombie"  # the process lives, the port is closed


class _Silence:
    """The type of SILENCE."""


SILENCE: Final = _Silence()  # as an answer: none ever comes

Answer = Any | Callable[[Mapping[str, Any]], Any | Awaitable[Any]]


class World:
    """The facts a fake gateway answers with.

    Attributes:
        protocol: 4, or 3 for a gateway of early 2026: other probes, fewer methods, other errors.
        version: The OpenClaw version it claims.
        token: The token it wants; None lets everybody in.
        state_dir: The state directory it claims.
        boot_id: Changes with every restart.
        boot_time: Seconds from listening to ready.
        restart_time: Seconds a restart keeps the port closed.
        granted: The scopes it grants whatever is asked; None grants what is asked.
        failing: What `/readyz` names as failing.
        suppressed: Channels muted by its crash-loop breaker.
        channels: Channel id to account status, as `channels.status` tells it.
        agents: Agent id to its models, the primary first, as `provider/model`.
        models: The models it offers, each with what `models.list` says of it beside the usual.
        probes: Provider to the status a probe of it finds; `ok` if it is not named.
        sessions: Session key to its row; see `regrow.testing.sessions.session`.
        config_valid: Whether its openclaw.json is valid. A restart while it is not leaves it without a listener.
        answers: Method to its answer; see `FakeGateway.on`.
        calls: Every call that arrived: method and parameters.
        pid: The process id it claims; its own by default.
        paired: Device ids that were seen with a valid proof.
    """

    def __init__(self, *, token: str | None, protocol: int, version: str | None, state_dir: str) -> None:
        self.protocol = protocol
        self.version = version or ("2026.9.6" if protocol >= 4 else "2026.4.29")
        self.token = token
        self.state_dir = state_dir
        self.boot_id = str(uuid.uuid4())
        self.process_instance = str(uuid.uuid4())
        self.process_since = time.monotonic()
        self.boot_since = time.monotonic()
        self.boot_time = 0.0
        self.restart_time = 0.05
        self.granted: tuple[str, ...] | None = None
        self.failing: tuple[str, ...] = ()
        self.suppressed: tuple[str, ...] = ()
        self.channels: dict[str, dict[str, Any]] = {}
        self.agents: dict[str, tuple[str, ...]] = {"main": ("fakea/m1", "fakeb/m1")}
        self.models: dict[str, dict[str, Any]] = {name: {} for name in ("fakea/m1", "fakea/m2", "fakeb/m1")}
        self.probes: dict[str, str] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.config_valid = True
        self.idle = asyncio.Event()
        self.active_work = 0
        self.answers: dict[str, Answer] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.pid = os.getpid()
        self.paired: set[str] = set()
        self.port = 0
        self.state = State.STARTING

    @property
    def active_work(self) -> int:
        """How many things are in flight; a restart waits until none are."""
        return self._active_work

    @active_work.setter
    def active_work(self, count: int) -> None:
        self._active_work = count
        (self.idle.clear if count else self.idle.set)()

    @property
    def is_old(self) -> bool:
        """True for a gateway of early 2026."""
        return self.protocol < 4

    @property
    def config_path(self) -> str:
        """The configuration file it claims."""
        return f"{self.state_dir}/openclaw.json"

    @property
    def process_age_ms(self) -> int:
        """Milliseconds since the process claims to have started."""
        return int((time.monotonic() - self.process_since) * 1000)

    @property
    def boot_age_ms(self) -> int:
        """Milliseconds since the last start or restart."""
        return int((time.monotonic() - self.boot_since) * 1000)


def now_ms() -> int:
    """Return the time as gateways write it."""
    return int(time.time() * 1000)
