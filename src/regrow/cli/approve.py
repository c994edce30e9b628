"""`regrow approve`: lets regrow do what it proposed."""

from __future__ import annotations

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed


@click.command("approve")
@placed
@click.argument("proposal", metavar="ID")
@click.option("--why", default="", metavar="TEXT", help="For the record.")
@click.option("--no-wait", is_flag=True, help="Hand the request over and end.")
@json_option
def command(place: Place, *, proposal: str, why: str, no_wait: bool, as_json: bool) -> int:
    """Let regrow do what it proposed; `regrow proposals` lists what waits.

    It is done at once: no budget, quiet hours or pause holds what you approve. Waits until it was carried out.

    Exit code: 0 done, 1 refused or failed, 3 no keeper is running.
    """
    return request(place, "approve", wait=not no_wait, as_json=as_json, subject=proposal, reason=why)
