"""`regrow restart`: restarts the gateway without losing what it is at."""

from __future__ import annotations

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed


@click.command("restart")
@placed
@click.option("--reason", default="", help="Why, for the record.")
@click.option("--force", is_flag=True, help="Restart even though openclaw.json is not valid.")
@click.option("--full", is_flag=True, help="End the process and start a new one, instead of restarting inside it.")
@click.option(
    "--delay", type=click.FloatRange(0, 60), default=0.0, metavar="SECONDS",
    help="Wait this long for more requests to join, 60 at most.",
)  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Hand the request over and end.")
@json_option
def command(place: Place, *, reason: str, force: bool, full: bool, delay: float, no_wait: bool, as_json: bool) -> int:
    """Restart the gateway without losing what it is at.

    The configuration is judged first. Then the gateway is asked to restart inside its process; if that cannot be
    proven, it is ended in good order and started anew. Waits until it is ready again; Ctrl-C leaves the request
    standing.

    Exit code: 0 restarted and ready, 1 refused or failed, 3 no keeper is running.
    """
    return request(
        place, "restart", wait=not no_wait, as_json=as_json, reason=reason, force=force, delay=delay,
        subject="full" if full else "",
    )  # fmt: skip
