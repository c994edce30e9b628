"""`regrow start`: starts the gateway, and it is wanted running from then on."""

from __future__ import annotations

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed


@click.command("start")
@placed
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--force", is_flag=True, help="Start even though openclaw.json is not valid.")
@click.option("--no-wait", is_flag=True, help="Hand the request over and end.")
@json_option
def command(place: Place, *, reason: str, force: bool, no_wait: bool, as_json: bool) -> int:
    """Start the gateway, and want it running from now on.

    Ends the hold of `regrow stop`. Waits until the gateway is ready; Ctrl-C leaves the request standing.

    Exit code: 0 it runs, 1 refused or failed, 3 no keeper is running.
    """
    return request(place, "start", wait=not no_wait, as_json=as_json, reason=reason, force=force)
