"""What `regrow status` says: the View in the words programs rely on."""

from __future__ import annotations

from typing import Any

import msgspec

from regrow.decide.engine import State
from regrow.decide.people import is_paused
from regrow.decide.supervise.state import Supervision
from regrow.link.line import Diagnostics
from regrow.model.gateway import Phase
from regrow.record import shapes

STATUS = {"running": "connected", "starting": "reconnecting", "reconnecting": "reconnecting"}


def status(
    state: State, diagnostics: Diagnostics, *, name: str, at: float, connected_at: float | None, dry_run: bool
) -> dict[str, Any]:
    """The status as a JSON-able object; times in epoch milliseconds.

    Args:
        state: What the engine knows.
        diagnostics: What the line has been through.
        name: The keeper's name.
        at: Now.
        connected_at: When the socket was opened, None if it is not.
        dry_run: Nothing is done.
    """
    view = state.view
    liveness: Supervision = state.domains["liveness"]
    governor, restart = liveness.governor, liveness.restart
    pending = restart.reason if restart is not None else ""
    due = restart.due if restart is not None else max(governor.not_before, liveness.grace_until)
    paused, pause_end = is_paused(view)
    waiting = view.phase in (Phase.BACKOFF, Phase.QUARANTINE) and due > at
    return {
        "status": STATUS.get(view.phase.public, "disconnected"),
        "lifecycleState": view.phase.public,
        "phase": str(view.phase),
        "phaseSince": _ms(view.phase_since),
        "gatewayReady": view.ready,
        "mode": str(view.mode),
        "port": view.port,
        "pid": view.process.pid if view.process is not None else None,
        "version": view.version or (view.package.version if view.package is not None else ""),
        "bootId": view.boot_id,
        "connectedAt": _ms(connected_at),
        "uptime": round((at - view.ready_at) * 1000) if view.ready else None,
        "reconnectAttempts": liveness.reconnect.attempt,
        "reconnects": {
            "attempts": liveness.reconnect.attempts,
            "successes": liveness.reconnect.successes,
            "successRate": liveness.reconnect.rate,
        },
        "lastError": liveness.trouble or None,
        "diagnostics": msgspec.to_builtins(diagnostics),
        "restarts": {
            "executed": governor.executed,
            "suppressed": governor.suppressed,
            "pending": pending or None,
            "pendingUntil": _ms(due) if (restart is not None or waiting) and due > at else None,
            "lastReason": governor.last_reason or None,
        },
        "want": view.want,
        "wantSince": _ms(view.want_since),
        "wantBy": view.want_by or None,
        "owner": view.owner or "unknown",
        "ownerDetail": view.owner_detail or None,
        "observeOnly": view.observed_only or None,
        "dryRun": dry_run,
        "config": {
            "valid": view.config_ok,
            "problems": list(view.config.problems) if view.config is not None else [],
        },
        "suppressed": list(view.probe.suppressed) if view.probe is not None else [],
        "failing": list(view.probe.failing) if view.probe is not None else [],
        "episodes": [shapes.episode(episode) for episode in state.episodes.open.values()],
        "proposals": [shapes.proposal(offer.proposal) for offer in state.desk.proposals.open.values()],
        "pausedUntil": _ms(pause_end) if paused and pause_end is not None else None,
        "paused": paused,
        "name": name,
        "at": _ms(at),
    }


def _ms(seconds: float | None) -> int | None:
    return None if not seconds else round(seconds * 1000)
