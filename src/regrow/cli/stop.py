"""`regrow stop`: stops the gateway, which stays stopped until `regrow start`."""

from __future__ import annotations

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed


@click.command("stop")
@placed
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--no-wait", is_flag=True, help="Hand the request over and end.")
@json_option
def command(place: Place, *, reason: str, no_wait: bool, as_json: bool) -> int:
    """Stop the gateway; it stays stopped, over reboots too, until `regrow start`.

    The gateway may finish what it is at, which takes up to some minutes. A gateway that is not regrow's is not
    stopped: the answer says whose it is. The keeper itself goes on running; Ctrl-C or its service ends it.

    Exit code: 0 it is stopped, 1 refused or failed, 3 no keeper is running.
    """
    return request(place, "stop", wait=not no_wait, as_json=as_json, reason=reason)
