"""A gateway as we believe it to be: who it is, how it is held, which phase it is in."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Mode(StrEnum):
    """How a gateway is held, and so what a restart means."""

    OWN = "own"  # we spawned it: drain, stop, start the child
    SERVICE = "service"  # systemd or launchd owns it: through the service manager
    ATTACH = "attach"  # somebody else's, or remote: RPC and reconnecting only, never a signal


class Phase(StrEnum):
    """Where a gateway is in its life. `public` maps it to the five states programs rely on."""

    STOPPED = "stopped"  # a person wants it stopped, or nothing has been asked yet
    STARTING = "starting"  # spawned or found, not yet proven ready
    RUNNING = "running"  # proven ready and answering
    RECONNECTING = "reconnecting"  # was ready; its socket is gone, its process may live
    STOPPING = "stopping"  # told to end; its exit is awaited
    BACKOFF = "backoff"  # ended by itself; started again after a delay
    QUARANTINE = "quarantine"  # keeps failing to boot: tried rarely, for ever, and a person was told
    HELD = "held"  # starting cannot help until something changes (invalid config, update under way)
    FOREIGN = "foreign"  # somebody else holds the port or the state directory

    @property
    def public(self) -> str:
        """`stopped`, `starting`, `running`, `reconnecting` or `error`."""
        return _PUBLIC[self]


_PUBLIC = {
    Phase.STOPPED: "stopped",
    Phase.STARTING: "starting",
    Phase.RUNNING: "running",
    Phase.RECONNECTING: "reconnecting",
    Phase.STOPPING: "stopped",
    Phase.BACKOFF: "reconnecting",
    Phase.QUARANTINE: "error",
    Phase.HELD: "error",
    Phase.FOREIGN: "error",
}


class Process(Struct, frozen=True):
    """One life of one process. A pid alone is never enough: pids are reused.

    Attributes:
        pid: The process id.
        started: Start time in clock ticks since boot on Linux, else in 1/100 s since the epoch.
    """

    pid: int
    started: int
