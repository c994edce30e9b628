"""`regrow check`: finds every problem of configuration and machine at once, before it matters."""

from __future__ import annotations

import asyncio
from typing import Literal

import click

from regrow.cli.place import Place, json_option, placed
from regrow.cli.words import paint, say, show_json

CONFIGURATION = 78
MARKS = {"ok": ("✓", "good"), "note": ("!", "warn"), "problem": ("✗", "bad")}

Level = Literal["ok", "note", "problem"]


class Findings:
    """What was found, in the order it was looked at."""

    def __init__(self) -> None:
        self.all: list[tuple[Level, str, str]] = []

    def add(self, level: Level, subject: str, text: str) -> None:
        """Note one."""
        self.all.append((level, subject, text))

    @property
    def problems(self) -> list[str]:
        """What keeps a gateway from being tended."""
        return [text for level, _, text in self.all if level == "problem"]


@click.command("check")
@placed
@json_option
def command(place: Place, *, as_json: bool) -> int:
    """Find every problem of configuration and machine at once: it changes nothing and needs no keeper.

    Looked at: regrow's configuration, OpenClaw and Node, openclaw.json (by OpenClaw itself), the port, file
    permissions, disk space, and whether something else supervises the same gateway.

    Exit code: 0 no problem, 78 at least one.
    """
    from regrow.cli.examine import examine

    found = Findings()
    asyncio.run(examine(place, found))
    if as_json:
        rows = [{"level": level, "subject": subject, "text": text} for level, subject, text in found.all]
        show_json({"ok": not found.problems, "findings": rows})
    else:
        for level, subject, text in found.all:
            mark, colour = MARKS[level]
            say(f"{paint(mark, colour)} {subject:<14} {text}")
        count = len(found.problems)
        say(
            f"\n{count} problem{'s' if count != 1 else ''}"
            if count
            else f"\nready: `regrow run{place.option}` can tend this gateway"
        )
    return CONFIGURATION if found.problems else 0
