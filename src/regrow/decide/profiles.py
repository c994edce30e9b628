"""Two sets of figures over the same code: what the field has learned, and the classic ones."""

from __future__ import annotations

from msgspec import Struct


class Policy(Struct, frozen=True, kw_only=True):
    """Every figure supervision runs on. All times in seconds.

    Attributes:
        ping_every, pong_within, max_misses: The heartbeat on the socket.
        misses_restart: Missed heartbeats alone restart the gateway (classic, never on Windows); otherwise they
            are evidence, and silence plus a failed core RPC proves it.
        ready_unproven_after: Call it ready without proof after this long; None means never.
        ready_probes: When to look after the spawn, before falling back to `probe_every`.
        reconnect_first, reconnect_cap, reconnect_tries: Doubling delays; after the tries a person is told.
        reconnect_slow: Delay of the slow retries that follow, for ever.
        restart_gap: Between two automatic restarts; none before the first.
        probe_every, probe_within: The liveness look over HTTP (the worst answer measured under load is 34 ms).
        misses_suspect, suspect_span: So many misses, over at least so long, make a suspect.
        rpc_within: Default limit of a call.
        stop_budget: A planned stop: the gateway drains up to 315 s and gives itself 325 s.
        hung_budget: After SIGTERM to a gateway proven hung.
        stranger_grace: A gateway that regrow only watched has ended: so long may whoever started it bring it back.
        lease_every: Our claim on the state directory is renewed, or tried for again, so often.
        update_settled: An installed package without a change for so long is whole.
        doctor: Whether doctor may run by itself, once per start flow, on a configuration-invalid signal.
    """

    name: str
    ping_every: float = 30.0
    pong_within: float = 12.0
    max_misses: int = 3
    misses_restart: bool = False
    ready_unproven_after: float | None = None
    ready_probes: tuple[float, ...] = (1.5, 3.0, 5.0, 8.0, 12.0, 30.0)
    reconnect_first: float = 1.0
    reconnect_cap: float = 30.0
    reconnect_tries: int = 10
    reconnect_slow: float = 60.0
    restart_gap: float = 2.5
    probe_every: float = 5.0
    probe_within: float = 2.0
    misses_suspect: int = 3
    suspect_span: float = 12.0
    rpc_within: float = 30.0
    stop_budget: float = 330.0
    hung_budget: float = 10.0
    restart_debounce: float = 2.0
    reload_debounce: float = 1.2
    stranger_grace: float = 20.0
    lease_every: float = 10.0
    update_settled: float = 15.0
    doctor: bool = False


DEFAULT = Policy(name="default")
CLASSIC = Policy(name="classic", misses_restart=True, ready_unproven_after=30.0, doctor=True)
PROFILES = {"default": DEFAULT, "classic": CLASSIC}


def policy(profile: str, *, windows: bool = False) -> Policy:
    """The figures of a profile on this kind of host.

    Args:
        profile: `default` or `classic`.
        windows: Use the longer Windows heartbeat, which never restarts.
    """
    chosen = PROFILES[profile]
    if not windows:
        return chosen
    return Policy(
        name=chosen.name,
        ready_unproven_after=chosen.ready_unproven_after,
        doctor=chosen.doctor,
        ping_every=60.0,
        pong_within=25.0,
        max_misses=5,
    )
