"""The numbered steps of the database schema."""

from __future__ import annotations

import sqlite3

from regrow.model.errors import Fatal

APPLICATION = 0x52677277  # "Rgrw": tells our database from anybody else's

# A step is never changed once released; a new version appends one. The number of steps is the schema version.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE journal (
             id INTEGER PRIMARY KEY, at REAL NOT NULL, type TEXT NOT NULL, gateway TEXT NOT NULL, data TEXT NOT NULL
           ) STRICT""",
        "CREATE INDEX journal_type ON journal (type, id)",
        """CREATE TABLE episodes (
             id TEXT PRIMARY KEY, domain TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL,
             opened REAL NOT NULL, closed REAL, data TEXT NOT NULL
           ) STRICT""",
        "CREATE INDEX episodes_opened ON episodes (opened)",
        """CREATE TABLE kept_configs (
             digest TEXT NOT NULL, version TEXT NOT NULL, at REAL NOT NULL, path TEXT NOT NULL,
             PRIMARY KEY (digest, version)
           ) STRICT""",
        """CREATE TABLE desired (
             gateway TEXT PRIMARY KEY, want TEXT NOT NULL CHECK (want IN ('running', 'stopped')),
             since REAL NOT NULL, by TEXT NOT NULL
           ) STRICT""",
        """CREATE TABLE processes (
             gateway TEXT PRIMARY KEY, pid INTEGER NOT NULL, started INTEGER NOT NULL, port INTEGER NOT NULL,
             epoch INTEGER NOT NULL, at REAL NOT NULL, token_ref TEXT NOT NULL, ended_at REAL
           ) STRICT""",
        """CREATE TABLE intents (
             id INTEGER PRIMARY KEY, key TEXT NOT NULL, action TEXT NOT NULL, intended_at REAL NOT NULL,
             outcome TEXT, ended_at REAL
           ) STRICT""",
        "CREATE INDEX intents_open ON intents (id) WHERE ended_at IS NULL",
        """CREATE TABLE learned (
             what TEXT NOT NULL, version TEXT NOT NULL, value REAL NOT NULL, at REAL NOT NULL,
             PRIMARY KEY (what, version)
           ) STRICT""",
    ),
    (
        """CREATE TABLE changes (
             id TEXT PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL,
             gone_at REAL, gone TEXT
           ) STRICT""",
        "CREATE INDEX changes_standing ON changes (at) WHERE gone_at IS NULL",
        """CREATE TABLE proposals (
             id TEXT PRIMARY KEY, state TEXT NOT NULL, created REAL NOT NULL, decided REAL, data TEXT NOT NULL
           ) STRICT""",
    ),
    ("DROP TABLE processes",),  # nobody read it: the note of a life has more, and is there before the spawn
    (
        """CREATE TABLE issues (
             marker TEXT PRIMARY KEY, repo TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL
           ) STRICT""",
    ),
)

VERSION = len(STEPS)


def migrate(db: sqlite3.Connection, where: str) -> int:
    """Bring the database to the current schema, one transaction per step.

    Args:
        db: A connection in autocommit mode.
        where: The file's name, for messages.

    Returns:
        The version it had before.

    Raises:
        Fatal: It was written by a newer regrow, or is not ours. Nothing was changed.
    """
    before = refuse_foreign(db, where)
    if before == 0:
        # both only take effect on an empty database
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute(f"PRAGMA application_id = {APPLICATION}")
    db.execute("PRAGMA journal_mode = WAL").fetchone()
    for number, step in enumerate(STEPS[before:], before + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in step:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return before


def refuse_foreign(db: sqlite3.Connection, where: str) -> int:
    """The schema version of a database that is ours and not newer than we are.

    Raises:
        Fatal: It is neither.
    """
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application not in {0, APPLICATION} or (application == 0 and tables):
        raise Fatal(f"{where} is another program's database: move it away, or set regrow.state_dir to another place")
    if version > VERSION:
        raise Fatal(
            f"{where} was written by a newer regrow (schema {version}, this one knows {VERSION}): "
            f"install that version again, or move the file away to begin a new journal; it was not touched"
        )
    return version
