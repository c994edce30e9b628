"""No secret survives in a log line, wherever it stands; what people need does."""

from __future__ import annotations

import io
import json
import logging
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from regrow.model.errors import Fatal
from regrow.model.facts import ChildExited
from regrow.model.gateway import Process
from regrow.record.log import clean, configure, forget_secrets, pseudonym, pseudonyms, remember_secret


@pytest.fixture(autouse=True)
def restored():
    """Logging as it was before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40).filter(
    lambda s: len(set(s)) > 4 and "*" not in s
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10)


def holding(secret: str) -> st.SearchStrategy[Any]:
    """Values of any shape with the secret somewhere inside."""
    leaf = st.sampled_from([secret, f"x {secret} y", f"https://u:{secret}@h/", secret.encode(), Path("/a") / secret])
    return st.recursive(
        leaf | plain,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "token", secret, "sessionKey"]), inner, max_size=3)
            | st.tuples(inner, inner)
            | inner.map(lambda value: Fatal(f"failed with {value!r}"))
        ),
        max_leaves=8,
    )


@given(data=st.data(), secret=secrets)
def test_a_registered_secret_never_survives_in_any_field(data: st.DataObject, secret: str):
    forget_secrets()
    remember_secret(secret)
    value = data.draw(holding(secret))
    cleaned = clean({"field": value, "list": [value]})
    text = json.dumps(cleaned)
    assert secret not in text.replace("***", "")
    assert json.dumps(secret)[1:-1] not in text.replace("***", "")


SHAPES = [
    "sk-abcdefghijklmnop", "Bearer abcdef0123456789", "--token abcdef0123", "jane@example.com", "+4915112345678",
    "https://u:pw12345@h/", "OPENCLAW_GATEWAY_TOKEN=abcdef0123",
]  # fmt: skip
LEAKS = ["abcdefghijklmnop", "abcdef0123", "jane", "4915112345678", "pw12345"]


def fail(shapes: list[str]) -> None:
    """Raise an error with another error behind it."""
    try:
        raise ValueError(shapes[0])  # noqa: TRY301
    except ValueError as error:
        raise Fatal(f"because of {shapes[-1]}") from error


@pytest.mark.parametrize("format_", ["text", "json"])
@given(shapes=st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4), depth=st.integers(0, 4))
def test_a_well_formed_secret_never_survives_in_a_line(format_: str, shapes: list[str], depth: int):
    forget_secrets()
    out = io.StringIO()
    configure("debug", format_, out)  # type: ignore[arg-type]
    value: Any = shapes
    for level in range(depth):
        value = {"in": value} if level % 2 else [value]
    log = structlog.get_logger().bind(bound=value)
    log.info(" ".join(["about", *shapes]), value=value, **{"the " + shapes[0]: 1})
    try:
        fail(shapes)
    except Fatal:
        log.exception("failed")
    logging.getLogger("library").error("it says %s", shapes[0])
    text = out.getvalue()
    assert "because of" in text
    assert "it says" in text
    assert not [leak for leak in LEAKS if leak in text]


def test_what_people_need_stays_readable():
    fact = ChildExited(at=1763714473.5, process=Process(48213, 99), code=137, fingerprint="sha256:9f86d081884c7d65")
    assert clean({"fact": fact, "port": 18789, "tokens": 120, "ok": True, "took": 4.62, "none": None}) == {
        "fact": {
            "fact": "child-exited", "at": 1763714473.5, "process": {"pid": 48213, "started": 99}, "code": 137,
            "fingerprint": "sha256:9f86d081884c7d65",
        },
        "port": 18789, "tokens": 120, "ok": True, "took": 4.62, "none": None,
    }  # fmt: skip


def test_fields_that_name_a_secret_are_hidden_whole():
    remember_secret("12345678")
    assert clean(
        {
            "token": "short", "apiKey": ["a", {"b": "c"}], "password": "", "cookies": {"id": "x"}, "secret": b"raw",
            "hasToken": True, "deviceToken": None, "argv": ["x", "--token", "abc", "--port", 1], "number": 12345678,
            "set": {"b", "a"}, "tokenCount": 3,
        }
    ) == {
        "token": "***", "apiKey": ["***", {"b": "***"}], "password": "", "cookies": {"id": "***"}, "secret": "***",
        "hasToken": True, "deviceToken": None, "argv": ["x", "--token", "***", "--port", 1], "number": "***",
        "set": ["a", "b"], "tokenCount": 3,
    }  # fmt: skip


def test_session_keys_become_names_that_cannot_be_turned_back(tmp_path: Path):
    name = pseudonyms(tmp_path / "state" / "names.key")
    key = "agent:main:whatsapp:direct:+4915112345678"
    cleaned = clean({"sessionKey": key, "text": f"patched {key}, done", "sessionKeys": [key]}, name=name)
    assert cleaned == {
        "sessionKey": name(key), "text": f"patched {name(key)}, done", "sessionKeys": [name(key)],
    }  # fmt: skip
    assert clean(cleaned) == cleaned
    assert clean({"sessionKey": key, "text": key}) == {"sessionKey": "***", "text": "***"}
    assert name(key) != name(key + "1")
    assert name(key).startswith("session-")


def test_the_names_hold_over_restarts_and_differ_between_installations(tmp_path: Path):
    path = tmp_path / "names.key"
    assert pseudonyms(path)("a") == pseudonyms(path)("a") == pseudonym("a", secret=path.read_bytes())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["names.key"]
    assert pseudonyms(path)("a") != pseudonyms(tmp_path / "other.key")("a")
    path.write_bytes(b"half")
    assert pseudonyms(path)("a") == pseudonyms(path)("a")
    assert len(path.read_bytes()) == 32


def test_without_a_place_for_the_key_the_names_hold_for_this_run(tmp_path: Path):
    (tmp_path / "file").touch()
    name = pseudonyms(tmp_path / "file" / "names.key")
    assert name("a") == name("a")
    assert name("a") != pseudonyms(tmp_path / "file" / "names.key")("a")


def test_json_lines_and_levels():
    out = io.StringIO()
    configure("info", "json", out)
    log = structlog.get_logger("regrow")
    log.debug("not shown")
    log.info("shown", port=18789, half="\ud800")
    log.warning("too", at=1.5)
    logging.getLogger("library").info("chatter")
    logging.getLogger("library").warning("of %s", "note")
    first, second, third = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["event"], first["level"], first["port"]) == ("shown", "info", 18789)
    assert list(second) == ["timestamp", "level", "event", "at"]
    assert (third["event"], third["level"]) == ("of note", "warning")


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("out", "variables", "coloured"),
    [
        (Terminal, {"TERM": "xterm"}, True),
        (Terminal, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {"TERM": "xterm"}, False),
    ],
)
def test_colour_only_for_a_terminal_that_wants_it(
    out: type[io.StringIO], variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = out()
    configure("info", "text", stream)
    structlog.get_logger().info("ready", port=18789)
    assert ("\x1b[" in stream.getvalue()) is coloured
    assert "ready" in stream.getvalue()


def test_a_stream_that_ended_does_not_end_the_keeper():
    code = "import structlog, sys, os; from regrow.record.log import configure\n"
    code += "configure('info', 'text'); os.close(2)\n"
    code += "structlog.get_logger().error('into the void'); import logging; logging.getLogger().error('x')\n"
    code += "print('still here')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "still here" in done.stdout


def test_a_stream_that_cannot_write_a_letter_writes_its_number():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", newline="")
    configure("info", "text", out)
    structlog.get_logger().info("Grüße")
    assert b"Gr\\xfc\\xdfe" in raw.getvalue()
    closed = io.StringIO()
    configure("info", "text", closed)
    closed.close()
    structlog.get_logger().info("nobody reads this")
