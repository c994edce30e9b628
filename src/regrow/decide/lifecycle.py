"""The table of phases: start, ready, lose, back off, hold, stop."""

from __future__ import annotations

from enum import StrEnum

from regrow.model.gateway import Phase


class Signal(StrEnum):
    """What moves a gateway from one phase to another."""

    FOUND = "found"  # a gateway process is there and not known to be ready
    READY = "ready"  # proven ready
    LOST = "lost"  # its socket is gone, its process may live
    BOOTING = "booting"  # it restarts inside its process
    TOLD = "told"  # told to end
    GONE = "gone"  # its process ended and nothing has been decided yet
    RESTED = "rested"  # stays down because a person wants it so, or nobody asked yet
    WAIT = "wait"  # will be started after a delay
    RARELY = "rarely"  # will be tried rarely
    BLOCKED = "blocked"  # cannot be started until something changes
    TAKEN = "taken"  # somebody else holds the port or the state directory


_P, _S = Phase, Signal

DOWN = (_P.STOPPED, _P.BACKOFF, _P.QUARANTINE, _P.HELD, _P.FOREIGN)

TABLE: dict[tuple[Phase, Signal], Phase] = {
    # where nothing runs, anything that keeps it down may follow anything else
    **{
        (phase, signal): target
        for phase in DOWN
        for signal, target in (
            (_S.FOUND, _P.STARTING),
            (_S.RESTED, _P.STOPPED),
            (_S.WAIT, _P.BACKOFF),
            (_S.RARELY, _P.QUARANTINE),
            (_S.BLOCKED, _P.HELD),
            (_S.TAKEN, _P.FOREIGN),
            (_S.GONE, _P.STOPPED),
        )
    },
    (_P.STARTING, _S.FOUND): _P.STARTING,
    (_P.STARTING, _S.READY): _P.RUNNING,
    (_P.STARTING, _S.LOST): _P.STARTING,
    (_P.STARTING, _S.BOOTING): _P.STARTING,
    (_P.STARTING, _S.TOLD): _P.STOPPING,
    (_P.STARTING, _S.GONE): _P.STOPPED,
    (_P.STARTING, _S.BLOCKED): _P.HELD,
    (_P.RUNNING, _S.FOUND): _P.STARTING,
    (_P.RUNNING, _S.READY): _P.RUNNING,
    (_P.RUNNING, _S.LOST): _P.RECONNECTING,
    (_P.RUNNING, _S.BOOTING): _P.STARTING,
    (_P.RUNNING, _S.TOLD): _P.STOPPING,
    (_P.RUNNING, _S.GONE): _P.STOPPED,
    (_P.RUNNING, _S.BLOCKED): _P.HELD,
    (_P.RECONNECTING, _S.FOUND): _P.STARTING,
    (_P.RECONNECTING, _S.READY): _P.RUNNING,
    (_P.RECONNECTING, _S.LOST): _P.RECONNECTING,
    (_P.RECONNECTING, _S.BOOTING): _P.STARTING,
    (_P.RECONNECTING, _S.TOLD): _P.STOPPING,
    (_P.RECONNECTING, _S.GONE): _P.STOPPED,
    (_P.RECONNECTING, _S.BLOCKED): _P.HELD,
    (_P.STOPPING, _S.FOUND): _P.STARTING,
    (_P.STOPPING, _S.TOLD): _P.STOPPING,
    (_P.STOPPING, _S.LOST): _P.STOPPING,
    (_P.STOPPING, _S.READY): _P.STOPPING,
    (_P.STOPPING, _S.BOOTING): _P.STOPPING,
    (_P.STOPPING, _S.GONE): _P.STOPPED,
    # a gateway without a listener is held while its process lives; waking it up is a boot
    (_P.HELD, _S.BOOTING): _P.STARTING,
    (_P.HELD, _S.READY): _P.RUNNING,
    (_P.HELD, _S.TOLD): _P.STOPPING,
    (_P.HELD, _S.LOST): _P.HELD,
}


class Impossible(Exception):  # noqa: N818
    """A signal that its phase does not know: a fault in our own reasoning."""


def advance(phase: Phase, signal: Signal) -> Phase:
    """The phase that follows.

    Raises:
        Impossible: The table has no such entry.
    """
    try:
        return TABLE[phase, signal]
    except KeyError:
        raise Impossible(f"{signal} cannot happen to a gateway that is {phase}") from None
