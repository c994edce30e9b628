"""Commits what is to be remembered: one thread, one transaction for all that waits, memory when the disk refuses.

What queues while a commit runs joins the next one. A commit that somebody waits for is made by the loop itself while
the thread rests: it takes a tenth of a millisecond, and the way to the thread and back up to ten times that. Nothing
here raises into the keeper: when the disk is full or read-only the newest entries wait in memory, one notice says so,
and writing is tried again later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from regrow.host.filelock import try_lock
from regrow.model.errors import Fatal, Refused, RegrowError
from regrow.record.store import Store, Write, connect_readonly, is_damage, open_store, replace_damaged

MOST_HELD = 10_000  # entries kept in memory while the disk refuses them
RETRY_AFTER = 10.0
FEW = 20  # entries the loop writes by itself: more would be felt

Listener = Callable[[str, dict[str, Any]], None]
T = TypeVar("T")


class _Result(Struct):
    """How one turn of the writer ended."""

    error: str = ""
    refused: int = 0
    moved: str = ""
    reopened: bool = False


class Writer:
    """The asyncio side of one store. Everything but `begin` belongs to one event loop.

    Attributes:
        degraded: Why nothing is being written at the moment, or "".
        next_row: The id of the next event.
        next_intent: The id of the next intent.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float]) -> None:
        self.path = path
        self.degraded = ""
        self.next_row = 1
        self.next_intent = 1
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="regrow-journal")
        self._store: Store | None = None
        self._turn = threading.Lock()  # held by whoever uses the store
        self._lock: int | None = None
        self._pending: list[Write] = []
        self._waiters: list[tuple[asyncio.Future[bool], bool]] = []
        self._flight: asyncio.Future[_Result] | None = None
        self._due = False
        self._retry_at = 0.0
        self._lost = 0
        self._damaged = False
        self._listener: Listener | None = None
        self._notices: list[tuple[str, dict[str, Any]]] = []
        self._closed = False

    async def begin(self) -> None:
        """Take the lock and open the store.

        Raises:
            Refused: Another process writes to it.
            Fatal: It was written by a newer regrow, or belongs to another program.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._begin)
        except BaseException:
            self._release()
            raise

    def listen(self, listener: Listener) -> None:
        """Tell notices (type, data) to this callable, beginning with those not told yet."""
        self._listener = listener
        notices, self._notices = self._notices, []
        for type_, data in notices:
            listener(type_, data)

    def add(self, sql: str, values: tuple[Any, ...], *, history: bool = False) -> None:
        """Queue one statement; `history` may be lost before anything else is, if memory must be bounded."""
        if self._closed:
            return
        self._pending.append(Write(sql, values, history))
        if self.degraded and self._clock() < self._retry_at:
            self._bound()
        else:
            self._schedule()

    async def commit(self, *, durable: bool = False) -> bool:
        """Wait until everything queued so far is committed; False while the disk refuses.

        Args:
            durable: It must also survive a power cut.
        """
        if self._closed or (self.degraded and self._clock() < self._retry_at):
            return False
        if not durable and self._write_here():
            return True
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append((waiter, durable))
        self._schedule()
        return await waiter

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        """The rows of a question, with everything queued so far; none if they cannot be read."""
        await self.commit()
        nothing: list[Any] = []
        return await self.ask(lambda s: s.db.execute(sql, values).fetchall(), nothing)

    async def ask(self, question: Callable[[Store], T], otherwise: T) -> T:
        """Run something on the store in the writer's thread; `otherwise` is the answer when it fails."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question, otherwise)

    async def close(self) -> None:
        """Write what is left, close the store and release it."""
        if self._closed:
            return
        self._retry_at = 0.0
        await self.commit(durable=True)
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._end)
        self._release()

    # ── the loop's side ──

    def _schedule(self) -> None:
        if not self._due and self._flight is None:
            self._due = True
            # at the end of this turn of the loop, so that what is written together is committed together
            asyncio.get_running_loop().call_soon(self._launch)

    def _write_here(self) -> bool:
        """Commit what is queued in this very turn of the loop; False if that would have to wait for anybody."""
        if (
            self._flight is not None
            or self.degraded
            or len(self._pending) > FEW
            or not self._turn.acquire(blocking=False)
        ):
            return False
        try:
            if self._store is None or self._damaged or not self._store.never_waits:
                return False
            refused = self._store.write_at_once(self._pending)
        except (sqlite3.Error, OSError, MemoryError):
            return False  # the thread meets the same, and knows what to do
        finally:
            self._turn.release()
        self._pending = []
        self._tell_refused(refused)
        return True

    def _launch(self) -> None:
        self._due = False
        if self._flight is not None or not (self._pending or self._waiters):
            return
        batch, self._pending = self._pending, []
        waiters, self._waiters = self._waiters, []
        durable = any(wish for _, wish in waiters)
        flight = asyncio.get_running_loop().run_in_executor(self._thread, self._write, batch, durable)
        self._flight = flight
        flight.add_done_callback(lambda done: self._landed(done, batch, waiters))

    def _landed(
        self, flight: asyncio.Future[_Result], batch: list[Write], waiters: list[tuple[asyncio.Future[bool], bool]]
    ) -> None:
        self._flight = None
        if flight.cancelled():
            result = _Result(error="the writer was stopped")
        else:
            bug = flight.exception()
            result = flight.result() if bug is None else _Result(error=f"{type(bug).__name__}: {bug}")
        if result.moved:
            self._tell("journal:moved-aside", {"to": result.moved, "message": _moved(self.path, result.moved)})
        self._tell_refused(result.refused)
        if result.error:
            self._pending = [*batch, *self._pending]
            self._bound()
            self._retry_at = self._clock() + RETRY_AFTER
            self._degrade(result.error)
        elif self.degraded:
            self.degraded = ""
            lost, self._lost = self._lost, 0
            self._tell("journal:recovered", {"lost": lost, "message": "the journal is being written again"})
        for waiter, _ in waiters:
            if not waiter.done():
                waiter.set_result(not result.error)
        if result.error:
            for waiter, _ in self._waiters:
                if not waiter.done():
                    waiter.set_result(False)
            self._waiters = []
        elif self._pending or self._waiters:
            self._schedule()

    def _degrade(self, reason: str) -> None:
        first, self.degraded = not self.degraded, reason
        if first:
            message = (
                f"cannot write {self.path} ({reason}): what happens is kept in memory and written "
                f"when that works again; make room, or make the directory writable"
            )
            self._tell("journal:degraded", {"reason": reason, "message": message})

    def _bound(self) -> None:
        excess = len(self._pending) - MOST_HELD
        if excess <= 0:
            return
        self._lost += excess
        kept: list[Write] = []
        for write in self._pending:  # history goes first, oldest first
            if excess and write.history:
                excess -= 1
            else:
                kept.append(write)
        self._pending = kept[excess:]

    def _tell_refused(self, count: int) -> None:
        if count:
            self._tell("journal:refused", {"count": count, "message": "entries the database did not accept"})

    def _tell(self, type_: str, data: dict[str, Any]) -> None:
        if self._listener is None:
            self._notices.append((type_, data))
        else:
            self._listener(type_, data)

    # ── the thread's side ──

    def _begin(self) -> None:
        try:
            moved = self._open()
        except (OSError, sqlite3.Error) as error:
            moved = ""
            self._retry_at = self._clock() + RETRY_AFTER
            self._degrade(str(error))
        if moved:
            self._tell("journal:moved-aside", {"to": moved, "message": _moved(self.path, moved)})
        if self._store is not None and not moved:
            self.next_row, self.next_intent = self._store.last_row + 1, self._store.last_intent + 1
        else:
            # above every id the file holds or held: what waits in memory fits behind it, and ids never repeat
            self.next_row = self.next_intent = int(self._clock() * 1000)

    def _open(self) -> str:
        if self._lock is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = try_lock(self.path.with_name(f"{self.path.name}.lock"))
            if self._lock is None:
                raise Refused(
                    f"another regrow already writes {self.path}: stop it first, or give this one another --name",
                    by="journal",
                )
        self._store, moved = open_store(self.path, now=self._clock())
        return str(moved or "")

    def _write(self, batch: list[Write], durable: bool) -> _Result:
        with self._turn:
            return self._written(batch, durable)

    def _written(self, batch: list[Write], durable: bool) -> _Result:
        moved = ""
        try:
            if self._store is None:
                moved = self._open()
            if self._damaged:
                moved = self._start_afresh()
            try:
                refused = self._on_disk().write(batch, durable=durable)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                moved = self._start_afresh()
                refused = self._on_disk().write(batch, durable=durable)
        except (OSError, sqlite3.Error, RegrowError) as error:
            return _Result(error=str(error), moved=moved)
        return _Result(refused=refused, moved=moved)

    def _on_disk(self) -> Store:
        if self._store is None:
            raise OSError(f"{self.path} is closed")
        return self._store

    def _start_afresh(self) -> str:
        self._end()
        self._store, aside = replace_damaged(self.path, now=self._clock())
        self._damaged = False
        return str(aside)

    def _answer(self, question: Callable[[Store], T], otherwise: T) -> T:
        with self._turn:
            return self._answered(question, otherwise)

    def _answered(self, question: Callable[[Store], T], otherwise: T) -> T:
        store = self._store
        try:
            if store is not None:
                return question(store)
            with contextlib.closing(connect_readonly(self.path)) as db:  # a full disk can still be read
                return question(Store(self.path, db))
        except (OSError, sqlite3.Error, Fatal) as error:
            self._damaged = self._damaged or is_damage(error)
            return otherwise

    def _end(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _release(self) -> None:
        self._end()
        self._thread.shutdown(wait=False)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _moved(path: Path, aside: str) -> str:
    return f"{path} was damaged: it was moved to {aside} whole, and a new journal begins"
