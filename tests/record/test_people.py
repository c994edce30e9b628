"""What people were told outlives the keeper."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from regrow.model.people import Filed
from regrow.record import migrations
from regrow.record.journal import Journal

FILED = Filed("m1", "owner/repo", 7, 5.0)


async def test_what_was_filed_is_known_again(opened, path: Path) -> None:
    journal: Journal = await opened()
    assert await journal.filed("m1") is None
    await journal.book_filed(FILED)
    await journal.book_filed(Filed("m2", "owner/repo", 0, 6.0))
    journal.unbook_filed("m2", None)
    await journal.close()
    journal = await opened()
    assert await journal.filed("m1") == FILED
    assert await journal.filed("m2") is None
    later = Filed("m1", "owner/repo", 7, 9.0)
    await journal.book_filed(later)
    assert await journal.filed("m1") == later
    journal.unbook_filed("m1", FILED)
    assert await journal.filed("m1") == FILED


async def test_it_is_read_out_of_a_damaged_file(opened, path: Path) -> None:
    journal: Journal = await opened()
    await journal.book_filed(FILED)
    await journal.close()
    raw = bytearray(path.read_bytes())
    page = 4096
    db = sqlite3.connect(path)
    root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'journal_type'").fetchone()[0]
    db.close()
    raw[(root - 1) * page : root * page] = b"\xff" * page
    path.write_bytes(raw)
    journal = await opened()
    assert await journal.filed("m1") == FILED


async def test_a_journal_of_the_first_release_is_brought_up_to_date(opened, path: Path) -> None:
    path.parent.mkdir(parents=True)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA application_id = {migrations.APPLICATION}")
    for statement in migrations.STEPS[0]:
        db.execute(statement)
    db.execute("PRAGMA user_version = 1")
    db.execute("INSERT INTO desired VALUES ('default', 'stopped', 1.0, 'ann')")
    db.close()
    journal: Journal = await opened()
    assert (await journal.desired()).want == "stopped"
    await journal.book_filed(FILED)
    assert await journal.filed("m1") == FILED
