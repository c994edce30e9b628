"""A private key that comes line by line is hidden in every line of it, and what stands around it is not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow.config.lines import MOST, Lines, redact_lines

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NAMES = ("PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK")
HEADERS = ((), ("Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-256-CBC,0123456789ABCDEF0123456789ABCDEF", ""), ("",))
# how programs put a line into a log
DRESS = (
    "{}",
    "[gateway] {}",
    "2026-11-25T04:50:48.123Z [plugins] weather: {}",
    "    '{}\\n' +",
    '{{"0": "{}", "time": "2026-11-25"}}',
)
NOISE = ("[gateway] ready", "[slack] error: no answer after 12 ms", "")


@st.composite
def keys(draw: st.DrawFn) -> list[str]:
    """A private key as a program prints it."""
    body = draw(st.text(LETTERS, min_size=40, max_size=1600)) + draw(st.sampled_from(("", "=", "==")))
    width, name = draw(st.integers(24, 76)), draw(st.sampled_from(NAMES))
    lines = [body[at : at + width] for at in range(0, len(body), width)]
    return [f"-----BEGIN {name}-----", *draw(st.sampled_from(HEADERS)), *lines, f"-----END {name}-----"]


def secret(key: list[str]) -> list[str]:
    """What must not be seen of it: every piece that says anything."""
    return [line for line in key[1:-1] if len(line) >= 8 and ":" not in line]  # what its headers say is none


def shown(stream: Lines, lines: list[str]) -> list[str]:
    return [clean for clean in map(stream.clean, lines) if clean is not None]


@settings(max_examples=200, deadline=None)
@given(key=keys(), dress=st.sampled_from(DRESS), noise=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(NOISE))))
def test_no_line_of_a_key_is_shown_and_what_is_around_it_is(
    key: list[str], dress: str, noise: list[tuple[int, str]]
) -> None:
    printed = [dress.format(line) for line in key]
    for at, line in noise[:3]:  # somebody else speaks in between
        printed.insert(min(at + 1, len(printed) - 1), line)
    found = shown(Lines(), ["before", *printed, "after"])
    text = "\n".join(found)
    assert not [piece for piece in secret(key) if piece in text]
    assert (found[0], found[-1]) == ("before", "after")
    assert "***" in text


@settings(max_examples=100, deadline=None)
@given(key=keys(), dress=st.sampled_from(DRESS), start=st.integers(0, 60), last=st.integers(1, 80))
def test_no_line_of_a_key_is_shown_of_lines_that_begin_inside_it(
    key: list[str], dress: str, start: int, last: int
) -> None:
    printed = [dress.format(line) for line in ["[gateway] ready", *key]]
    found = redact_lines([*printed[min(start, len(key)) :], "after"], last)
    assert not [piece for piece in secret(key) if piece in "\n".join(found)]
    assert found[-1] == "after"
    assert len(found) <= last


@settings(max_examples=100, deadline=None)
@given(key=keys(), start=st.integers(0, 60))
def test_a_stream_goes_on_where_what_came_before_ended(key: list[str], start: int) -> None:
    stream = Lines()
    text = "\n".join([*shown(stream, key[:start]), *shown(stream, [*key[start:], "after"])])
    assert not [piece for piece in secret(key) if piece in text]
    assert text.endswith("after")


def test_two_keys_and_what_stands_between_them() -> None:
    body = "A" * 64
    lines = ["x-----BEGIN PRIVATE KEY-----", body, "Zz==-----END PRIVATE KEY-----between-----BEGIN PRIVATE KEY-----"]
    assert shown(Lines(), [*lines, body, "-----END PRIVATE KEY-----", "after"]) == ["x***", "between***", "after"]
    whole = json.dumps({"key": f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"})
    assert shown(Lines(), [whole, "[gateway] ready"]) == ['{"key": "***"}', "[gateway] ready"]


def test_a_talk_about_keys_hides_a_few_lines_at_most() -> None:
    lines = ["expected -----BEGIN PRIVATE KEY-----", *"12345678", "nine", "ten"]
    assert shown(Lines(), lines) == ["expected ***", *["***"] * 8, "nine", "ten"]


def test_a_key_without_an_end_hides_no_more_than_a_key_has() -> None:
    lines = ["-----BEGIN PRIVATE KEY-----", *["A" * 64] * (MOST + 5)]
    assert len(shown(Lines(), lines)) == 1 + 6  # the beginning, and what is beyond the longest key


def test_the_other_end_of_a_key_alone() -> None:
    assert redact_lines(["a", "-----END PRIVATE KEY-----"]) == ["***"]
    assert redact_lines(["Zz==-----END PRIVATE KEY-----", "b"]) == ["***", "b"]
    assert redact_lines([]) == []


@pytest.mark.parametrize("widest", [10, 2000])
def test_a_wide_line_is_cut_after_its_secrets_are_hidden(widest: int) -> None:
    line = "word " + "-----BEGIN PRIVATE KEY-----" + "A" * 3000 + "-----END PRIVATE KEY-----" + " and " + "b" * 3000
    stream = Lines(widest)
    assert stream.clean(line) == ("word *** and " + "b" * 3000)[:widest]
    assert stream.clean("next") == "next"
