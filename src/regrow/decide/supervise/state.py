"""What is remembered about one supervised gateway, between one fact and the next."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from regrow.decide.domains.base import Note, Reply
from regrow.decide.profiles import Policy
from regrow.decide.supervise.boots import Boot
from regrow.decide.supervise.governor import Governor
from regrow.decide.supervise.hang import Hang
from regrow.decide.supervise.reconnect import Reconnect
from regrow.decide.supervise.restarts import Restart, Stopping
from regrow.decide.view import View


class Supervision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The liveness domain's state.

    Attributes:
        boot: The boot under way; None once it is proven ready or nothing runs.
        stopping: The end under way.
        restart: The restart under way or waiting.
        reload_due: When a debounced reload is due, with those who asked in `reload`.
        start_requests: People who wait for the gateway to be ready.
        start_human: A person asked for the start that is due.
        start_why: Who that was, and why.
        trouble: What went wrong since it was last ready, for people.
        refused: It would not start (78 and the like): owner and configuration are to be looked at first.
        looked_config: What the gateway's judge was last shown: (digest, time).
        judging: It is at work.
        owner_stale: Look who holds it before the next start.
        owner_looked: When that was last asked for.
        grace_until: A gateway that we only watched is gone; until then its owner may bring it back.
        kills: Times of our SIGKILLs.
        killed: The last life ended by SIGKILL.
        took, took_version: Seconds that boots took, of this version.
        in_place: Restarts inside the process since it was spawned.
        deaf_since: Since when the port refuses while the process lives.
        revived_at: When it was last woken up.
        proved_at: When an old version answered its health RPC.
        verify_at: When a core RPC was last asked for readiness or a silent socket.
        quitting: regrow itself is ending.
    """

    governor: Governor = Governor()
    hang: Hang = Hang()
    reconnect: Reconnect = Reconnect()
    boot: Boot | None = None
    stopping: Stopping | None = None
    restart: Restart | None = None
    reload: Restart | None = None
    start_requests: tuple[str, ...] = ()
    start_human: bool = False
    start_why: str = ""
    start_force: bool = False
    trouble: str = ""
    refused: bool = False
    looked_config: tuple[str, float] | None = None
    judging: bool = False
    owner_stale: bool = False
    owner_looked: float = -60.0
    grace_until: float = 0.0
    kills: tuple[float, ...] = ()
    killed: bool = False
    took: tuple[float, ...] = ()
    took_version: str = ""
    in_place: int = 0
    deaf_since: float | None = None
    revived_at: float | None = None
    proved_at: float | None = None
    verify_at: float = -60.0
    quitting: bool = False
    leave_running: bool = False


def waiting(s: Supervision) -> tuple[str, ...]:
    """Everybody who waits for the gateway to be ready again."""
    wishes = (s.restart, s.reload)
    return (*s.start_requests, *(request for wish in wishes if wish is not None for request in wish.requests))


class Scene(Struct, frozen=True, kw_only=True):
    """What a decision may look at besides the state: the View, the domain's settings, the figures, the time."""

    view: View
    config: Any
    policy: Policy
    at: float


class Folded(Struct, frozen=True):
    """A state with what is to be said about how it came about."""

    state: Supervision
    replies: tuple[Reply, ...] = ()
    notes: tuple[Note, ...] = ()


def answer(requests: tuple[str, ...], state: Any, text: str, until: float | None = None) -> tuple[Reply, ...]:
    """The same answer to everybody who waits."""
    return tuple(Reply(request, state, text, until) for request in requests if request)
