"""`regrow rpc`: calls a method of the gateway through the keeper's connection."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from regrow.cli.asking import refused
from regrow.cli.place import Place, placed
from regrow.cli.words import show_json
from regrow.serve.client import one


@click.command("rpc")
@click.argument("method")
@placed
@click.option("--params", default="{}", metavar="JSON", help="The parameters, an object; `-` reads them from stdin.")
@click.option(
    "--timeout", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="SECONDS",
    help="How long to wait for the answer; 0 means for ever.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print an error as JSON on stdout too.")
def command(place: Place, *, method: str, params: str, timeout: float, as_json: bool) -> int:
    """Call METHOD of the gateway and print the payload as JSON.

    \b
    regrow rpc health
    regrow rpc chat.history --params '{"sessionKey": "main"}'

    Exit code: 0 the payload is on stdout, 1 the gateway's error is on stderr with its code, 3 no keeper is running.
    """
    parsed = _object(sys.stdin.read() if params == "-" else params)
    limit = timeout or None
    patience = None if limit is None else limit + 10
    wish = {"op": "rpc", "method": method, "params": parsed, "timeout": limit}
    answer = one(place.socket, wish, patience=patience)
    if answer.get("ok") is not True:
        return refused(answer, as_json=as_json)
    show_json(answer.get("result"))
    return 0


def _object(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--params") from error
    if not isinstance(parsed, dict):
        raise click.BadParameter('must be an object, such as {"limit": 5}', param_hint="--params")
    return parsed
