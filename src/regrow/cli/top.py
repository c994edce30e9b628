"""`regrow top`: the gateway live, once a second."""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from regrow.cli import words
from regrow.cli.asking import refused
from regrow.cli.narrate import Line, printed, tell
from regrow.cli.place import Place, placed
from regrow.cli.status import health, lines
from regrow.serve.client import NoAnswer, NotRunning, one

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY = 1.0
SHOWN = 12  # events


@click.command("top")
@placed
def command(place: Place) -> int:
    """The gateway live, once a second, with the last events. `q` or Ctrl-C ends it.

    Where the output is no terminal it is printed once.

    Exit code: as `regrow status`.
    """
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    answer = one(place.socket, {"op": "status"})
    if answer.get("ok") is not True:
        return refused(answer) + 2
    if not sys.stdout.isatty():
        console.print(_picture(place, answer["result"]))
        return health(answer["result"])
    status: dict[str, Any] = answer["result"]
    with (
        contextlib.suppress(KeyboardInterrupt),
        _keys() as pressed,
        Live(_picture(place, status), console=console, screen=True, auto_refresh=False) as live,
    ):
        while not pressed(EVERY):
            try:
                status = one(place.socket, {"op": "status"}).get("result") or status
            except (NotRunning, NoAnswer) as error:
                live.update(_gone(str(error)), refresh=True)
                continue
            live.update(_picture(place, status), refresh=True)
    return health(status)


def picture(name: str, option: str, status: dict[str, Any], events: list[tuple[float, Line]]) -> RenderableType:
    """What is shown.

    Args:
        name: The keeper's.
        option: What a command needs to mean this keeper.
        status: As `regrow status --json`.
        events: The last lines, each with its time in epoch milliseconds.
    """
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    told = Text.from_ansi("\n".join(lines(status, option)))
    happened = Text.from_ansi("\n".join(printed(line, at) for at, line in events) or "nothing yet")
    colour = ("green", "yellow", "red")[health(status)]
    return Group(
        Panel(told, title=f"regrow · {name}", title_align="left", border_style=colour),
        Panel(happened, title="what happened", title_align="left"),
        Text(f"{words.clock(words.now() * 1000)}   q ends", style="dim"),
    )


def chosen(events: Iterable[tuple[float, str, dict[str, Any]]]) -> list[tuple[float, Line]]:
    """The last lines that a person needs, of events given as time in epoch milliseconds, type and data."""
    told = [(at, tell(type_, data)) for at, type_, data in events]
    return [(at, line) for at, line in told if line is not None][-SHOWN:]


def _picture(place: Place, status: dict[str, Any]) -> RenderableType:
    return picture(place.name or "default", place.option, status, _recent(place))


def _recent(place: Place) -> list[tuple[float, Line]]:
    from regrow.model.errors import Fatal
    from regrow.record.history import History

    try:
        with History(place.journal) as history:
            found = history.last(SHOWN * 4)
    except Fatal:
        return []
    return chosen((event.at * 1000, event.type, event.data) for event in found)


def _gone(text: str) -> RenderableType:
    from rich.panel import Panel

    return Panel(f"{text}\n\nwaiting for it; q ends", border_style="red", title="regrow", title_align="left")


@contextlib.contextmanager
def _keys() -> Iterator[Any]:
    """A function that waits for so many seconds and tells whether `q` was pressed meanwhile."""
    if not sys.stdin.isatty():
        yield _no_keys
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _pressed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed(within: float) -> bool:
    until = time.monotonic() + within
    while (left := until - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0] and sys.stdin.read(1) in {"q", "Q", "\x04", ""}:
            return True
    return False


def _no_keys(within: float) -> bool:
    time.sleep(within)
    return False
