"""What somebody waits for is committed by the loop itself, as long as that cannot make it wait."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from regrow.model.actions import Start
from regrow.record import store, writer


async def test_what_somebody_waits_for_is_committed_in_the_same_turn_of_the_loop(opened, path: Path):
    journal = await opened()
    await journal.commit()  # the thread rests
    journal.append("a", {"n": 1}, 1.0)
    waiting = journal.intend(Start(reason="it was killed"))
    with pytest.raises(StopIteration):
        waiting.send(None)  # it came to its end without waiting for anything
    with contextlib.closing(sqlite3.connect(path)) as reader:
        assert reader.execute("SELECT count(*) FROM intents").fetchone() == (1,)
        assert reader.execute("SELECT count(*) FROM journal WHERE type = 'a'").fetchone() == (1,)


async def test_the_loop_never_waits_for_another_program_that_holds_the_file(opened, path: Path):
    journal = await opened()
    await journal.commit()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(journal.intend(Start(reason="it was killed")))
        await asyncio.sleep(0)
        assert not waiting.done()  # the thread waits for its turn instead
        other.execute("COMMIT")
    await waiting
    assert [intent.id for intent in await journal.open_intents()] == [1]
    assert journal.degraded == ""


async def test_many_entries_and_what_must_outlive_a_power_cut_are_left_to_the_thread(opened):
    journal = await opened()
    await journal.commit()
    for number in range(writer.FEW + 1):
        journal.append("a", {"n": number}, 1.0)
    many = asyncio.create_task(journal.commit())
    await asyncio.sleep(0)
    assert not many.done()
    assert await many
    durable = asyncio.create_task(journal.commit(durable=True))
    await asyncio.sleep(0)
    assert not durable.done()
    assert await durable


async def test_the_log_is_folded_in_by_the_thread_only(opened, path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(store, "FOLD_AT", 1)
    journal = await opened()
    await journal.commit(durable=True)
    size = path.stat().st_size
    for number in range(60):
        journal.append("a", {"text": "x" * 2000, "n": number}, 1.0)
        waiting = journal.commit()
        with pytest.raises(StopIteration):
            waiting.send(None)
    assert path.stat().st_size == size
    journal.append("a", {}, 1.0)
    await journal.commit(durable=True)
    assert path.stat().st_size > size
