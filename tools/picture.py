"""Draws docs/top.svg, the picture of `regrow top`, from a recorded status and recorded events."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from rich.console import Console

from regrow.cli import words
from regrow.cli.top import chosen, picture

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "tools" / "top.json"
DRAWN = ROOT / "docs" / "top.svg"
WIDTH = 100
_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def svg() -> str:
    """The picture: what `regrow top` shows of the recording, on the clock of its moment."""
    recorded = json.loads(RECORDED.read_text())
    with _at(recorded["at"]):
        shown = picture("default", "", recorded["status"], chosen(map(tuple, recorded["events"])))
        console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
        console.print(shown)
        drawn = console.export_svg(title="regrow top", unique_id="top")
    return _FONTS.sub("", drawn)  # a picture in a file asks nobody on the network for its letters


@contextmanager
def _at(seconds: float) -> Iterator[None]:
    """As if it were that time, in UTC, on a terminal with colours."""
    zone, now, coloured = os.environ.get("TZ"), words.now, words.coloured
    os.environ["TZ"] = "UTC"
    time.tzset()
    words.now, words.coloured = (lambda: seconds), (lambda _stream=None: True)  # type: ignore[assignment]
    try:
        yield
    finally:
        words.now, words.coloured = now, coloured  # type: ignore[assignment]
        os.environ.pop("TZ") if zone is None else os.environ.update(TZ=zone)
        time.tzset()


def main() -> int:
    """Draw it if it changed."""
    drawn = svg()
    if not DRAWN.exists() or DRAWN.read_text() != drawn:
        DRAWN.write_text(drawn)
        print("docs/top.svg is drawn", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
