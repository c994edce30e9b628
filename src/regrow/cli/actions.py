"""`regrow actions`: what regrow did, how it ended, and what of it can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from regrow.cli.listing import listed, state, when
from regrow.cli.place import Place, json_option, placed

if TYPE_CHECKING:
    from regrow.record.history import History


@click.command("actions")
@placed
@click.option("--changes", is_flag=True, help="Only what was changed of your things, with the old values.")
@click.option("-n", "--last", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@json_option
def command(place: Place, *, changes: bool, last: int, as_json: bool) -> int:
    """What regrow did, newest first. With --changes: what can be undone with `regrow undo ID`.

    Exit code: 0, 69 if there is no journal.
    """

    def read(history: History) -> list[dict[str, Any]]:
        from regrow.record import shapes

        if changes:
            return [shapes.change(*found) for found in history.changes(last)]
        return history.actions(last)

    line = _change if changes else _action
    return listed(place, read, line, as_json=as_json, none="nothing was changed" if changes else "nothing was done")


def _action(a: dict[str, Any]) -> str:
    whose = "asked for" if a["human"] else f"by {a['domain'] or 'regrow'}"
    about = f" {a['subject']}" if a["subject"] else ""
    verdict = state(a["verdict"]) if a["verdict"] else "nobody saw its end" if a["endedAt"] else "under way"
    changed = f"  changed: {', '.join(a['changes'])}" if a["changes"] else ""
    detail = f" ({a['detail']})" if a["detail"] else ""
    return f"{when(a['at'])}  {a['id']}  {a['action']}{about}, {whose}: {a['reason']} → {verdict}{detail}{changed}"


def _change(c: dict[str, Any]) -> str:
    was, now = c["before"] or "nothing", c["after"] or "nothing"
    stands = f"no longer stands since {when(c['undoneAt'])}: {c['undone']}" if c["undoneAt"] else "stands"
    return f"{when(c['at'])}  {c['id']}  {c['kind']} {c['subject']}: {was} → {now} ({c['why']}); {stands}"
