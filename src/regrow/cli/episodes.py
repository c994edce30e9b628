"""`regrow episodes`: what was wrong, what was tried, how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from regrow.cli.listing import listed, state, when
from regrow.cli.narrate import subject
from regrow.cli.place import Place, json_option, placed
from regrow.cli.words import span

if TYPE_CHECKING:
    from regrow.record.history import History


@click.command("episodes")
@placed
@click.option("--open", "only_open", is_flag=True, help="Only what is wrong right now.")
@click.option("--domain", default="", metavar="DOMAIN", help="Only those of one domain.")
@click.option("-n", "--last", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@json_option
def command(place: Place, *, only_open: bool, domain: str, last: int, as_json: bool) -> int:
    """What was wrong, newest first: one episode is one symptom from first sight to its end.

    `regrow why ID` tells one of them in full.

    Exit code: 0, 69 if there is no journal.
    """

    def read(history: History) -> list[dict[str, Any]]:
        from regrow.record import shapes

        found = [shapes.episode(e) for e in history.episodes(limit=10_000)]
        return [e for e in found if (not only_open or e["closedAt"] is None) and (not domain or e["domain"] == domain)][
            :last
        ]

    return listed(place, read, _line, as_json=as_json, none="nothing was wrong")


def _line(episode: dict[str, Any]) -> str:
    lasted = f" after {span((episode['closedAt'] - episode['openedAt']) / 1000)}" if episode["closedAt"] else ""
    tried = ", ".join(f"{r['action']} ({r['effect'] or r['verdict'] or 'under way'})" for r in episode["remedies"][-3:])
    evidence = episode["evidence"][-1] if episode["evidence"] else ""
    return (
        f"{when(episode['openedAt'])}  {state(episode['state'])}{lasted}  {subject(episode)}: {evidence}"
        f"{f'  [{tried}]' if tried else ''}  {episode['id']}"
    )
