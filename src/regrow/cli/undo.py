"""`regrow undo`: puts back what regrow changed."""

from __future__ import annotations

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed


@click.command("undo")
@placed
@click.argument("change", metavar="ID")
@json_option
def command(place: Place, *, change: str, as_json: bool) -> int:
    """Put back what regrow changed; `regrow actions --changes` lists it.

    If somebody changed the same thing since, it is left as it is and you are told.

    Exit code: 0 put back, 1 refused or failed, 3 no keeper is running.
    """
    return request(place, "undo", as_json=as_json, subject=change)
