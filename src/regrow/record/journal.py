"""Appends facts, verdicts and outcomes: one writer, group commit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from regrow.model.action import Action
from regrow.model.changes import Change
from regrow.model.people import Filed
from regrow.model.verdicts import Episode, Proposal, Verdict
from regrow.record.log import clean
from regrow.record.writer import Listener, Writer


class Desired(Struct, frozen=True):
    """What a person wants of the gateway, since when and by whom."""

    want: Literal["running", "stopped"]
    since: float
    by: str


class Intent(Struct, frozen=True):
    """An action that was intended; without an outcome nobody knows whether it was done."""

    id: int
    key: str
    action: dict[str, Any]
    intended_at: float


class KeptConfig(Struct, frozen=True):
    """A stored configuration that this version served."""

    digest: str
    version: str
    at: float
    path: str


class Journal:
    """The memory of one keeper. Open it with `Journal.open`; use it from one event loop.

    Attributes:
        pseudonym: Makes names that stand for session keys; without it they are hidden.
    """

    def __init__(self, writer: Writer, *, clock: Callable[[], float], gateway: str) -> None:
        self.pseudonym: Callable[[str], str] | None = None
        self._writer = writer
        self._clock = clock
        self._gateway = gateway

    @classmethod
    async def open(cls, path: Path, *, clock: Callable[[], float] = time.time, gateway: str = "default") -> Journal:
        """Open the journal, or begin one. A damaged file is moved aside; a disk that refuses is waited for.

        Args:
            path: The database file; its directory is made if needed.
            clock: Epoch seconds.
            gateway: The name written beside every event.

        Raises:
            Refused: Another process writes to it.
            Fatal: It was written by a newer regrow, or belongs to another program.
        """
        writer = Writer(path, clock=clock)
        await writer.begin()
        return cls(writer, clock=clock, gateway=gateway)

    @property
    def path(self) -> Path:
        """The database file."""
        return self._writer.path

    @property
    def degraded(self) -> str:
        """Why nothing is being written at the moment, or ""."""
        return self._writer.degraded

    def listen(self, listener: Listener) -> None:
        """Tell the journal's own notices (type, data) to this callable, beginning with those not told yet."""
        self._writer.listen(listener)

    # ── writing ──

    def append(self, type_: str, data: Any, at: float) -> int:
        """Add one event; secrets are removed. It is on disk after the next `commit`.

        Returns:
            Its id; ids grow and never repeat.
        """
        number = self._writer.next_row
        self._writer.next_row += 1
        values = (number, at, type_, self._gateway, self._json(data))
        self._writer.add("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", values, history=True)
        return number

    async def commit(self, *, durable: bool = False) -> bool:
        """Wait until everything so far is committed.

        Args:
            durable: It must also survive a power cut.

        Returns:
            Whether it is; False while the disk refuses.
        """
        return await self._writer.commit(durable=durable)

    async def intend(self, action: Action, *, durable: bool | None = None) -> int:
        """Write down what is about to be done; committed when this returns, unless the journal is degraded.

        Args:
            action: The action.
            durable: Survive a power cut; by default only for destructive actions, as a respawn must not wait.

        Returns:
            The id for `conclude`.
        """
        number = self._writer.next_intent
        self._writer.next_intent += 1
        values = (number, action.key, self._json(action), self._clock())
        self._writer.add("INSERT INTO intents VALUES (?, ?, ?, ?, NULL, NULL)", values)
        await self.commit(durable=action.risk == "destructive" if durable is None else durable)
        return number

    def conclude(self, intent: int, verdict: Verdict) -> None:
        """Write down how an intended action ended."""
        values = (self._json(verdict), self._clock(), intent)
        self._writer.add("UPDATE intents SET outcome = ?, ended_at = ? WHERE id = ?", values)

    async def set_desired(self, want: Literal["running", "stopped"], *, at: float, by: str) -> bool:
        """Remember what a person wants; it survives a power cut when this returns True."""
        self._writer.add("INSERT OR REPLACE INTO desired VALUES (?, ?, ?, ?)", (self._gateway, want, at, clean(by)))
        return await self.commit(durable=True)

    def keep_config(self, digest: str, version: str, *, at: float, path: Path) -> None:
        """Remember that this version served this configuration, and where its copy lies."""
        self._writer.add("INSERT OR REPLACE INTO kept_configs VALUES (?, ?, ?, ?)", (digest, version, at, str(path)))

    def forget_config(self, digest: str, version: str) -> None:
        """Forget a stored configuration whose copy is gone."""
        self._writer.add("DELETE FROM kept_configs WHERE digest = ? AND version = ?", (digest, version))

    def store_episode(self, episode: Episode) -> None:
        """Remember an episode as it is now."""
        e = episode
        values = (e.id, e.domain, e.subject, e.state, e.opened, e.closed, self._json(e))
        self._writer.add("INSERT OR REPLACE INTO episodes VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    async def record_changes(self, changes: Sequence[Change]) -> bool:
        """Write down what is about to be changed, with the old values; committed when this returns.

        Args:
            changes: Of a user's things. Subjects are kept as they are: undoing needs them.

        Returns:
            Whether they are; False while the disk refuses.
        """
        for change in changes:
            values = (change.id, change.kind, change.subject, change.at, msgspec.json.encode(change).decode())
            self._writer.add("INSERT OR REPLACE INTO changes VALUES (?, ?, ?, ?, ?, NULL, NULL)", values)
        return await self.commit()

    def close_changes(self, ids: Sequence[str], *, at: float, why: str) -> None:
        """Remember that these no longer stand: put back, changed by somebody else, or never carried out."""
        for name in ids:
            self._writer.add("UPDATE changes SET gone_at = ?, gone = ? WHERE id = ?", (at, clean(why), name))

    def store_proposal(self, proposal: Proposal) -> None:
        """Remember a proposal as it is now."""
        p = proposal
        values = (p.id, p.state, p.created, p.decided, self._json(p))
        self._writer.add("INSERT OR REPLACE INTO proposals VALUES (?, ?, ?, ?, ?)", values)

    def learn(self, what: str, version: str, value: float, *, at: float) -> None:
        """Remember a figure of this host, such as the seconds a boot of this version takes."""
        self._writer.add("INSERT OR REPLACE INTO learned VALUES (?, ?, ?, ?)", (what, version, value, at))

    async def book_filed(self, filed: Filed) -> None:
        """Remember a write to an issue tracker before it is made."""
        values = (filed.marker, filed.repo, filed.number, filed.at)
        self._writer.add("INSERT OR REPLACE INTO issues VALUES (?, ?, ?, ?)", values)
        await self.commit()

    def unbook_filed(self, marker: str, before: Filed | None) -> None:
        """It was certainly not made: remember the one before again, or none."""
        self._writer.add("DELETE FROM issues WHERE marker = ?", (marker,))
        if before is not None:
            values = (marker, before.repo, before.number, before.at)
            self._writer.add("INSERT OR REPLACE INTO issues VALUES (?, ?, ?, ?)", values)

    async def filed(self, marker: str) -> Filed | None:
        """The last write about the subject this marker stands for."""
        rows = await self._writer.rows("SELECT marker, repo, number, at FROM issues WHERE marker = ?", marker)
        return Filed(*rows[0]) if rows else None

    # ── reading, at start ──

    async def desired(self) -> Desired | None:
        """What a person last wanted."""
        rows = await self._writer.rows("SELECT want, since, by FROM desired WHERE gateway = ?", self._gateway)
        return Desired(*rows[0]) if rows else None

    async def open_intents(self) -> list[Intent]:
        """Intents without an outcome, oldest first."""
        rows = await self._writer.rows(
            "SELECT id, key, action, intended_at FROM intents WHERE ended_at IS NULL ORDER BY id"
        )
        return [Intent(number, key, json.loads(action), at) for number, key, action, at in rows]

    async def kept_configs(self) -> list[KeptConfig]:
        """Stored configurations, newest last."""
        rows = await self._writer.rows("SELECT digest, version, at, path FROM kept_configs ORDER BY at, rowid")
        return [KeptConfig(*row) for row in rows]

    async def standing_changes(self) -> list[Change]:
        """Changes that nobody has undone, oldest first."""
        rows = await self._writer.rows("SELECT data FROM changes WHERE gone_at IS NULL ORDER BY at, rowid")
        return [msgspec.json.decode(data, type=Change) for (data,) in rows]

    async def open_episodes(self) -> list[Episode]:
        """Episodes that had not ended."""
        rows = await self._writer.rows("SELECT data FROM episodes WHERE closed IS NULL ORDER BY opened")
        return [msgspec.json.decode(data, type=Episode) for (data,) in rows]

    async def learned(self, what: str, version: str) -> float | None:
        """A remembered figure."""
        rows = await self._writer.rows("SELECT value FROM learned WHERE what = ? AND version = ?", what, version)
        return float(rows[0][0]) if rows else None

    # ── keeping house ──

    async def retain(self, *, days: float, mb: float) -> int:
        """Forget what is too old or too much, in slices so that nothing waits behind it.

        Returns:
            How many rows were deleted.
        """
        before, limit = self._clock() - days * 86400, int(mb * 1_000_000)
        total = 0
        while gone := await self._writer.ask(lambda s: s.trim_by_age(before), 0):
            total += gone
        while gone := await self._writer.ask(lambda s: s.trim_by_size(limit), 0):
            total += gone
        if total:
            await self._writer.ask(lambda s: s.shrink(), None)
        return total

    async def close(self) -> None:
        """Write what is left, close the file and release it."""
        await self._writer.close()

    def _json(self, data: Any) -> str:
        plain = clean(data, name=self.pseudonym)
        try:
            return msgspec.json.encode(plain).decode()
        except (TypeError, ValueError):  # half a surrogate pair, or what has no JSON form
            return json.dumps(plain, default=repr)
