"""`regrow reject`: turns a proposal down."""

from __future__ import annotations

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed


@click.command("reject")
@placed
@click.argument("proposal", metavar="ID")
@click.option("--why", default="", metavar="TEXT", help="For the record.")
@json_option
def command(place: Place, *, proposal: str, why: str, as_json: bool) -> int:
    """Turn a proposal down. It is not made again while `[healing] proposal_hours` last.

    Exit code: 0 done, 1 there is no such proposal, 3 no keeper is running.
    """
    return request(place, "reject", as_json=as_json, subject=proposal, reason=why)
