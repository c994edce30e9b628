"""Episodes, proposals and actions in the shape that programs rely on; times in epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from regrow.model.changes import Change
from regrow.model.verdicts import Episode, Proposal


def episode(e: Episode) -> dict[str, Any]:
    """One episode."""
    return {
        "id": e.id, "domain": e.domain, "subject": e.subject, "openedAt": ms(e.opened), "closedAt": ms(e.closed),
        "state": e.state, "rule": e.rule or None, "evidence": list(e.evidence),
        "remedies": [
            {
                "action": t.action, "reason": t.reason, "at": ms(t.at), "endedAt": ms(t.ended),
                "verdict": t.verdict or None, "by": t.by or None, "detail": t.detail, "effect": t.effect or None,
                "human": t.human, "changes": list(t.changes),
            }
            for t in e.remedies
        ],
        "held": [{"action": h.action, "by": h.by, "detail": h.detail, "at": ms(h.at)} for h in e.held],
    }  # fmt: skip


def proposal(p: Proposal) -> dict[str, Any]:
    """One proposal."""
    times = {"createdAt": ms(p.created), "expiresAt": ms(p.expires), "decidedAt": ms(p.decided)}
    plain = {k: v for k, v in msgspec.to_builtins(p).items() if k not in ("created", "expires", "decided", "key")}
    return {"by": "", "why": "", "state": "waiting", **plain, **times}


def action(
    number: int, data: Mapping[str, Any], at: float, outcome: Mapping[str, Any] | None, ended: float | None
) -> dict[str, Any]:
    """One action that was journalled; `outcome` None: nobody saw its end."""
    verdict = outcome or {}
    return {
        "id": f"a{number}", "action": data.get("action"), "domain": data.get("domain"),
        "subject": data.get("subject"), "reason": data.get("reason", ""), "human": bool(data.get("human")),
        "at": ms(at),
        "endedAt": ms(ended), "verdict": verdict.get("result"), "by": verdict.get("by") or None,
        "detail": verdict.get("detail", ""),
        "changes": [c["id"] for c in verdict.get("changes", ()) if isinstance(c, dict) and "id" in c],
    }  # fmt: skip


def change(c: Change, gone_at: float | None, gone: str) -> dict[str, Any]:
    """One change to a user's thing; `undoneAt` None: it stands and can be undone."""
    return {
        "id": c.id, "kind": c.kind, "subject": c.subject, "before": c.before, "after": c.after, "at": ms(c.at),
        "domain": c.domain, "why": c.why, "undoneAt": ms(gone_at), "undone": gone or None,
    }  # fmt: skip


def ms(seconds: float | None) -> int | None:
    """Epoch seconds as milliseconds."""
    return None if seconds is None else round(seconds * 1000)
