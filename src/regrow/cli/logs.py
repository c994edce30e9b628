"""`regrow logs`: what the gateway printed, or what regrow wrote about its own work."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regrow.cli.place import Place, placed
from regrow.cli.words import complain, say

if TYPE_CHECKING:
    from regrow.config.lines import Lines

EVERY = 0.3  # seconds between two looks at a growing file


@click.command("logs")
@placed
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0, 100_000), default=100, show_default=True, help="How many lines.")
@click.option("--regrow", "own", is_flag=True, help="regrow's own log instead of the gateway's output.")
@click.option("--path", "only_path", is_flag=True, help="Print where the file lies and end.")
def command(place: Place, *, follow: bool, lines: int, own: bool, only_path: bool) -> int:
    """What the gateway printed; works whether or not a keeper runs. Secrets in it are hidden.

    Only a gateway that regrow started prints to where regrow can read; a service's output is in its own journal.

    Exit code: 0, 69 if there is nothing to read.
    """
    file = place.state / "logs" / "regrow.log" if own else _gateway_log(place.state)
    if only_path:
        say(str(file))
        return 0
    if not file.is_file() and not follow:
        what = "regrow has not written a log" if own else "no gateway was started by regrow"
        complain(f"{what} here ({file}); `regrow status{place.option}` tells what runs")
        return 69
    try:
        _show(file, lines, follow=follow)
    except KeyboardInterrupt:
        return 0
    return 0


def _gateway_log(state: Path) -> Path:
    from regrow.config.redaction import remember_secret
    from regrow.host.lives import recall

    life = recall(state)
    if life is not None:
        remember_secret(life.token)  # it may stand anywhere in what is shown
    return Path(life.log) if life is not None and life.log else state / "logs" / "gateway.log"


def _show(file: Path, lines: int, *, follow: bool) -> None:
    from regrow.config.lines import MOST, Lines, redact_lines
    from regrow.host.output import Tail, last_lines

    # this order: what is written meanwhile may be shown twice, and is never lost
    identity = _identity(file)
    tail = Tail(file, backlog=0 if identity is not None else None)
    if follow and identity is not None:
        list(tail.read())
    # more than is shown: a private key may begin before it, and go on in what comes
    before = last_lines(file, lines + MOST) if identity is not None else ()
    for line in redact_lines(before, lines):
        say(line)
    stream = Lines()
    for line in before:
        stream.clean(line)
    while follow:
        _say_all(stream, tail.read())
        if (now := _identity(file)) != identity:  # a new start began a new file
            _say_all(stream, tail.read(final=True))
            tail.close()
            tail, identity, stream = Tail(file), now, Lines()
        else:
            time.sleep(EVERY)


def _say_all(stream: Lines, lines: Iterable[str]) -> None:
    for line in lines:
        clean = stream.clean(line)
        if clean is not None:
            say(clean)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
