"""What the commands that list the past share: reading the journal, and how a line is laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from regrow.cli.place import Place
from regrow.cli.words import clock, paint, say, show_json

if TYPE_CHECKING:
    from regrow.record.history import History

MOODS = {
    "open": "warn", "human": "bad", "cured": "good", "waiting": "warn", "approved": "blue", "done": "good",
    "failed": "bad", "refused": "warn", "ineffective": "bad", "inconclusive": "dim",
    "rejected": "dim", "expired": "dim",
}  # fmt: skip


def listed(
    place: Place, read: Callable[[History], Iterable[dict[str, Any]]], line: Callable[[dict[str, Any]], str],
    *, as_json: bool, none: str,
) -> int:  # fmt: skip
    """Print what is found, oldest last seen first; for programs as one JSON list.

    Args:
        place: Which keeper.
        read: What to ask the journal.
        line: One entry for a person.
        as_json: For a program.
        none: What to say when there is nothing.
    """
    from regrow.record.history import History

    with History(place.journal) as history:
        found = list(read(history))
    if as_json:
        show_json(found)
        return 0
    for entry in found:
        say(line(entry))
    if not found:
        say(none)
    return 0


def state(name: str) -> str:
    """A state in its colour."""
    return paint(name, MOODS[name]) if name in MOODS else name


def when(ms: int | None) -> str:
    """A time, or a dash."""
    return clock(ms) if ms is not None else "-"
