"""`regrow reload`: has the gateway read its settings and secrets again."""

from __future__ import annotations

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed


@click.command("reload")
@placed
@click.option("--reason", default="", help="Why, for the record.")
@click.option(
    "--delay", type=click.FloatRange(0, 60), default=0.0, metavar="SECONDS",
    help="Wait this long for more requests to join, 60 at most.",
)  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Hand the request over and end.")
@json_option
def command(place: Place, *, reason: str, delay: float, no_wait: bool, as_json: bool) -> int:
    """Have the gateway read its settings and secrets again.

    What the gateway can apply by itself it applies; what it cannot becomes a restart. To have regrow read *its*
    configuration again, send the keeper SIGHUP.

    Exit code: 0 done, 1 refused or failed, 3 no keeper is running.
    """
    return request(place, "reload", wait=not no_wait, as_json=as_json, reason=reason, delay=delay)
