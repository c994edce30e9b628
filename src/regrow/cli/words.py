"""How things are said to a person: marks, durations, times, colours only where they are wanted."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, TextIO

COLOURS = {"good": "32", "warn": "33", "bad": "31", "dim": "2", "bold": "1", "blue": "36"}


def coloured(stream: TextIO | None = None) -> bool:
    """Whether this stream is a terminal whose user has nothing against colours."""
    return (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, *, stream: TextIO | None = None) -> str:
    """The text in a colour, where there are colours."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if coloured(stream) else text


def say(text: str = "") -> None:
    """Print a line at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """Print what went wrong, on the error stream."""
    print(f"{paint('regrow:', 'bad', stream=sys.stderr)} {text}", file=sys.stderr, flush=True)


def remark(text: str) -> None:
    """Print on the error stream what is not part of the answer."""
    print(text, file=sys.stderr, flush=True)


def show_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value for programs."""
    import json

    print(json.dumps(value, indent=indent, ensure_ascii=False, default=str), flush=True)


def now() -> float:
    """The time on the wall, epoch seconds."""
    return time.time()


def span(seconds: float) -> str:
    """A duration as a person says it: `4 s`, `3 min`, `2 h 5 min`, `6 d 3 h`."""
    left = max(0, round(seconds))
    if left < 120:
        return f"{left} s"
    if left < 7200:
        return f"{left // 60} min"
    if left < 172_800:
        return f"{left // 3600} h {left % 3600 // 60} min"
    return f"{left // 86_400} d {left % 86_400 // 3600} h"


def clock(ms: float) -> str:
    """A time in epoch milliseconds on this person's clock; the day too unless it is today."""
    then = time.localtime(ms / 1000)
    today = then[:3] == time.localtime(now())[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M:%S", then)


def since(ms: float) -> str:
    """How long it is since a time in epoch milliseconds."""
    return span(now() - ms / 1000)


def ago(ms: float | None) -> str:
    """How long ago, or `never`."""
    return "never" if ms is None else f"{since(ms)} ago"
