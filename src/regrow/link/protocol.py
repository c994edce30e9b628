"""The conversation with a gateway, without I/O: text and a time go in, what was seen and what to send come out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from regrow.link import frames
from regrow.link.frames import Claim, Envelope, Hello, WireError
from regrow.model.errors import GatewayError, LinkError, TransportError

CALL_TIMEOUT = 30.0
MAX_FRAME = 64 << 20
CLIENT_ID = "gateway-client"  # other ids connect just as well, and are then granted no scope at all
CLIENT_MODE = "backend"
ROLE = "operator"
_CONNECT_ID = "connect"


class Signer(Protocol):
    """Proves who we are; `regrow.link.identity.Identity` is one."""

    def sign(self, claim: Claim) -> dict[str, Any]:
        """Return the `device` object of a connect request."""


# ── what can be seen ──


class Challenge(Struct, frozen=True):
    """The gateway asked who we are; the answer is waiting to be sent."""

    nonce: str


class Welcomed(Struct, frozen=True):
    """We are in. `missing_scopes` were wanted and not granted: calls that need them will be refused."""

    hello: Hello
    missing_scopes: tuple[str, ...] = ()


class Rejected(Struct, frozen=True):
    """We are not let in. `retryable`: the gateway is only starting or draining."""

    code: str
    message: str
    retryable: bool = False
    retry_after: float | None = None


class Event(Struct, frozen=True):
    """The gateway pushed something. `seq` counts per connection."""

    name: str
    payload: Any
    seq: int | None = None


class Notice(Struct, frozen=True):
    """A legacy JSON-RPC notification."""

    method: str
    params: Any


class Message(Struct, frozen=True):
    """A well-formed frame of no kind we know."""

    frame: Any


class Lost(Struct, frozen=True):
    """`count` events never reached us or had to be dropped."""

    count: int


class Response(Struct, frozen=True):
    """A call ended: with `payload`, or with `error`. Each call ends with exactly one of these."""

    id: str
    method: str
    payload: Any = None
    error: LinkError | None = None


class Ignored(Struct, frozen=True):
    """A frame that could not be used, and why: garbage, an answer nobody waits for."""

    why: str


Seen = Challenge | Welcomed | Rejected | Event | Notice | Message | Lost | Response | Ignored


class Phase(Enum):
    """How far the conversation has come."""

    DIALLED = "dialled"  # waiting for the challenge
    GREETING = "greeting"  # connect was sent
    OPEN = "open"
    CLOSED = "closed"


class _Call(Struct, frozen=True):
    method: str
    timeout: float | None
    deadline: float | None


class GatewayProtocol:
    """One conversation with one gateway, from its challenge to the end.

    It never raises on what the gateway sends. Times are seconds on any clock that does not run backwards.

    Args:
        token: The gateway's shared token.
        identity: Signs the challenge; needed for other hosts and by some old versions.
        scopes: The scopes to ask for, in the order in which they are signed.
        version: What we call our own version.
        platform: The operating system's name. Keep it constant for an identity: a change needs a new pairing.
        max_frame: Larger frames are not read.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        identity: Signer | None = None,
        scopes: Sequence[str] = ("operator.read",),
        version: str = "0",
        platform: str = "linux",
        max_frame: int = MAX_FRAME,
    ) -> None:
        self.phase = Phase.DIALLED
        self.hello: Hello | None = None
        self._token = token
        self._identity = identity
        self._scopes = tuple(scopes)
        self._version = version
        self._platform = platform.strip().lower()
        self._max_frame = max_frame
        self._calls: dict[str, _Call] = {}
        self._ids = itertools.count(1)
        self._outgoing: list[bytes] = []
        self._last_seq: int | None = None
        self._closed_because = ""

    # ── what we want ──

    def call(
        self, method: str, params: Mapping[str, Any] | None, now: float, timeout: float | None = CALL_TIMEOUT
    ) -> str:
        """Queue a request and return its id; `timeout` None waits for ever.

        Raises:
            TransportError: There is no open conversation; nothing was sent.
            TypeError, ValueError: The parameters have no JSON form.
        """
        if self.phase is not Phase.OPEN:
            raise TransportError(self._closed_because or f"{method} not sent: the gateway has not let us in yet")
        call_id = f"r{next(self._ids)}"
        params = {} if params is None else params
        self._outgoing.append(frames.write(frames.Request(id=call_id, method=method, params=params)))
        self._calls[call_id] = _Call(method, timeout, None if timeout is None else now + timeout)
        return call_id

    def forget(self, call_id: str) -> None:
        """Stop waiting for a call; its answer, if it comes, is ignored."""
        self._calls.pop(call_id, None)

    def to_send(self) -> list[bytes]:
        """Take the text frames that are waiting to be sent, in order."""
        frames_to_send, self._outgoing = self._outgoing, []
        return frames_to_send

    # ── time ──

    def deadline(self) -> float | None:
        """When `expire` must be called next, or None."""
        return min((call.deadline for call in self._calls.values() if call.deadline is not None), default=None)

    def expire(self, now: float) -> list[Seen]:
        """End the calls whose time is over: the only place where a timeout happens."""
        late = [(i, c) for i, c in self._calls.items() if c.deadline is not None and c.deadline <= now]
        return [
            self._end(call_id, error=TransportError(f"{call.method}: no answer within {call.timeout:g} s"))
            for call_id, call in late
        ]

    # ── the end ──

    def close(self, reason: str) -> list[Seen]:
        """End the conversation and every call in it, each with the reason."""
        if self.phase is Phase.CLOSED:
            return []
        self.phase = Phase.CLOSED
        self._closed_because = reason
        self._outgoing.clear()
        return [self._end(i, error=TransportError(f"{c.method}: {reason}")) for i, c in list(self._calls.items())]

    def _end(self, call_id: str, payload: Any = None, error: LinkError | None = None) -> Response:
        return Response(call_id, self._calls.pop(call_id).method, payload, error)

    # ── what the gateway says ──

    def receive(self, text: bytes | str, now: float) -> list[Seen]:  # noqa: ARG002  (`now` keeps replays uniform)
        """Take one text frame and return what it means. Never raises."""
        if self.phase is Phase.CLOSED:
            return [Ignored("a frame after the end")]
        if len(text) > self._max_frame:
            return [Ignored(f"a frame of {len(text)} bytes, more than {self._max_frame}")]
        try:
            frame = frames.open_envelope(text)
        except frames.BROKEN:
            return [Ignored("not a frame")]
        if self.phase is Phase.OPEN:
            return self._open(frame, text)
        return self._opening(frame)

    def _open(self, frame: Envelope, text: bytes | str) -> list[Seen]:
        if frame.type == "event" and frame.event:
            return self._event(frame)
        if frame.id is not None and not frame.method:
            return self._response(frame)
        try:
            if frame.method and frame.id is None:
                return [Notice(frame.method, frames.read(frame.params))]
            return [Message(msgspec.json.decode(text))]
        except frames.BROKEN:
            return [Ignored("a frame with a broken body")]

    def _event(self, frame: Envelope) -> list[Seen]:
        seen: list[Seen] = []
        if frame.seq is not None:
            if self._last_seq is not None and frame.seq > self._last_seq + 1:
                seen.append(Lost(frame.seq - self._last_seq - 1))
            self._last_seq = frame.seq
        try:
            seen.append(Event(frame.event, frames.read(frame.payload), frame.seq))
        except frames.BROKEN:
            seen.append(Ignored(f"event {frame.event} with a broken payload"))
        return seen

    def _response(self, frame: Envelope) -> list[Seen]:
        call_id = str(frame.id)
        call = self._calls.get(call_id)
        if call is None:
            return [Ignored("an answer nobody waits for")]
        failed = frame.ok is False or bytes(frame.error) not in (b"", b"null")
        if failed:
            return [self._end(call_id, error=_gateway_error(frames.read_error(frame.error)))]
        try:
            payload = frames.read(frame.payload if frame.type == "res" else frame.result)
        except frames.BROKEN:
            return [self._end(call_id, error=TransportError(f"{call.method}: the answer cannot be read"))]
        return [self._end(call_id, payload)]

    def _opening(self, frame: Envelope) -> list[Seen]:
        if self.phase is Phase.DIALLED and frame.type == "event" and frame.event == "connect.challenge":
            try:
                challenge = msgspec.json.decode(frame.payload, type=frames.ChallengePayload)
            except frames.BROKEN:
                return self._reject(WireError(code="BAD_CHALLENGE", message="the gateway's challenge cannot be read"))
            return self._answer(challenge)
        if self.phase is Phase.GREETING and frame.type == "res" and frame.id == _CONNECT_ID:
            return self._greeted(frame)
        return [Ignored("a frame before the greeting")]

    def _answer(self, challenge: frames.ChallengePayload) -> list[Seen]:
        oldest, newest = frames.PROTOCOLS
        params: dict[str, Any] = {
            "minProtocol": oldest,
            "maxProtocol": newest,
            "client": {
                "id": CLIENT_ID,
                "version": self._version,
                "platform": self._platform,
                "mode": CLIENT_MODE,
            },
            "role": ROLE,
            "scopes": self._scopes,
            "caps": (),
        }
        if self._token:
            params["auth"] = {"token": self._token}
        if self._identity is not None:
            claim = Claim(
                client_id=CLIENT_ID, client_mode=CLIENT_MODE, role=ROLE, scopes=self._scopes, signed_at=challenge.ts,
                token=self._token or "", nonce=challenge.nonce, platform=self._platform,
            )  # fmt: skip
            params["device"] = self._identity.sign(claim)
        self._outgoing.append(frames.write(frames.Request(id=_CONNECT_ID, method="connect", params=params)))
        self.phase = Phase.GREETING
        return [Challenge(challenge.nonce)]

    def _greeted(self, frame: Envelope) -> list[Seen]:
        if not frame.ok:
            return self._reject(frames.read_error(frame.error))
        try:
            hello = frames.read_hello(frame.payload)
        except frames.BROKEN:
            return self._reject(WireError(code="BAD_HELLO", message="the gateway's greeting cannot be read"))
        oldest, newest = frames.PROTOCOLS
        if not oldest <= hello.protocol <= newest:
            why = f"the gateway speaks protocol {hello.protocol}, we speak {oldest} to {newest}"
            return self._reject(WireError(code="PROTOCOL_MISMATCH", message=why))
        self.hello = hello
        self.phase = Phase.OPEN
        return [Welcomed(hello, missing_scopes(self._scopes, hello.scopes))]

    def _reject(self, error: WireError) -> list[Seen]:
        self.close(f"the gateway did not let us in: {error.message}")
        retryable = error.plain_code == "UNAVAILABLE" if error.retryable is None else error.retryable
        return [Rejected(error.detail_code, error.message, retryable, error.retry_after)]


def missing_scopes(wanted: Sequence[str], granted: Sequence[str]) -> tuple[str, ...]:
    """Return what of the wanted scopes is not covered: admin implies all, write implies read."""
    have = set(granted)
    if "operator.admin" in have:
        return ()
    if "operator.write" in have:
        have.add("operator.read")
    return tuple(scope for scope in wanted if scope not in have)


def _gateway_error(error: WireError) -> GatewayError:
    return GatewayError(
        error.plain_code,
        error.message or "the gateway gave no reason",
        retryable=bool(error.retryable),
        retry_after=error.retry_after,
        details=error.details if isinstance(error.details, dict) else None,
    )
