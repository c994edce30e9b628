"""`regrow pause`: keeps regrow's hands off, for maintenance."""

from __future__ import annotations

import re

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Duration(click.ParamType[float]):
    """`90s`, `30m`, `2h`, `1d`, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds, or a complaint that says what is understood."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(value).strip().lower())
        seconds = float(found[1]) * _UNITS[found[2] or "s"] if found else 0.0
        if not 0 < seconds <= 365 * _UNITS["d"]:
            self.fail(f"{value!r} is no duration; write 90s, 30m, 2h or 1d (a year at most)", param, ctx)
        return seconds


@click.command("pause")
@placed
@click.option("--for", "lasts", type=Duration(), default=None, metavar="TIME", help="End it by itself: 30m, 2h, 1d.")
@click.option("--why", default="", metavar="TEXT", help="For the record.")
@json_option
def command(place: Place, *, lasts: float | None, why: str, as_json: bool) -> int:
    """Keep regrow's hands off: it goes on watching and changes nothing, not even a gateway that died.

    What you ask for (`regrow start`, `regrow approve`) is done nevertheless. `regrow resume` ends it.

    Exit code: 0 paused, 3 no keeper is running.
    """
    return request(place, "pause", as_json=as_json, reason=why, lasts=lasts)
