"""`regrow resume`: ends a pause."""

from __future__ import annotations

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed


@click.command("resume")
@placed
@json_option
def command(place: Place, *, as_json: bool) -> int:
    """End a pause: healing goes on.

    Exit code: 0, 3 no keeper is running.
    """
    return request(place, "resume", as_json=as_json)
