"""What is written is remembered, in order, without secrets, whatever happens to the process or the file."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from regrow.model.actions import Kill, Start
from regrow.model.errors import Fatal, Refused
from regrow.model.facts import ChildExited
from regrow.model.gateway import Process
from regrow.model.verdicts import Episode, Verdict
from regrow.record import migrations, store, writer
from regrow.record.events import Event
from regrow.record.history import History
from regrow.record.journal import Desired, Intent, Journal
from regrow.record.log import remember_secret

GONE = Process(4242, 99)


async def events(path: Path) -> list[Event]:
    """What the file holds, read beside whoever writes it."""

    def read() -> list[Event]:
        with History(path) as history:
            return history.events(limit=100_000)

    return await asyncio.to_thread(read)


async def sql(path: Path, statement: str) -> list[Any]:
    """Ask or change the file behind everybody's back."""

    def run() -> list[Any]:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            return db.execute(statement).fetchall()

    return await asyncio.to_thread(run)


async def test_everything_a_keeper_must_know_at_start_outlives_it(opened, path: Path):
    journal = await opened()
    first = await journal.intend(Start(reason="asked"))
    second = await journal.intend(Kill(reason="hung", process=GONE))
    journal.conclude(first, Verdict("done"))
    assert await journal.set_desired("stopped", at=5.0, by="jane")
    journal.keep_config("d" * 64, "2026.9.6", at=7.0, path=path)
    journal.keep_config("e" * 64, "2026.9.6", at=8.0, path=path)
    journal.forget_config("d" * 64, "2026.9.6")
    episode = Episode(id="liveness:process:1", domain="liveness", subject="process", opened=1.0, evidence=("gone",))
    journal.store_episode(episode)
    journal.learn("boot", "2026.9.6", 4.6, at=9.0)
    await journal.close()

    again = await opened()
    assert [i.id for i in await again.open_intents()] == [second]
    (intent,) = await again.open_intents()
    assert intent.key == "kill"
    assert intent.action == {"action": "kill", "reason": "hung", "process": {"pid": 4242, "started": 99}}
    assert await again.desired() == Desired("stopped", 5.0, "jane")
    assert [k.digest[0] for k in await again.kept_configs()] == ["e"]
    assert await again.open_episodes() == [episode]
    assert await again.learned("boot", "2026.9.6") == 4.6
    assert await again.learned("boot", "2026.4.29") is None

    again.conclude(second, Verdict("inconclusive"))
    assert await again.open_intents() == []


async def test_a_fresh_journal_knows_nothing(opened):
    journal = await opened()
    assert await journal.desired() is None
    assert await journal.open_intents() == []
    assert journal.degraded == ""
    assert journal.path.name == "journal.db"


async def test_ids_grow_over_restarts(opened):
    journal = await opened()
    first = [journal.append("a", {}, 1.0) for _ in range(3)]
    await journal.close()
    journal = await opened()
    assert journal.append("b", {}, 2.0) == first[-1] + 1


async def test_files_are_private(opened, path: Path):
    path.parent.mkdir()
    path.touch(mode=0o644)
    path.chmod(0o644)
    journal = await opened()
    journal.append("a", {}, 1.0)
    await journal.commit()
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert {"journal.db", "journal.db-wal"} <= set(modes)


async def test_what_is_written_together_is_committed_together(opened, monkeypatch: pytest.MonkeyPatch):
    batches: list[int] = []
    write = store.Store.write

    def counting(self, batch, *, durable):
        batches.extend([len(batch)] if batch else [])
        return write(self, batch, durable=durable)

    monkeypatch.setattr(store.Store, "write", counting)
    journal = await opened()
    for number in range(500):
        journal.append("a", {"n": number}, 1.0)
    assert all(await asyncio.gather(*(journal.commit() for _ in range(50))))
    assert batches == [500]


async def test_what_queues_while_a_commit_runs_joins_the_next(opened, path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = await opened()
    running, go, batches = threading.Event(), threading.Event(), []
    write = store.Store.write

    def slow(self, batch, *, durable):
        batches.append([w.values[0] for w in batch])
        running.set()
        assert go.wait(10)
        return write(self, batch, durable=durable)

    monkeypatch.setattr(store.Store, "write", slow)
    ids = [journal.append("a", {}, 1.0)]
    first = asyncio.ensure_future(journal.commit())
    await asyncio.to_thread(running.wait, 10)
    ids += [journal.append("b", {}, 2.0), journal.append("c", {}, 3.0)]
    second = asyncio.ensure_future(journal.commit(durable=True))
    await asyncio.sleep(0)
    go.set()
    assert await first
    assert await second
    assert batches == [ids[:1], ids[1:]]
    assert [e.id for e in await events(path)] == ids


async def test_many_tasks_write_at_once_and_nothing_is_lost(opened, path: Path):
    journal = await opened()

    async def one(task: int) -> None:
        for number in range(20):
            intent = await journal.intend(Start(reason=f"{task}/{number}"))
            journal.append("step", {"task": task, "number": number}, 1.0)
            journal.conclude(intent, Verdict("done"))

    async with asyncio.TaskGroup() as group:
        for task in range(20):
            group.create_task(one(task))
    assert await journal.open_intents() == []
    found = await events(path)
    assert len(found) == 400
    for task in range(20):
        assert [e.data["number"] for e in found if e.data["task"] == task] == list(range(20))


async def test_a_cancelled_wait_does_not_stop_the_writing(opened, path: Path):
    journal = await opened()
    journal.append("a", {}, 1.0)
    waiting = asyncio.ensure_future(journal.commit())
    await asyncio.sleep(0)
    waiting.cancel()
    journal.append("b", {}, 2.0)
    assert await journal.commit()
    assert [e.type for e in await events(path)] == ["a", "b"]


async def test_secrets_do_not_reach_the_file(opened, path: Path):
    remember_secret("known-secret-value")
    journal = await opened()
    fact = ChildExited(at=1.0, process=GONE, last=("OPENCLAW_GATEWAY_TOKEN=abcdefgh", "x known-secret-value y"))
    journal.append("fact:child-exited", fact, 1.0)
    await journal.intend(Start(reason="token=qwertyuiop known-secret-value"))
    await journal.set_desired("stopped", at=1.0, by="jane@example.com")
    await journal.close()
    written = b"".join(p.read_bytes() for p in path.parent.iterdir())
    for secret in (b"abcdefgh", b"known-secret-value", b"qwertyuiop", b"jane@example"):
        assert secret not in written
    assert b"child-exited" in written


async def test_what_has_no_json_form_is_still_written(opened, path: Path):
    journal = await opened()
    journal.append("odd", {"half": "\ud800", "set": {1}, "path": path, "nan": math.nan, "big": 2**80}, 1.0)
    journal.append("bad", {}, math.nan)
    journal.append("good", {}, 2.0)
    notices: list[str] = []
    journal.listen(lambda type_, _data: notices.append(type_))
    assert await journal.commit()
    assert [e.type for e in await events(path)] == ["odd", "good"]
    assert notices == ["journal:refused"]


# ── another process ──


async def test_a_second_writer_is_refused_and_a_reader_is_not(opened, path: Path):
    journal = await opened()
    with pytest.raises(Refused, match=r"another regrow already writes .*journal\.db: stop it first"):
        await Journal.open(path)
    journal.append("a", {}, 1.0)
    await journal.commit()
    code = "import sys; from pathlib import Path; from regrow.record.journal import Journal; import asyncio\n"
    code += "asyncio.run(Journal.open(Path(sys.argv[1])))"
    other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "another regrow already writes" in other.stderr
    assert len(await events(path)) == 1
    await journal.close()
    assert await (await opened()).commit()


WRITER = """
import asyncio, sys
from pathlib import Path
from regrow.model.actions import Start
from regrow.record.journal import Journal

async def main():
    journal = await Journal.open(Path(sys.argv[1]))
    while True:
        number = await journal.intend(Start(reason="again"))
        print(number, flush=True)
        for n in range(7):
            journal.append("noise", {"n": n}, 1.0)

asyncio.run(main())
"""


@pytest.mark.timeout(120)
async def test_every_acknowledged_intent_survives_sigkill(opened, path: Path):
    acknowledged: set[int] = set()
    for round_ in range(12):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(3 + 11 * round_):
                acknowledged.add(int(child.stdout.readline()))
            os.kill(child.pid, signal.SIGKILL)
            # a last line may be cut; only whole ones were acknowledged
            acknowledged |= {int(line) for line in child.stdout.read().split("\n")[:-1]}
        journal = await opened()
        kept = [i.id for i in await journal.open_intents()]
        assert acknowledged <= set(kept)
        assert len(kept) == len(set(kept))
        notices: list[str] = []
        journal.listen(lambda type_, _data, seen=notices: seen.append(type_))
        assert notices == []
        await journal.close()
    assert len(acknowledged) > 500


# ── the file ──


@pytest.mark.parametrize(
    "content", [b"this is not a database, whatever it is called" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
async def test_a_damaged_file_is_moved_aside_whole_and_a_new_one_begins(opened, path: Path, content: bytes):
    path.parent.mkdir()
    path.write_bytes(content)
    journal = await opened()
    notices: list[tuple[str, dict[str, str]]] = []
    journal.listen(lambda type_, data: notices.append((type_, data)))
    ((type_, data),) = notices
    assert type_ == "journal:moved-aside"
    assert "was damaged: it was moved to" in data["message"]
    aside = Path(data["to"])
    assert aside.read_bytes() == content
    assert aside.name == "journal.db.damaged-20270115T080000Z"
    assert await journal.set_desired("stopped", at=1.0, by="cli")
    await journal.close()

    path.write_bytes(content)
    await opened()
    assert len(list(path.parent.glob("*.damaged-*"))) == 2


async def damaged(opened, path: Path, tree: str = "journal") -> None:
    """A journal with a stop in it whose events are broken."""
    journal = await opened()
    await journal.set_desired("stopped", at=5.0, by="jane")
    for number in range(2000):
        journal.append("a", {"n": number}, 1.0)
    await journal.commit()
    await journal.close()
    ((root,),), size = await sql(path, f"SELECT rootpage FROM sqlite_schema WHERE name = '{tree}'"), 4096
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xa5" * size)


async def test_a_persons_stop_survives_damage_elsewhere_in_the_file(opened, path: Path):
    await damaged(opened, path)
    journal = await opened()
    assert list(path.parent.glob("*.damaged-*"))
    assert await journal.desired() == Desired("stopped", 5.0, "jane")


async def test_damage_that_shows_while_running_is_survived(opened, path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(store, "_check", lambda db: None)  # it happens after the look at the start
        await damaged(opened, path, "journal_type")
        journal = await opened()
    notices: list[str] = []
    journal.listen(lambda type_, _data: notices.append(type_))
    assert await journal.retain(days=1, mb=1) == 0  # reads the broken page
    intent = await journal.intend(Start(reason="on we go"))
    assert notices == ["journal:moved-aside"]
    assert [i.id for i in await journal.open_intents()] == [intent]
    assert await journal.desired() == Desired("stopped", 5.0, "jane")


async def test_damage_found_by_a_write_is_survived_too(opened, path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(store, "_check", lambda db: None)
        await damaged(opened, path, "journal_type")
        journal = await opened()
    journal.append("b", {}, 2.0)
    assert await journal.commit()
    assert [e.type for e in await events(path)] == ["b"]


async def test_a_newer_regrows_file_is_refused_and_not_touched(opened, path: Path):
    journal = await opened()
    journal.append("a", {}, 1.0)
    await journal.close()
    await sql(path, f"PRAGMA user_version = {migrations.VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(
        Fatal, match=r"written by a newer regrow \(schema \d+, this one knows \d+\).*it was not touched"
    ):
        await Journal.open(path)
    with pytest.raises(Fatal, match="written by a newer regrow"):
        await events(path)
    assert path.read_bytes() == before


async def test_another_programs_database_is_refused_and_not_touched(path: Path):
    path.parent.mkdir()
    await sql(path, "CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(Fatal, match="is another program's database"):
        await Journal.open(path)
    assert path.read_bytes() == before


async def test_an_older_file_is_brought_up_to_date(opened, path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = await opened()
    journal.append("a", {}, 1.0)
    await journal.close()
    steps = (*migrations.STEPS, ("ALTER TABLE journal ADD COLUMN extra TEXT",))
    monkeypatch.setattr(migrations, "STEPS", steps)
    monkeypatch.setattr(migrations, "VERSION", len(steps))
    await (await opened()).close()
    assert await sql(path, "SELECT type, extra FROM journal") == [("a", None)]


async def test_a_step_that_fails_leaves_the_file_as_it_was(opened, path: Path, monkeypatch: pytest.MonkeyPatch):
    await (await opened()).close()
    steps = (*migrations.STEPS, ("CREATE TABLE half (a TEXT)", "CREATE TABLE journal (a TEXT)"))
    monkeypatch.setattr(migrations, "STEPS", steps)
    monkeypatch.setattr(migrations, "VERSION", len(steps))
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        await asyncio.to_thread(store.open_store, path, now=0.0)
    assert await sql(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'") == [(0,)]
    assert await sql(path, "PRAGMA user_version") == [(migrations.VERSION - 1,)]


# ── growing old ──


async def test_what_is_too_old_is_forgotten_but_nothing_open(opened, path: Path, clock):
    journal = await opened()
    for day in range(10):
        journal.append("a", {}, clock.at - (10 - day) * 86400)
    old = await journal.intend(Start(reason="never ended"))
    ended = await journal.intend(Start(reason="ended"))
    journal.conclude(ended, Verdict("done"))
    for name, closed in (("open", None), ("closed", clock.at)):
        journal.store_episode(
            Episode(id=name, domain="d", subject="s", opened=1.0, state="ended" if closed else "open", closed=closed)
        )
    await journal.commit()
    assert await journal.retain(days=5.5, mb=100) == 5
    clock.at += 100 * 86400
    newest = journal.append("b", {}, clock.at - 50 * 86400)
    await journal.commit()
    assert await journal.retain(days=5, mb=100) == 5 + 2
    assert [e.id for e in await events(path)] == [newest]
    assert await sql(path, "SELECT id FROM episodes") == [("open",)]
    assert [i.id for i in await journal.open_intents()] == [old]


async def test_what_is_too_much_is_forgotten_oldest_first_and_the_file_shrinks(opened, path: Path, clock):
    journal = await opened()
    for number in range(12_000):
        journal.append("a", {"n": number, "text": "x" * 300}, clock.at)
    await journal.commit()
    await journal.retain(days=100, mb=100)
    await journal.close()
    large = path.stat().st_size
    assert large > 4_000_000
    journal = await opened()
    assert await journal.retain(days=100, mb=1) > 5_000
    await journal.close()
    assert path.stat().st_size < 1_500_000
    kept = await events(path)
    assert kept[-1].data["n"] == 11_999
    assert [e.id for e in kept] == list(range(kept[0].id, kept[-1].id + 1))


# ── a disk that refuses ──


async def test_intents_wait_behind_no_more_than_a_slice_of_retention(opened, monkeypatch: pytest.MonkeyPatch, clock):
    journal = await opened()
    for _ in range(store.SLICE * 6):
        journal.append("a", {}, clock.at - 1e8)
    await journal.commit()
    order: list[str] = []
    trim = store.Store.trim_by_age
    monkeypatch.setattr(store.Store, "trim_by_age", lambda s, before: (order.append("slice"), trim(s, before))[1])

    async def act() -> None:
        await journal.intend(Start(reason="now"))
        order.append("intent")

    async with asyncio.TaskGroup() as group:
        group.create_task(journal.retain(days=1, mb=100))
        group.create_task(act())
    assert order.index("intent") <= 2


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch):
    """A disk that refuses as long as the returned list says why."""
    why: list[Exception] = []
    commit = store.Store._commit

    def refusing(self, batch):
        if why:
            raise why[0]
        return commit(self, batch)

    monkeypatch.setattr(store.Store, "_commit", refusing)
    return why


async def test_a_refusing_disk_is_told_once_waited_for_and_nothing_is_lost(opened, path: Path, refusing, clock):
    journal = await opened()
    notices: list[tuple[str, dict]] = []
    journal.listen(lambda type_, data: notices.append((type_, data)))
    refusing.append(sqlite3.OperationalError("database or disk is full"))
    intent = await journal.intend(Start(reason="while full"))
    assert journal.degraded == "database or disk is full"
    assert await journal.set_desired("stopped", at=1.0, by="cli") is False
    for number in range(10):
        journal.append("a", {"n": number}, 1.0)
        clock.at += writer.RETRY_AFTER  # tried again, in vain
        assert await journal.commit() is False
    assert [t for t, _ in notices] == ["journal:degraded"]
    assert "make room" in notices[0][1]["message"]

    refusing.clear()
    assert await journal.commit() is False  # not yet time
    clock.at += writer.RETRY_AFTER
    assert await journal.commit()
    assert journal.degraded == ""
    assert notices[1] == ("journal:recovered", {"lost": 0, "message": "the journal is being written again"})
    assert await journal.desired() == Desired("stopped", 1.0, "cli")
    assert [i.id for i in await journal.open_intents()] == [intent]
    assert [e.data["n"] for e in await events(path)] == list(range(10))


async def test_memory_is_bounded_and_decisions_outlive_history(
    opened, path: Path, refusing, clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer, "MOST_HELD", 50)
    journal = await opened()
    notices: list[tuple[str, dict]] = []
    journal.listen(lambda type_, data: notices.append((type_, data)))
    refusing.append(OSError(28, "No space left on device"))
    await journal.set_desired("stopped", at=1.0, by="cli")
    for number in range(500):
        journal.append("a", {"n": number}, 1.0)
    refusing.clear()
    clock.at += writer.RETRY_AFTER
    assert await journal.commit()
    assert notices[-1][0] == "journal:recovered"
    assert notices[-1][1]["lost"] == 451
    assert await journal.desired() == Desired("stopped", 1.0, "cli")
    assert [e.data["n"] for e in await events(path)] == list(range(451, 500))


async def test_nothing_else_that_goes_wrong_in_the_writer_reaches_the_keeper(opened, refusing, clock):
    journal = await opened()
    refusing.append(MemoryError("none left"))
    await journal.intend(Start(reason="x"))
    assert journal.degraded == "MemoryError: none left"
    refusing.clear()
    clock.at += writer.RETRY_AFTER
    assert len(await journal.open_intents()) == 1


async def test_a_place_that_cannot_be_written_yet_is_waited_for(opened, path: Path, clock):
    path.parent.write_text("a file where the directory should be")
    journal = await opened()
    notices: list[str] = []
    journal.listen(lambda type_, _data: notices.append(type_))
    assert notices == ["journal:degraded"]
    number = journal.append("a", {}, 1.0)
    intent = await journal.intend(Start(reason="x"))
    assert await journal.open_intents() == []  # there is nothing to read yet
    path.parent.unlink()
    clock.at += writer.RETRY_AFTER
    assert await journal.open_intents() == [
        Intent(intent, "start", {"action": "start", "reason": "x"}, clock.at - writer.RETRY_AFTER)
    ]
    assert notices == ["journal:degraded", "journal:recovered"]
    assert [e.id for e in await events(path)] == [number]


FULL = """
import asyncio, os, resource, sys
from pathlib import Path
from regrow.model.actions import Start
from regrow.record import writer
from regrow.record.journal import Journal

async def main():
    writer.RETRY_AFTER = 0.0
    notices = []
    path = Path(sys.argv[1])
    journal = await Journal.open(path)
    journal.listen(lambda t, d: notices.append(t))
    await journal.intend(Start(reason="before"))
    size = max(p.stat().st_size for p in path.parent.iterdir()) + 20000
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    count = 1
    while "journal:degraded" not in notices:
        await journal.intend(Start(reason="x" * 2000))
        count += 1
    for _ in range(20):
        await journal.intend(Start(reason="while full"))
        count += 1
    assert notices == ["journal:degraded"], notices
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await journal.intend(Start(reason="after"))
    count += 1
    assert notices == ["journal:degraded", "journal:recovered"], notices
    assert len(await journal.open_intents()) == count
    await journal.close()
    print(count)

asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="needs RLIMIT_FSIZE")
async def test_a_file_that_may_not_grow(opened, path: Path):
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    journal = await opened()
    assert len(await journal.open_intents()) == int(done.stdout)


@pytest.fixture
def mount(tmp_path: Path):
    """A file system of 400 KB of its own."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", mount]
    if os.name != "posix" or os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)


async def test_a_really_full_disk(mount: Path, clock):
    path = mount / "journal.db"
    journal = await Journal.open(path, clock=clock)
    notices: list[str] = []
    journal.listen(lambda type_, _data: notices.append(type_))
    assert await journal.set_desired("stopped", at=1.0, by="cli")
    filler = mount / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    assert shutil.disk_usage(mount).free == 0
    while "journal:degraded" not in notices:
        journal.append("a", {"text": "x" * 2000}, 1.0)
        await journal.commit()
    intent = await journal.intend(Start(reason="while full"))
    assert await journal.desired() == Desired("stopped", 1.0, "cli")  # it can still be read
    filler.unlink()
    clock.at += writer.RETRY_AFTER
    assert [i.id for i in await journal.open_intents()] == [intent]
    assert notices == ["journal:degraded", "journal:recovered"]
    await journal.close()
    assert (await events(path))[-1].data == {"text": "x" * 2000}


async def test_a_disk_that_became_read_only_can_still_be_asked(mount: Path, clock):
    path = mount / "journal.db"
    journal = await Journal.open(path, clock=clock)
    await journal.set_desired("stopped", at=1.0, by="cli")
    journal.append("a", {}, 1.0)
    await journal.close()
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", mount], check=True)
    assert [e.type for e in await events(path)] == ["a"]
    journal = await Journal.open(path, clock=clock)
    assert "ead-only" in journal.degraded
    assert await journal.desired() == Desired("stopped", 1.0, "cli")
    intent = await journal.intend(Start(reason="x"))
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,rw", mount], check=True)
    clock.at += writer.RETRY_AFTER
    assert [i.id for i in await journal.open_intents()] == [intent]
    assert journal.degraded == ""
    with pytest.raises(Refused):  # the lock was taken late, and it was taken
        await Journal.open(path, clock=clock)
    await journal.close()


async def test_another_writer_that_came_first_while_the_place_was_missing(opened, path: Path, clock):
    path.parent.write_text("in the way")
    late = await opened()
    path.parent.unlink()
    first = await opened()
    clock.at += writer.RETRY_AFTER
    await late.intend(Start(reason="x"))
    assert "another regrow already writes" in late.degraded
    assert await first.commit()


async def test_closing_twice_and_writing_after_it_does_nothing(opened):
    journal = await opened()
    await journal.close()
    await journal.close()
    journal.append("late", {}, 1.0)
    assert await journal.commit() is False
