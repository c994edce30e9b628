"""The journal's file: opened, checked, moved aside when damaged, written in one transaction per batch.

Everything here blocks and belongs to one thread at a time; `journal.py` is the asyncio side.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from regrow.model.errors import Fatal
from regrow.record.migrations import migrate, refuse_foreign

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SIDES = ("", "-wal", "-shm")
# what a person decided or a gateway's life depends on; events are history and stay in the file that was moved aside
_SAVED = ("desired", "kept_configs", "learned", "episodes", "intents", "changes", "proposals", "issues")

# what is over, and since when
_ENDS = (("intents", "ended_at"), ("episodes", "closed"), ("changes", "gone_at"), ("proposals", "decided"))

BUSY = 2.0  # seconds to wait for another program that holds the file
FOLD_AT = 1000  # pages of write-ahead log, SQLite's own default
SLICE = 500  # rows deleted per transaction, so that an intent never waits long behind retention


class Write(Struct, frozen=True):
    """One statement. `history`: it only adds to the past, and may be lost before anything else is."""

    sql: str
    values: tuple[Any, ...]
    history: bool = False


def is_damage(error: Exception) -> bool:
    """Whether the file's content is broken, in contrast to a full disk or a missing permission."""
    return isinstance(error, sqlite3.Error) and (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED


class Store:
    """An open journal file. Made by `open_store`.

    Attributes:
        last_row: The highest id of an event when it was opened, or 0.
        last_intent: The highest id of an intent then, or 0.
        never_waits: A commit that need not survive a power cut does not wait for the disk.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self.db = db
        self.never_waits = db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        self.last_row, self.last_intent = db.execute(
            "SELECT coalesce((SELECT max(id) FROM journal), 0), coalesce((SELECT max(id) FROM intents), 0)"
        ).fetchone()

    def close(self) -> None:
        """Close it; the write-ahead log is folded in if the disk allows."""
        with contextlib.suppress(sqlite3.Error):
            self.db.close()

    def write(self, batch: Sequence[Write], *, durable: bool) -> int:
        """Commit the batch as one transaction.

        Args:
            batch: The statements, in order.
            durable: Return only when it would survive a power cut; this includes everything committed before.

        Returns:
            How many statements the database refused for their content; the others are committed.
        """
        refused = self._commit(batch) if batch else 0
        if durable:
            self._sync()
        return refused

    def write_at_once(self, batch: Sequence[Write]) -> int:
        """Commit a small batch without waiting for anybody, where the store `never_waits`.

        Folding the write-ahead log in, which waits for the disk, is left to the next `write`.

        Raises:
            sqlite3.Error: Also when another program holds the file right now; nothing is written then.
        """
        self.db.execute("PRAGMA wal_autocheckpoint = 0")
        self.db.execute("PRAGMA busy_timeout = 0")
        try:
            return self._commit(batch)
        finally:
            self.db.execute(f"PRAGMA busy_timeout = {BUSY * 1000:.0f}")
            self.db.execute(f"PRAGMA wal_autocheckpoint = {FOLD_AT}")

    def _commit(self, batch: Iterable[Write]) -> int:
        refused = 0
        self.db.execute("BEGIN IMMEDIATE")
        try:
            for one in batch:
                try:
                    self.db.execute(one.sql, one.values)
                except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, ValueError, OverflowError):
                    refused += 1
            self.db.execute("COMMIT")
        except BaseException:
            self.rollback()
            raise
        return refused

    def rollback(self) -> None:
        """Leave a transaction that failed."""
        if self.db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self.db.execute("ROLLBACK")

    def trim_by_age(self, before: float) -> int:
        """Delete one slice of what ended before this time. The newest event stays: ids must go on growing."""
        cursor = self.db.execute(
            "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE at < ? "
            "AND id < (SELECT max(id) FROM journal) ORDER BY id LIMIT ?)",
            (before, SLICE),
        )
        gone = cursor.rowcount
        for table, column in _ENDS:
            gone += self.db.execute(
                f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} WHERE {column} < ? LIMIT ?)",  # noqa: S608
                (before, SLICE),
            ).rowcount
        return gone

    def trim_by_size(self, limit: int) -> int:
        """Delete one slice of the oldest events if the content takes more than `limit` bytes."""
        size, free, pages = (
            self.db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "freelist_count", "page_count")
        )
        if (pages - free) * size <= limit:
            return 0
        return self.db.execute(
            "DELETE FROM journal WHERE id IN (SELECT id FROM journal "
            "WHERE id < (SELECT max(id) FROM journal) ORDER BY id LIMIT ?)",
            (SLICE,),
        ).rowcount

    def shrink(self) -> None:
        """Give freed pages back to the file system, and fold the write-ahead log in as far as readers allow."""
        # one step frees one page, and `execute` takes only the first
        self.db.executescript("PRAGMA incremental_vacuum(2000)")
        self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _sync(self) -> None:
        wal = Path(f"{self.path}-wal")
        if not wal.exists():
            return  # no write-ahead log on this file system: every commit was synchronous
        fd = os.open(wal, os.O_RDWR)
        try:
            sync(fd)
        finally:
            os.close(fd)


def sync(fd: int) -> None:
    """Have the disk keep what was written, also where fsync only reaches the drive's cache."""
    if os.name == "posix":
        import fcntl

        full = getattr(fcntl, "F_FULLFSYNC", None)
        if full is not None:
            fcntl.fcntl(fd, full)
            return
    os.fsync(fd)


def open_store(path: Path, *, now: float) -> tuple[Store, Path | None]:
    """Open the journal file, or begin one; a damaged one is moved aside whole.

    Args:
        path: The file.
        now: Epoch seconds, for the name of a file moved aside.

    Returns:
        The store, and where the damaged file went if there was one.

    Raises:
        Fatal: The file is not ours or was written by a newer regrow.
        OSError, sqlite3.Error: It cannot be used now.
    """
    try:
        return _opened(path), None
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
    return replace_damaged(path, now=now)


def replace_damaged(path: Path, *, now: float) -> tuple[Store, Path]:
    """Move a damaged file aside and begin a new one with what could still be read of people's decisions."""
    saved = _salvage(path)
    aside = move_aside(path, now=now)
    store = _opened(path)
    with contextlib.suppress(sqlite3.Error):
        store.write(saved, durable=True)
    return store, aside


def move_aside(path: Path, *, now: float) -> Path:
    """Rename the file and what belongs to it; nothing is deleted."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for side in _SIDES:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{side}").rename(f"{aside}{side}")
    return aside


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open the file for questions only, also while a keeper writes to it.

    Raises:
        Fatal: It is not ours or was written by a newer regrow.
        sqlite3.Error: It cannot be read.
    """
    uri = path.absolute().as_uri()
    db = sqlite3.connect(f"{uri}?mode=ro", uri=True, isolation_level=None, timeout=BUSY, check_same_thread=False)
    try:
        refuse_foreign(db, str(path))
    except sqlite3.OperationalError:
        db.close()
        if Path(f"{path}-wal").exists():
            raise
        # on a read-only file system the shared-memory file cannot be made; nobody can be writing there either
        db = sqlite3.connect(
            f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None, timeout=BUSY, check_same_thread=False
        )
        try:
            refuse_foreign(db, str(path))
        except BaseException:
            db.close()
            raise
    except BaseException:
        db.close()
        raise
    return db


def _opened(path: Path) -> Store:
    db = _connect(path)
    try:
        return Store(path, db)
    except BaseException:
        db.close()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if os.name == "posix" and path.stat().st_mode & 0o077:
        path.chmod(0o600)
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY, check_same_thread=False)
    try:
        migrate(db, str(path))
        if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            db.execute("PRAGMA synchronous = FULL")
        else:
            db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 4194304").fetchone()
        _check(db)
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        damage = sqlite3.DatabaseError(found)
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage


def _salvage(path: Path) -> list[Write]:
    """What can still be read of the tables that matter."""
    saved: list[Write] = []
    try:
        with contextlib.closing(connect_readonly(path)) as db:
            for table in _SAVED:
                with contextlib.suppress(sqlite3.Error):
                    rows = db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
                    marks = ", ".join("?" * len(rows[0])) if rows else ""
                    saved += [Write(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", tuple(row)) for row in rows]  # noqa: S608
    except (sqlite3.Error, Fatal):
        return saved
    return saved
