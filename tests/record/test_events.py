"""Events reach whoever listens; content stays in this process; what is kept can be asked for."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from regrow.model.actions import Start
from regrow.model.errors import Fatal
from regrow.model.verdicts import Episode
from regrow.record.events import SKIPPED, Event, Events, bears_content
from regrow.record.history import History
from regrow.record.journal import Journal
from regrow.record.log import pseudonym
from regrow.record.snapshot import Snapshot

KEY = "agent:main:whatsapp:+4915112345678"


@pytest.fixture
async def journal(opened) -> Journal:
    """An open journal."""
    return await opened()


@pytest.fixture
def events(journal: Journal, clock) -> Events:
    """The hub over it."""
    return Events(journal, name=lambda key: pseudonym(key, secret=b"k" * 32), clock=clock)


async def ask(path: Path, question):
    """Ask the file as another process would, beside the writer."""

    def run():
        with History(path) as history:
            return question(history)

    return await asyncio.to_thread(run)


async def test_an_event_is_told_and_kept_with_the_same_id(events: Events, journal: Journal, path: Path):
    subscription = events.subscribe()
    published = events.publish("gateway:ready", {"port": 18789}, 1.5)
    assert await anext(subscription) == published == Event(1, 1.5, "gateway:ready", {"port": 18789})
    await journal.commit()
    assert await ask(path, lambda h: h.events()) == [published]


@pytest.mark.parametrize(
    "type_", ["chat:delta", "chat:final", "chat:message", "tool:status", "message", "notification"]
)
async def test_content_reaches_only_listeners_in_this_process_that_asked(
    events: Events, journal: Journal, path: Path, type_: str
):
    assert bears_content(type_)
    reader, plain = events.subscribe(content=True), events.subscribe()
    told = events.publish(type_, {"text": "my private words", "sessionKey": KEY}, 1.0)
    assert told.id == 0
    events.publish("status", {}, 2.0)
    assert (await anext(reader)).data == {"text": "my private words", "sessionKey": KEY}
    assert (await anext(plain)).type == "status"
    await journal.close()
    assert [e.type for e in await ask(path, lambda h: h.events())] == ["status"]
    assert b"private words" not in path.read_bytes()


@pytest.mark.parametrize("type_", ["channel:status", "gateway:ready", "messages", "episode:opened", "toolbox"])
def test_other_types_bear_no_content(type_: str):
    assert not bears_content(type_)


async def test_phone_numbers_in_session_keys_become_names(events: Events, journal: Journal, path: Path):
    events.publish("self-heal:session-patched", {"sessionKey": KEY, "why": f"{KEY} was cooling"}, 1.0)
    await journal.commit()
    (event,) = await ask(path, lambda h: h.events())
    name = pseudonym(KEY, secret=b"k" * 32)
    assert event.data == {"sessionKey": name, "why": f"{name} was cooling"}


async def test_a_slow_reader_is_told_how_much_it_missed(events: Events):
    slow, fast = events.subscribe(size=3), events.subscribe()
    for number in range(10):
        events.publish("a", {"n": number}, float(number))
    assert await anext(slow) == Event(0, 7.0, SKIPPED, {"count": 7})
    assert [(await anext(slow)).data["n"] for _ in range(3)] == [7, 8, 9]
    assert [(await anext(fast)).data["n"] for _ in range(10)] == list(range(10))


async def test_a_reader_waits_chooses_and_ends(events: Events):
    with events.subscribe(types=["gateway:*", "exit"]) as subscription:

        async def read() -> list[str]:
            return [event.type async for event in subscription]

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            await asyncio.sleep(0)
            for type_ in ("gateway:ready", "status", "exit", "exits"):
                events.publish(type_, {}, 1.0)
            await asyncio.sleep(0)
            events.close()
        assert reading.result() == ["gateway:ready", "exit"]
    events.publish("exit", {}, 2.0)
    with pytest.raises(StopAsyncIteration):
        await anext(subscription)


async def test_the_journals_own_notices_are_events(opened, path: Path, clock):
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 50)
    journal = await opened()
    events = Events(journal, name=str, clock=clock)
    await journal.commit()
    (event,) = await ask(path, lambda h: h.events())
    assert event.type == "journal:moved-aside"
    assert event.at == clock.at
    events.close()


async def test_the_past_can_be_asked_in_pages_by_type_and_from_the_end(events: Events, journal: Journal, path: Path):
    for number in range(10):
        events.publish("gateway:ready" if number % 2 else "a[b]*c", {"n": number}, float(number))
    await journal.commit()
    assert [e.id for e in await ask(path, lambda h: h.events(after_id=3, limit=2))] == [4, 5]
    assert [e.data["n"] for e in await ask(path, lambda h: h.events(types=["gateway:*"]))] == [1, 3, 5, 7, 9]
    assert [e.data["n"] for e in await ask(path, lambda h: h.events(types=["a[b]*c"], limit=2))] == [0, 2]
    assert [e.data["n"] for e in await ask(path, lambda h: h.events(types=["a[b]*"], limit=2))] == [0, 2]
    assert await ask(path, lambda h: h.events(types=["ab*", "a?b]*"])) == []
    assert [e.data["n"] for e in await ask(path, lambda h: h.last(3))] == [7, 8, 9]
    assert [e.data["n"] for e in await ask(path, lambda h: h.last(1, ["nothing", "gateway:ready"]))] == [9]


async def test_the_past_knows_episodes_intents_and_what_is_wanted(journal: Journal, path: Path):
    assert await ask(path, lambda h: h.desired()) is None
    for number, state in enumerate(("cured", "open", "human")):
        journal.store_episode(
            Episode(id=str(number), domain="d", subject="s", opened=float(number), state=state)  # type: ignore[arg-type]
        )
    await journal.set_desired("stopped", at=4.0, by="cli")
    intent = await journal.intend(Start(reason="x"))
    assert [e.id for e in await ask(path, lambda h: h.episodes())] == ["2", "1", "0"]
    assert [e.id for e in await ask(path, lambda h: h.episodes("open"))] == ["1"]
    assert await ask(path, lambda h: h.desired()) == ("stopped", 4.0, "cli")
    ((found,)) = [i["id"] for i in await ask(path, lambda h: h.open_intents())]
    assert found == intent


async def test_no_journal_or_a_damaged_one_is_said_clearly(path: Path):
    with pytest.raises(Fatal, match="there is no journal at"):
        await ask(path, lambda h: h.events())
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 50)
    with pytest.raises(Fatal, match=r"cannot read the journal .* a keeper that starts moves a damaged one aside"):
        await ask(path, lambda h: h.events())


async def test_damage_found_while_reading_is_said_clearly(events: Events, journal: Journal, path: Path):
    for number in range(2000):
        events.publish("a", {"n": number}, 1.0)
    await journal.close()
    content = path.read_bytes()
    path.write_bytes(content[: 4096 * 4] + b"\xa5" * (len(content) - 4096 * 4))
    with pytest.raises(Fatal, match="cannot read the journal"):
        await ask(path, lambda h: h.events(limit=5000))


# ── the status file ──


async def test_the_status_file_is_whole_private_and_readable(tmp_path: Path):
    snapshot = Snapshot(tmp_path / "status.json")
    for number in range(3):
        assert await snapshot.save({"status": "connected", "n": number})
    assert snapshot.path.read_text() == '{\n  "status": "connected",\n  "n": 2\n}\n'
    assert stat.S_IMODE(snapshot.path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]
    await snapshot.remove()
    await snapshot.remove()
    assert list(tmp_path.iterdir()) == []


async def test_a_reader_never_sees_half_a_status(tmp_path: Path):
    snapshot = Snapshot(tmp_path / "status.json")
    await snapshot.save({"n": 0, "text": ""})
    done = False

    def read() -> int:
        seen = 0
        while not done:
            status = json.loads(snapshot.path.read_text())
            assert len(status["text"]) == status["n"] * 1000
            seen += 1
        return seen

    reading = asyncio.ensure_future(asyncio.to_thread(read))
    await asyncio.gather(*(snapshot.save({"n": n, "text": "x" * n * 1000}) for n in range(200)))
    done = True
    assert await reading > 0
    assert json.loads(snapshot.path.read_text())["n"] == 199


async def test_a_failure_only_warns_and_only_once(tmp_path: Path):
    place = tmp_path / "dir"
    snapshot = Snapshot(place / "status.json")
    with capture_logs() as logs:
        assert await snapshot.save({}) is False
        assert await snapshot.save({}) is False
        place.mkdir()
        assert await snapshot.save({})
        place.joinpath("status.json").unlink()
        place.rmdir()
        assert await snapshot.save({}) is False
    assert [entry["log_level"] for entry in logs] == ["warning", "warning"]
    assert logs[0]["event"] == "status file cannot be written"
