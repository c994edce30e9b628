"""When the socket is dialled again: promptly first, slower later, for ever; a person is told in between."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.backoff import doubling, equal_jitter
from regrow.decide.profiles import Policy

BLIND_PAUSE = 120.0  # a refused token is not hammered: lock-outs hit real clients


class Reconnect(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The dialling so far.

    Attributes:
        attempt: Failed attempts in a row since the last good connection.
        next_at: Not before this.
        attempts, successes: Totals over re-connections, for the success rate.
        gave_up_at: When the quick attempts ran out, None if they did not.
    """

    attempt: int = 0
    next_at: float = 0.0
    attempts: int = 0
    successes: int = 0
    gave_up_at: float | None = None

    @property
    def rate(self) -> float:
        """Successes per attempt, four decimals, 0 before the first."""
        return round(self.successes / self.attempts, 4) if self.attempts else 0.0


def lost(r: Reconnect, at: float, policy: Policy, *, hint: float | None = None) -> Reconnect:
    """The connection closed: the first new attempt comes after the first delay, or after the gateway's own hint."""
    first = hint if hint is not None else equal_jitter(policy.reconnect_first, "reconnect", at)
    return replace(r, attempt=0, next_at=at + first)


def dialled(r: Reconnect) -> Reconnect:
    """An attempt is about to be made."""
    return replace(r, attempts=r.attempts + 1)


def connected(r: Reconnect) -> Reconnect:
    """It worked."""
    return replace(r, attempt=0, next_at=0.0, successes=min(r.successes + 1, r.attempts), gave_up_at=None)


def refused(
    r: Reconnect, at: float, policy: Policy, *, blind: bool = False, retry_after: float | None = None
) -> Reconnect:
    """It did not work.

    Args:
        r: The dialling so far.
        at: Now.
        policy: Delays and the number of quick attempts.
        blind: It is there but does not want us: pausing longer is the polite thing.
        retry_after: The gateway's own hint ('still starting, 0.5 s'); it is not a failure then.
    """
    if retry_after is not None:
        return replace(r, next_at=at + max(0.1, retry_after), attempts=max(0, r.attempts - 1))
    attempt = r.attempt + 1
    if blind:
        return replace(r, attempt=attempt, next_at=at + BLIND_PAUSE)
    if attempt >= policy.reconnect_tries:
        wait = equal_jitter(policy.reconnect_slow, "reconnect", at)
        return replace(r, attempt=attempt, next_at=at + wait, gave_up_at=r.gave_up_at or at)
    wait = equal_jitter(doubling(attempt + 1, policy.reconnect_first, policy.reconnect_cap), "reconnect", at)
    return replace(r, attempt=attempt, next_at=at + wait)


def spoken_to(r: Reconnect, at: float) -> Reconnect:
    """Evidence says that it is there again: dial now."""
    return replace(r, next_at=min(r.next_at, at))
