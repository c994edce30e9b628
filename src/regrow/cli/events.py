"""`regrow events`: what happened, as lines for people or JSON for programs."""

from __future__ import annotations

from typing import Any

import click

from regrow.cli.asking import refused
from regrow.cli.place import Place, placed
from regrow.cli.words import remark, say, show_json
from regrow.serve.client import ask

MOST = 100_000  # events printed at once


@click.command("events")
@placed
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("-n", "--last", type=click.IntRange(min=0), default=50, show_default=True, help="How many of the past.")
@click.option(
    "--type", "types", multiple=True, metavar="TYPE",
    help="Only this type; `episode:*` means all that begin so. May be given several times.",
)  # fmt: skip
@click.option("--after", type=click.IntRange(min=0), metavar="ID", help="All after this id, instead of the last ones.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: id, at (ms), type, data.")
def command(place: Place, *, follow: bool, last: int, types: tuple[str, ...], after: int | None, as_json: bool) -> int:
    """What happened, oldest first.

    The past is read from the journal, also when no keeper runs; following needs one.

    Exit code: 0, 3 if following and no keeper is running, 69 if there is no journal.
    """
    past, newest = _past(place, last, types, after, may_lack=follow)
    for event in past:
        _show(event, as_json=as_json)
    if not follow:
        return 0
    try:
        return _follow(place, newest, types, as_json=as_json)
    except KeyboardInterrupt:
        return 0


def _past(
    place: Place, last: int, types: tuple[str, ...], after: int | None, *, may_lack: bool
) -> tuple[list[dict[str, Any]], int]:
    """What to show, and the id to go on from."""
    from regrow.record.history import History

    if may_lack and not place.journal.exists():
        return [], 0
    with History(place.journal) as history:
        newest = history.last(1)
        found = history.last(last, types) if after is None else history.events(after, MOST, types)
    shown = [{"id": e.id, "at": round(e.at * 1000), "type": e.type, "data": e.data} for e in found]
    return shown, max([after or 0, *(e.id for e in newest), *(e.id for e in found)])


def _follow(place: Place, after: int, types: tuple[str, ...], *, as_json: bool) -> int:
    wish = {"op": "events", "after": after, "follow": True, "types": list(types)}
    for answer in ask(place.socket, wish, patience=None):
        event = answer.get("event")
        if not isinstance(event, dict):
            return refused(answer, as_json=as_json)
        _show({**event, "at": milliseconds(event.get("at"))}, as_json=as_json)
    remark("the keeper has ended")
    return 3


def milliseconds(at: Any) -> int:
    """A time in epoch milliseconds, whichever of seconds or milliseconds it came in."""
    if not isinstance(at, int | float):
        return 0
    return round(at if at > 1e11 else at * 1000)


def _show(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(event, indent=None)
        return
    from regrow.cli.narrate import printed, tell

    line = tell(str(event.get("type", "")), event.get("data") or {})
    if line is not None:
        say(printed(line, event["at"]))
