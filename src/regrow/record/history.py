"""Questions the journal can answer, also while a keeper writes to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Self

import msgspec

from regrow.model.changes import Change
from regrow.model.errors import Fatal
from regrow.model.verdicts import Episode, Proposal
from regrow.record import shapes
from regrow.record.events import Event
from regrow.record.store import connect_readonly


class History:
    """A journal opened for questions only. A context manager.

    Args:
        path: The journal's file.

    Raises:
        Fatal: There is none yet, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            raise Fatal(f"there is no journal at {path}: no keeper of this name has run yet")
        try:
            self._db = connect_readonly(path)
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def events(self, after_id: int = 0, limit: int = 100, types: Collection[str] = ()) -> list[Event]:
        """Events after this id, oldest first.

        Args:
            after_id: The last id already known.
            limit: How many at most.
            types: Only these; `gateway:*` means all that begin so. If empty, all but the facts (`fact:*`) that
                decisions were made from.
        """
        wanted, values = _types(types)
        return self._events(f"WHERE id > ? {wanted} ORDER BY id LIMIT ?", (after_id, *values, limit))

    def last(self, limit: int = 20, types: Collection[str] = ()) -> list[Event]:
        """The newest events, oldest first."""
        wanted, values = _types(types)
        return self._events(f"WHERE 1 {wanted} ORDER BY id DESC LIMIT ?", (*values, limit))[::-1]

    def facts(self, since: float = 0.0, most: int | None = None) -> Iterator[tuple[float, str]]:
        """Everything that was seen since a time, oldest first, as JSON of `AnyFact`."""
        sql = "SELECT at, data FROM journal WHERE type GLOB 'fact:*' AND at >= ? ORDER BY id LIMIT ?"
        try:
            yield from self._db.execute(sql, (since, -1 if most is None else most))
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def actions(self, limit: int = 100) -> list[dict[str, Any]]:
        """What was carried out, newest first, in the shape of `shapes.action`."""
        sql = "SELECT id, action, intended_at, outcome, ended_at FROM intents ORDER BY id DESC LIMIT ?"
        return [
            shapes.action(number, json.loads(action), at, json.loads(outcome) if outcome else None, ended)
            for number, action, at, outcome, ended in self._ask(sql, (limit,))
        ]

    def episodes(self, state: str | None = None, limit: int = 100) -> list[Episode]:
        """Episodes, newest first; only those in this state if one is given."""
        sql = "SELECT data FROM episodes WHERE (?1 IS NULL OR state = ?1) ORDER BY opened DESC LIMIT ?2"
        return [msgspec.json.decode(data, type=Episode) for (data,) in self._ask(sql, (state, limit))]

    def proposals(self, state: str | None = None, limit: int = 100) -> list[Proposal]:
        """Proposals, newest first; only those in this state if one is given."""
        sql = "SELECT data FROM proposals WHERE (?1 IS NULL OR state = ?1) ORDER BY created DESC LIMIT ?2"
        return [msgspec.json.decode(data, type=Proposal) for (data,) in self._ask(sql, (state, limit))]

    def changes(self, limit: int = 1000) -> list[tuple[Change, float | None, str]]:
        """What of the user's things was changed, newest first, with when and why it no longer stands."""
        rows = self._ask("SELECT data, gone_at, gone FROM changes ORDER BY at DESC, rowid DESC LIMIT ?", (limit,))
        return [(msgspec.json.decode(data, type=Change), at, why or "") for data, at, why in rows]

    def desired(self) -> tuple[str, float, str] | None:
        """What a person wants of the gateway (`running` or `stopped`), since when and by whom."""
        rows = self._ask("SELECT want, since, by FROM desired ORDER BY since DESC LIMIT 1", ())
        return rows[0] if rows else None

    def open_intents(self) -> list[dict[str, Any]]:
        """Actions that were intended and whose outcome is not known."""
        rows = self._ask("SELECT id, key, action, intended_at FROM intents WHERE ended_at IS NULL ORDER BY id", ())
        return [{"id": i, "key": key, "action": json.loads(action), "at": at} for i, key, action, at in rows]

    def _events(self, where: str, values: tuple[Any, ...]) -> list[Event]:
        rows = self._ask(f"SELECT id, at, type, data FROM journal {where}", values)  # noqa: S608  (no text of a caller)
        return [Event(number, at, type_, json.loads(data)) for number, at, type_, data in rows]

    def _ask(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: sqlite3.Error) -> Fatal:
        return Fatal(f"cannot read the journal {self._path} ({error}); a keeper that starts moves a damaged one aside")


def _types(types: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """The condition and its values. GLOB's own wildcards are matched literally, except a final star."""
    if not types:
        return "AND type NOT GLOB 'fact:*'", ()
    patterns = tuple(
        "".join(f"[{c}]" if c in "*?[" else c for c in t.removesuffix("*")) + ("*" if t.endswith("*") else "")
        for t in types
    )
    return f"AND ({' OR '.join(['type GLOB ?'] * len(patterns))})", patterns
