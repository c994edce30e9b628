"""`regrow adopt`: lets regrow act on a gateway that it found running."""

from __future__ import annotations

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed


@click.command("adopt")
@placed
@click.option("--reason", default="", help="Why, for the record.")
@json_option
def command(place: Place, *, reason: str, as_json: bool) -> int:
    """Let regrow act on a gateway that it found running.

    A gateway that ran before regrow met it is only watched. From now on regrow restarts and repairs it as if it had
    started it. Nothing is restarted now.

    Exit code: 0 done, 1 refused, 3 no keeper is running.
    """
    return request(place, "adopt", as_json=as_json, reason=reason)
