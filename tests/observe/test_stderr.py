"""Lines that real gateways printed, and what they mean."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from regrow.observe.stderr import bare, blames_config, blurred, culprit, fingerprint, read

OUTPUT = Path(__file__).parent / "output"


def lines(name: str) -> list[str]:
    return (OUTPUT / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("line", "kind", "topic"),
    [
        ("2026-11-21T08:49:10.802+00:00 [gateway] ready", "ready", "ready"),
        ("\x1b[90m2026-11-21T08:49:10.802+00:00\x1b[39m \x1b[36m[gateway]\x1b[39m ready", "ready", "ready"),
        ("2026-11-21T08:49:06.543+00:00 [gateway] spawn broker ready pid=10647", "progress", "spawn broker"),
        ("[gateway] http server listening (14 plugins: anthropic, xai; 3.0s)", "progress", "listening"),
        ("[gateway] starting channels and sidecars...", "progress", "channels"),
        (
            "[gateway] startup failed: EADDRINUSE. Process will stay alive",
            "startup-failed",
            "startup failed",
        ),
        (
            "[gateway] restart-loop breaker tripped: 3 unclean boot(s)",
            "breaker-tripped",
            "breaker tripped",
        ),
        (
            "[gateway] restart-loop breaker recovered; channel auto-start",
            "breaker-recovered",
            "breaker recovered",
        ),
        (
            "Gateway failed to start: gateway already running (pid 812); lock timeout",
            "trouble",
            "state held",
        ),
        (
            "Gateway failed to start: another gateway instance is already listening on ws:",
            "trouble",
            "port taken",
        ),
        (
            "Gateway failed to start: database is locked. Run openclaw",
            "trouble",
            "database locked",
        ),
        ("SQLite integrity_check failed for /x/openclaw.sqlite: broken", "trouble", "database damaged"),
        ("Error: uses newer schema version 15; this build supports 1", "trouble", "database too new"),
        ("[openclaw] Unhandled promise rejection: TypeError: x is not a function", "trouble", "unhandled rejection"),
        ("[openclaw] Non-fatal unhandled rejection (continuing): TypeError: fetch failed", None, "rejection"),
        (
            "FATAL ERROR: Reached heap limit - JavaScript heap out of memory",
            "trouble",
            "out of memory",
        ),
        ("Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/x/y.js' imported from /z.js", "trouble", "module missing"),
        ("[plugins] chaos failed during register from /x/index.js: Error: no", "trouble", "plugin failed"),
        ("[reload] config reload skipped (invalid config): : Unrecognized key", "trouble", "config edit ignored"),
        ("(node:12) ExperimentalWarning: SQLite is an experimental feature", None, "noise"),
        ("[telegram] message: are you ready?", None, ""),
    ],
)
def test_a_line_means(line: str, kind: str | None, topic: str) -> None:
    meaning = read(line)
    assert (meaning.kind, meaning.topic) == (kind, topic)


def test_early_releases_say_ready_with_more_words() -> None:
    line = "[gateway] ready (7 plugins: acpx, browser; 12.0s)"
    assert read(line, "2026.4.29").kind == "ready"
    assert read(line, "2026.9.6").kind is None


def test_what_people_write_into_a_chat_is_no_milestone() -> None:
    for text in ("ready", "the [gateway] ready", "[slack] user said: [gateway] ready"):
        assert read(text).kind is None


def test_a_whole_real_life_is_told_in_order() -> None:
    seen = [(m.kind, m.topic) for m in map(read, lines("2026.9.6-good")) if m.kind]
    ready = [index for index, (kind, _) in enumerate(seen) if kind == "ready"]
    failed = next(index for index, (kind, _) in enumerate(seen) if kind == "startup-failed")
    assert len(ready) == 2
    assert ready[0] < failed < ready[1]
    assert [topic for _, topic in seen[: ready[0]]] == [
        "configuration", "authentication", "starting", "spawn broker", "http server", "listening", "channels",
        "outcomes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "blames"),
    [
        ("2026.4.29-syntax", True),
        ("2026.4.29-unknown", True),
        ("2026.9.6-syntax", True),
        ("2026.9.6-unknown", True),
        ("2026.9.6-nomode", True),
        ("2026.9.6-unkchan", True),
        ("2026.9.6-good", False),  # it was mended and got ready again
        ("2026.9.6-samestate", False),  # advises doctor, and means a lock
        ("2026.9.6-portbusy", False),
        ("2026.9.6-corrupt", False),
        ("2026.9.6-newer", False),
        ("node-uncaught", False),
    ],
)
def test_who_is_blamed(name: str, blames: bool) -> None:
    assert blames_config(lines(name)) is blames


def test_a_restart_that_failed_on_its_configuration_is_blamed_on_it() -> None:
    life = lines("2026.9.6-good")
    failed = next(index for index, line in enumerate(life) if "startup failed" in line)
    assert blames_config(life[: failed + 15])


def test_causes_have_names_of_their_own() -> None:
    names = [
        "2026.4.29-syntax", "2026.9.6-unknown", "2026.9.6-nomode", "2026.9.6-unkchan", "2026.9.6-samestate",
        "2026.9.6-portbusy", "2026.9.6-corrupt", "2026.9.6-newer", "node-uncaught", "node-heap", "node-module",
    ]  # fmt: skip
    found = {name: fingerprint(lines(name), 1) for name in names}
    assert all(len(each) == 12 for each in found.values())
    assert len(set(found.values())) == len(names)


def test_the_same_cause_has_the_same_name_on_another_day_host_and_release() -> None:
    before = lines("2026.9.6-portbusy")
    changes = {"2026-11-21T08:49": "2027-01-02T23:01", "55379": "18789", "10618": "77"}
    after = [functools.reduce(lambda text, each: text.replace(*each), changes.items(), line) for line in before]
    assert after != before
    assert fingerprint(before, 1) == fingerprint(after, 1)
    life = lines("node-uncaught")
    moved = [line.replace("/home/me", "/Users/you/x").replace("id 42", "id 7") for line in life]
    assert fingerprint(life, 1) == fingerprint(moved, 1)
    chunk = ["TypeError: x is not a function", "    at send (file:///usr/lib/oc/dist/io-{}.mjs:{}:9)"]
    first, second = ([line.format(*what) for line in chunk] for what in (("DaEsZ_NY", 2888), ("Bc12_xYz", 91)))
    assert fingerprint(first, 1) == fingerprint(second, 1)


def test_the_same_message_from_another_place_is_another_crash() -> None:
    one = ["TypeError: fetch failed", "    at a (file:///x/one.mjs:1:2)"]
    two = ["TypeError: fetch failed", "    at b (file:///x/two.mjs:1:2)"]
    assert fingerprint(one, 1) != fingerprint(two, 1)


def test_another_unknown_key_is_another_cause() -> None:
    one = lines("2026.9.6-unknown")
    assert fingerprint(one, 78) != fingerprint([line.replace("foo", "bar") for line in one], 78)


@pytest.mark.parametrize("code", [0, -9, -15, 137, 143])
def test_ends_that_are_no_crash_have_no_name(code: int) -> None:
    assert fingerprint(lines("node-uncaught"), code) == ""
    assert culprit(lines("node-uncaught"), code) == ""


def test_no_words_no_name() -> None:
    assert fingerprint([], 1) == ""
    assert fingerprint(["[heartbeat] started"], 1) == ""


def test_an_error_before_it_became_ready_is_not_why_it_ended_later() -> None:
    assert fingerprint(["Error: something", "[gateway] ready", "[heartbeat] started"], 1) == ""


def test_an_error_that_did_not_end_it_is_no_headline() -> None:
    assert fingerprint(["[openclaw] Non-fatal unhandled rejection (continuing): TypeError: fetch failed"], 1) == ""


def test_the_culprit_stands_in_the_trace() -> None:
    assert culprit(lines("node-uncaught"), 1) == "chaos"
    scoped = ["Error: x", "    at go (/home/me/.openclaw/extensions/@me/whatsapp/dist/index.js:1:2)"]
    assert culprit(scoped, 1) == "@me/whatsapp"
    assert culprit(lines("node-heap"), 134) == ""


def test_a_plugin_that_failed_to_register_is_named_only_if_it_crashed() -> None:
    failed = "[plugins] chaos failed during register from /x: Error: no"
    assert culprit([failed, "Gateway failed to start: no"], 1) == "chaos"
    assert culprit([failed, "[gateway] ready"], 1) == ""


def test_blurring_leaves_the_words() -> None:
    assert blurred("2026-01-02T03:04:05Z took 12.5s in /a/b/c.js (pid 7)") == "took #s in <path> (pid #)"
    assert bare("\x1b[1mhi\x1b[0m  ") == "hi"
