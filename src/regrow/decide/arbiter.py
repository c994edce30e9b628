"""Many wishes, one plan: merged by key, ranked, none twice at once."""

from __future__ import annotations

from collections.abc import Iterable

from regrow.model.actions import AnyAction

RANK = (
    "capture", "continue", "kill", "terminate", "hang-up", "restore-config", "doctor", "start", "revive",
    "switch-model", "undo", "restart-in-place", "restart-gateway", "reload", "file-issue", "verify", "look-owner",
    "look-config", "dial",
)  # fmt: skip
"""What comes first when several are due: what lets it live, ends it, mends it, starts it, tells of it, then looks."""


def arrange(wishes: Iterable[AnyAction], pending: frozenset[str]) -> list[AnyAction]:
    """The plan, best first.

    Args:
        wishes: What the domains want.
        pending: Keys that were planned and have not ended.
    """
    chosen: dict[str, AnyAction] = {}
    for wish in wishes:
        before = chosen.get(wish.key)
        if wish.key in pending or (before is not None and (before.human or not wish.human)):
            continue
        chosen[wish.key] = wish
    return sorted(chosen.values(), key=lambda action: RANK.index(action.kind))
