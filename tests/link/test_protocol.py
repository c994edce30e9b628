"""The conversation without I/O: connecting, calls that end once, and anything hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow.link.frames import Claim
from regrow.link.protocol import (
    Challenge,
    Event,
    GatewayProtocol,
    Ignored,
    Lost,
    Message,
    Notice,
    Phase,
    Rejected,
    Response,
    Welcomed,
    missing_scopes,
)
from regrow.model.errors import GatewayError, TransportError

CHALLENGE = '{"type":"event","event":"connect.challenge","payload":{"nonce":"n-1","ts":1795239325002}}'


class Recorder:
    """Signs nothing and remembers what it was asked to sign."""

    def sign(self, claim: Claim) -> dict[str, Any]:
        self.claim = claim
        return {"id": "dev", "nonce": claim.nonce}


def hello(protocol: int = 4, scopes: tuple[str, ...] = ("operator.read",), **more: Any) -> str:
    payload = {
        "type": "hello-ok",
        "protocol": protocol,
        "server": {"version": "2026.9.6", "bootId": "b-1", "connId": "c-1"},
        "features": {"methods": ["health"], "events": ["tick"]},
        "snapshot": {"stateDir": "/s", "configPath": "/s/openclaw.json", "uptimeMs": 5},
        "auth": {"scopes": list(scopes)},
        "policy": {"maxPayload": 1},
        **more,
    }
    return json.dumps({"type": "res", "id": "connect", "ok": True, "payload": payload})


def opened(**options: Any) -> GatewayProtocol:
    protocol = GatewayProtocol(**options)
    protocol.receive(CHALLENGE, 0.0)
    protocol.to_send()
    protocol.receive(hello(), 0.0)
    return protocol


def sent(protocol: GatewayProtocol) -> list[dict[str, Any]]:
    return [json.loads(frame) for frame in protocol.to_send()]


# ── connecting ──


def test_the_challenge_is_answered_with_everything_a_gateway_wants() -> None:
    protocol = GatewayProtocol(token="t", scopes=("operator.admin", "operator.read"), version="9", platform=" Linux")
    assert protocol.receive(CHALLENGE, 0.0) == [Challenge("n-1")]
    assert sent(protocol) == [
        {
            "type": "req",
            "id": "connect",
            "method": "connect",
            "params": {
                "minProtocol": 3,
                "maxProtocol": 4,
                "client": {"id": "gateway-client", "version": "9", "platform": "linux", "mode": "backend"},
                "role": "operator",
                "scopes": ["operator.admin", "operator.read"],
                "caps": [],
                "auth": {"token": "t"},
            },
        }
    ]


def test_the_proof_covers_what_is_sent() -> None:
    signer = Recorder()
    protocol = GatewayProtocol(identity=signer, scopes=("b", "a"))
    protocol.receive(CHALLENGE, 0.0)
    (frame,) = sent(protocol)
    assert frame["params"]["device"] == {"id": "dev", "nonce": "n-1"}
    assert "auth" not in frame["params"]
    assert signer.claim.signed_at == 1795239325002
    assert (signer.claim.scopes, signer.claim.token, signer.claim.nonce) == (("b", "a"), "", "n-1")


@pytest.mark.parametrize("number", [3, 4])
def test_both_protocols_are_welcome(number: int) -> None:
    protocol = GatewayProtocol()
    protocol.receive(CHALLENGE, 0.0)
    (seen,) = protocol.receive(hello(number), 0.0)
    assert isinstance(seen, Welcomed)
    assert seen.hello == protocol.hello
    assert (seen.hello.protocol, seen.hello.boot_id, seen.hello.state_dir) == (number, "b-1", "/s")
    assert (seen.hello.methods, seen.hello.uptime_ms, seen.missing_scopes) == (("health",), 5.0, ())


def test_an_old_hello_leaves_out_what_it_likes() -> None:
    protocol = GatewayProtocol()
    protocol.receive(CHALLENGE, 0.0)
    frame = '{"type":"res","id":"connect","ok":true,"payload":{"protocol":3}}'
    (seen,) = protocol.receive(frame, 0.0)
    assert isinstance(seen, Welcomed)
    assert (seen.hello.version, seen.hello.boot_id, seen.hello.uptime_ms) == ("", "", None)
    assert seen.missing_scopes == ("operator.read",)


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        ((), ("operator.read", "x")),
        (("operator.write",), ("x",)),
        (("operator.admin",), ()),
        (("x",), ("operator.read",)),
    ],
)
def test_missing_scopes_know_what_implies_what(granted: tuple[str, ...], missing: tuple[str, ...]) -> None:
    assert missing_scopes(("operator.read", "x"), granted) == missing


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            {"code": "UNAVAILABLE", "message": "gateway starting", "retryable": True, "retryAfterMs": 500},
            Rejected("UNAVAILABLE", "gateway starting", True, 0.5),
        ),
        ({"code": "UNAVAILABLE", "message": "m"}, Rejected("UNAVAILABLE", "m", True)),
        (
            {"code": "INVALID_REQUEST", "message": "m", "details": {"code": "AUTH_TOKEN_MISMATCH"}},
            Rejected("AUTH_TOKEN_MISMATCH", "m"),
        ),
        (
            {"code": "INVALID_REQUEST", "message": "m", "details": {"expectedProtocol": 5}},
            Rejected("PROTOCOL_MISMATCH", "m"),
        ),
        ("plain words", Rejected("UNKNOWN", "plain words")),
        ({"code": ["?"]}, Rejected("UNKNOWN", "the gateway reported an error in a form that cannot be read")),
    ],
)
def test_a_refusal_is_told_with_its_finest_code(error: Any, expected: Rejected) -> None:
    protocol = GatewayProtocol()
    protocol.receive(CHALLENGE, 0.0)
    assert protocol.receive(json.dumps({"type": "res", "id": "connect", "ok": False, "error": error}), 0.0) == [
        expected
    ]
    assert protocol.phase is Phase.CLOSED


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (['{"type":"event","event":"connect.challenge","payload":{"nonce":7}}'], "BAD_CHALLENGE"),
        (['{"type":"event","event":"connect.challenge"}'], "BAD_CHALLENGE"),
        ([CHALLENGE, '{"type":"res","id":"connect","ok":true,"payload":[]}'], "BAD_HELLO"),
        ([CHALLENGE, hello(5)], "PROTOCOL_MISMATCH"),
        ([CHALLENGE, hello(2)], "PROTOCOL_MISMATCH"),
    ],
)
def test_a_greeting_that_makes_no_sense_ends_the_conversation(frames: list[str], code: str) -> None:
    protocol = GatewayProtocol()
    seen = [thing for frame in frames for thing in protocol.receive(frame, 0.0)]
    assert isinstance(seen[-1], Rejected)
    assert (seen[-1].code, seen[-1].retryable) == (code, False)


def test_before_the_greeting_nothing_else_counts() -> None:
    protocol = GatewayProtocol()
    assert protocol.receive(hello(), 0.0) == [Ignored("a frame before the greeting")]
    protocol.receive(CHALLENGE, 0.0)
    assert protocol.receive(CHALLENGE, 0.0) == [Ignored("a frame before the greeting")]
    assert protocol.receive('{"type":"event","event":"tick","seq":1}', 0.0) == [Ignored("a frame before the greeting")]
    with pytest.raises(TransportError, match="not let us in"):
        protocol.call("health", None, 0.0)


# ── calls ──


def test_a_call_is_sent_with_an_id_of_its_own_and_answered() -> None:
    protocol = opened()
    first = protocol.call("health", None, 0.0)
    second = protocol.call("config.get", {"a": 1}, 0.0)
    frames = sent(protocol)
    assert [(f["id"], f["method"], f["params"]) for f in frames] == [
        (first, "health", {}),
        (second, "config.get", {"a": 1}),
    ]
    assert protocol.receive(json.dumps({"type": "res", "id": second, "ok": True, "payload": {"x": 1}}), 1.0) == [
        Response(second, "config.get", {"x": 1})
    ]
    assert protocol.receive(json.dumps({"type": "res", "id": first, "ok": True}), 1.0) == [Response(first, "health")]
    assert protocol.receive(json.dumps({"type": "res", "id": first, "ok": True}), 1.0) == [
        Ignored("an answer nobody waits for")
    ]


def test_a_declared_error_is_the_gateways_and_not_the_lines() -> None:
    protocol = opened()
    call = protocol.call("x", None, 0.0)
    error = {
        "code": "FORBIDDEN",
        "message": "no",
        "details": {"missingScope": "s"},
        "retryable": True,
        "retryAfterMs": 1500,
    }
    (seen,) = protocol.receive(json.dumps({"type": "res", "id": call, "ok": False, "error": error}), 0.0)
    assert isinstance(seen, Response)
    assert isinstance(seen.error, GatewayError)
    assert (seen.error.code, seen.error.message, seen.error.retryable) == ("FORBIDDEN", "no", True)
    assert (seen.error.retry_after, seen.error.details) == (1.5, {"missingScope": "s"})


def test_an_error_without_words_still_says_something() -> None:
    protocol = opened()
    call = protocol.call("x", None, 0.0)
    (seen,) = protocol.receive(json.dumps({"type": "res", "id": call, "ok": False}), 0.0)
    assert isinstance(seen, Response)
    assert str(seen.error) == "UNKNOWN: the gateway gave no reason"


@pytest.mark.parametrize(
    ("frame", "payload", "error"),
    [
        ({"result": [1]}, [1], None),
        ({"result": None, "error": None}, None, None),
        ({"error": {"code": -32601, "message": "nope"}}, None, "-32601: nope"),
    ],
)
def test_legacy_responses_are_answers_too(frame: dict[str, Any], payload: Any, error: str | None) -> None:
    protocol = opened()
    call = protocol.call("x", None, 0.0)
    (seen,) = protocol.receive(json.dumps({"jsonrpc": "2.0", "id": call, **frame}), 0.0)
    assert isinstance(seen, Response)
    assert (seen.payload, seen.error and str(seen.error)) == (payload, error)


def test_time_ends_calls_only_in_expire() -> None:
    protocol = opened()
    assert protocol.deadline() is None
    slow = protocol.call("slow", None, 10.0, 5.0)
    patient = protocol.call("patient", None, 10.0, None)
    usual = protocol.call("usual", None, 10.0)
    assert protocol.deadline() == 15.0
    assert protocol.expire(14.9) == []
    (seen,) = protocol.expire(15.0)
    assert isinstance(seen, Response)
    assert (seen.id, str(seen.error)) == (slow, "slow: no answer within 5 s")
    assert isinstance(seen.error, TransportError)
    assert protocol.deadline() == 40.0
    assert [s.id for s in protocol.expire(1e9) if isinstance(s, Response)] == [usual]
    assert protocol.deadline() is None
    assert protocol.receive(json.dumps({"type": "res", "id": patient, "ok": True, "payload": 1}), 2e9) == [
        Response(patient, "patient", 1)
    ]


def test_the_end_ends_every_call_with_the_reason_and_is_final() -> None:
    protocol = opened()
    first, second = protocol.call("a", None, 0.0), protocol.call("b", None, 0.0, None)
    seen = protocol.close("the gateway went away")
    assert [(s.id, str(s.error)) for s in seen if isinstance(s, Response)] == [
        (first, "a: the gateway went away"),
        (second, "b: the gateway went away"),
    ]
    assert protocol.close("again") == []
    assert protocol.to_send() == []
    assert protocol.receive(hello(), 0.0) == [Ignored("a frame after the end")]
    with pytest.raises(TransportError, match="the gateway went away"):
        protocol.call("c", None, 0.0)


def test_what_has_no_json_form_is_refused_before_anything_is_booked() -> None:
    protocol = opened()
    with pytest.raises(TypeError):
        protocol.call("x", {"a": object()}, 0.0)
    with pytest.raises(ValueError):
        protocol.call("x", {"a": "\ud800"}, 0.0)
    assert protocol.to_send() == []
    assert protocol.close("end") == []


# ── what is pushed ──


def test_events_carry_their_payload_and_gaps_are_told() -> None:
    protocol = opened()

    def event(seq: int | None) -> list[Any]:
        return protocol.receive(json.dumps({"type": "event", "event": "e", "payload": {"a": 1}, "seq": seq}), 0.0)

    assert event(7) == [Event("e", {"a": 1}, 7)]
    assert event(8) == [Event("e", {"a": 1}, 8)]
    assert event(11) == [Lost(2), Event("e", {"a": 1}, 11)]
    assert event(None) == [Event("e", {"a": 1}, None)]
    assert event(1) == [Event("e", {"a": 1}, 1)]  # counting began anew
    assert event(2) == [Event("e", {"a": 1}, 2)]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('{"jsonrpc":"2.0","method":"m","params":{"a":1}}', Notice("m", {"a": 1})),
        ('{"method":"m"}', Notice("m", None)),
        ('{"type":"event","event":"e"}', Event("e", None)),
        ('{"hello":1}', Message({"hello": 1})),
        ('{"type":"event"}', Message({"type": "event"})),
        ('{"jsonrpc":"2.0","id":1,"method":"m"}', Message({"jsonrpc": "2.0", "id": 1, "method": "m"})),
        ('{"type":"res","id":99,"ok":true}', Ignored("an answer nobody waits for")),
        ('{"type":"event","event":"e","payload":1e999}', Ignored("event e with a broken payload")),
        ('{"method":"m","params":1e999}', Ignored("a frame with a broken body")),
        ('{"hello":1e999}', Ignored("a frame with a broken body")),
    ],
)
def test_every_kind_of_frame_is_told_apart(frame: str, expected: Any) -> None:
    assert opened().receive(frame, 0.0) == [expected]


def test_an_answer_that_cannot_be_read_still_ends_its_call() -> None:
    protocol = opened()
    call = protocol.call("x", None, 0.0)
    (seen,) = protocol.receive(f'{{"type":"res","id":"{call}","ok":true,"payload":1e999}}', 0.0)
    assert isinstance(seen, Response)
    assert str(seen.error) == "x: the answer cannot be read"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "7",
        "null",
        "{",
        '{"type":7}',
        '{"id":{}}',
        "[" * 200_000,
        '{"payload":' * 100_000,
        '{"payload":' + "[" * 200_000 + "]" * 200_000 + "}",
        "\ud800",
        b"\xff\xfe",
        "NaN",
        '{"seq":1e999}',
        "9" * 100_000,
    ],
)
@pytest.mark.parametrize("phase", [Phase.DIALLED, Phase.GREETING, Phase.OPEN])
def test_garbage_never_raises(text: str | bytes, phase: Phase) -> None:
    protocol = GatewayProtocol() if phase is Phase.DIALLED else opened()
    if phase is Phase.GREETING:
        protocol = GatewayProtocol()
        protocol.receive(CHALLENGE, 0.0)
    assert protocol.receive(text, 0.0) == [Ignored("not a frame")]
    assert protocol.phase is phase


def test_an_oversized_frame_is_not_read() -> None:
    protocol = opened(max_frame=1000)
    big = json.dumps({"type": "event", "event": "e", "payload": "x" * 1000})
    (seen,) = protocol.receive(big, 0.0)
    assert isinstance(seen, Ignored)
    assert "more than 1000" in seen.why


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ["type", "id", "ok", "event", "payload", "error", "seq", "jsonrpc", "method", "params", "result"]
FRAME = st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["res", "event", "connect", "r1"]), max_size=6)


@given(frames=st.lists(FRAME.map(json.dumps) | st.text(max_size=20) | st.binary(max_size=20), max_size=8))
@settings(deadline=None)
def test_no_frames_at_all_raise(frames: list[str | bytes]) -> None:
    for protocol in (GatewayProtocol(), opened()):
        protocol.receive(CHALLENGE, 0.0)
        for frame in frames:
            protocol.receive(frame, 0.0)


STEP = st.one_of(
    st.tuples(st.just("call"), st.sampled_from([None, 1.0, 5.0])),
    st.tuples(st.sampled_from(["answer", "fail", "legacy", "broken", "forget"]), st.integers(0, 12)),
    st.tuples(st.just("wait"), st.floats(0, 3)),
    st.tuples(st.just("garbage"), FRAME.map(json.dumps)),
    st.tuples(st.just("close"), st.none()),
)


@given(steps=st.lists(STEP, max_size=60))
@settings(deadline=None, max_examples=300)
def test_every_call_ends_exactly_once_whatever_the_order(steps: list[tuple[str, Any]]) -> None:
    protocol = opened()
    now = 0.0
    begun: list[str] = []
    forgotten: set[str] = set()
    ended: list[str] = []

    def watch(seen: list[Any]) -> None:
        ended.extend(thing.id for thing in seen if isinstance(thing, Response))

    for what, how in steps:
        call = begun[how % len(begun)] if begun and isinstance(how, int) else "r0"
        match what:
            case "call":
                if protocol.phase is Phase.OPEN:
                    begun.append(protocol.call("m", None, now, how))
            case "answer":
                watch(protocol.receive(json.dumps({"type": "res", "id": call, "ok": True, "payload": 1}), now))
            case "fail":
                watch(protocol.receive(json.dumps({"type": "res", "id": call, "ok": False, "error": {}}), now))
            case "legacy":
                watch(protocol.receive(json.dumps({"jsonrpc": "2.0", "id": call, "result": 1}), now))
            case "broken":
                watch(protocol.receive(f'{{"type":"res","id":"{call}","payload":1e999}}', now))
            case "forget":
                if call in begun and call not in ended:
                    forgotten.add(call)
                protocol.forget(call)
            case "wait":
                now += how
                watch(protocol.expire(now))
                deadline = protocol.deadline()
                assert deadline is None or deadline > now
            case "garbage":
                watch(protocol.receive(how, now))
            case _:
                watch(protocol.close("over"))
    watch(protocol.close("over"))
    assert len(ended) == len(set(ended))
    assert set(ended) | forgotten == set(begun)
    assert not set(ended) & forgotten
    assert protocol.expire(1e12) == []
