"""`regrow proposals`: what waits for a person's decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from regrow.cli.listing import listed, state, when
from regrow.cli.place import Place, json_option, placed

if TYPE_CHECKING:
    from regrow.record.history import History


@click.command("proposals")
@placed
@click.option("--all", "also_decided", is_flag=True, help="Those that were decided or expired, too.")
@click.option("-n", "--last", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many.")
@json_option
def command(place: Place, *, also_decided: bool, last: int, as_json: bool) -> int:
    """What regrow would do and asks you about: `regrow approve ID`, or `regrow reject ID --why TEXT`.

    Exit code: 0, 69 if there is no journal.
    """

    def read(history: History) -> list[dict[str, Any]]:
        from regrow.record import shapes

        found = history.proposals(None if also_decided else "waiting", last)
        return [shapes.proposal(p) for p in found]

    return listed(place, read, _lines, as_json=as_json, none="nothing waits for you")


def _lines(p: dict[str, Any]) -> str:
    told = [
        f"{p['id']}  {state(p['state'])}  {p['action']} {p['subject']} ({p['risk']}), until {when(p['expiresAt'])}",
        f"    why      {p['reason']}",
    ]
    if p.get("evidence"):
        told.append(f"    seen     {p['evidence']}")
    if p.get("undo"):
        told.append(f"    undo     {p['undo']}")
    told.append(f"    setting  [heal.{p['domain']}] {p['remedy']}")
    if p["state"] not in ("waiting", "approved"):
        told.append(f"    decided  {when(p['decidedAt'])} {p['by']}: {p['why']}")
    return "\n".join(told)
