"""The frames of the protocol, as types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

PROTOCOLS = (3, 4)  # the oldest and the newest protocol spoken here
_EMPTY = Raw(b"")


class Envelope(Struct, frozen=True, kw_only=True):
    """Any frame from the gateway, opened but not read: what a field holds is decoded when it is wanted.

    `res` and `event` frames fill the first group, legacy JSON-RPC 2.0 the second; `id` and `error` serve both.
    """

    type: str = ""
    id: str | int | None = None
    ok: bool | None = None
    event: str = ""
    payload: Raw = _EMPTY
    error: Raw = _EMPTY
    seq: int | None = None

    jsonrpc: str = ""
    method: str = ""
    params: Raw = _EMPTY
    result: Raw = _EMPTY


class Request(Struct, frozen=True, kw_only=True):
    """A call. The gateway silently ignores a request without an id, and some refuse `params: null`."""

    type: str = "req"
    id: str
    method: str
    params: Any


class Claim(Struct, frozen=True, kw_only=True):
    """Who a connect request says it is, as far as its device signs for it.

    Attributes:
        scopes: In the order in which they are asked for.
        signed_at: The challenge's own time, verbatim.
        token: Whichever token is sent along; "" if none is.
        nonce: The challenge's.
    """

    client_id: str
    client_mode: str
    role: str
    scopes: Sequence[str]
    signed_at: float
    token: str
    nonce: str
    platform: str

    def text(self, device_id: str) -> str:
        """What is signed (v3). The last field, the device family, is empty for us."""
        at = self.signed_at
        moment = str(int(at)) if at == int(at) else repr(at)
        fields = ("v3", device_id, self.client_id, self.client_mode, self.role, ",".join(self.scopes), moment)
        return "|".join((*fields, self.token, self.nonce, self.platform.strip().lower(), ""))


class WireError(Struct, frozen=True, kw_only=True):
    """The `error` of a response. JSON-RPC sends a number as the code."""

    code: str | int | None = None
    message: str = ""
    details: Any = None
    retryable: bool | None = None
    retry_after_ms: float | None = msgspec.field(default=None, name="retryAfterMs")

    @property
    def detail_code(self) -> str:
        """The finer code (`AUTH_TOKEN_MISMATCH`), else the plain one."""
        details = self.details if isinstance(self.details, dict) else {}
        fine = details.get("code")
        if isinstance(fine, str) and fine:
            return fine
        # early 2026 gives no finer code here, only what it speaks itself
        return "PROTOCOL_MISMATCH" if "expectedProtocol" in details else self.plain_code

    @property
    def plain_code(self) -> str:
        """The code as text; errors without one are called UNKNOWN."""
        return "UNKNOWN" if self.code is None else str(self.code)

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, if the gateway gave them."""
        return None if self.retry_after_ms is None else max(0.0, self.retry_after_ms / 1000.0)


class ChallengePayload(Struct, frozen=True):
    """What `connect.challenge` carries; `ts` is signed as it came."""

    nonce: str
    ts: int | float = 0


class _Server(Struct, frozen=True, rename="camel"):
    version: str = ""
    boot_id: str = ""
    conn_id: str = ""


class _Features(Struct, frozen=True):
    methods: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


class _Auth(Struct, frozen=True, rename="camel"):
    scopes: tuple[str, ...] = ()
    device_token: str | None = None


class HelloPayload(Struct, frozen=True, rename="camel"):
    """The `hello-ok` payload as far as it is read; everything but the protocol may be missing on old versions."""

    protocol: int
    server: _Server = _Server()
    features: _Features = _Features()
    auth: _Auth = _Auth()
    snapshot: dict[str, Any] = {}
    policy: dict[str, Any] = {}


class Hello(Struct, frozen=True, kw_only=True):
    """What the gateway said about itself when it let us in.

    Attributes:
        version: Its OpenClaw version.
        protocol: The protocol of this connection, 3 or 4.
        boot_id: Changes with every restart, also inside one process; "" on versions that have none.
        conn_id: The gateway's name for this connection.
        methods: The methods it lists. The list is incomplete: some unlisted ones work.
        events: The events it lists.
        scopes: The scopes it granted.
        state_dir: Where the gateway on this port really keeps its state; "" unless `operator.admin` was granted.
        config_path: Its openclaw.json; "" unless `operator.admin` was granted (`config.get` tells readers too).
        uptime_ms: Age of the process in milliseconds, if it says.
        policy: Its limits: `maxPayload`, `tickIntervalMs`, …
        snapshot: Everything it sent along: presence, health, session defaults.
    """

    version: str
    protocol: int
    boot_id: str = ""
    conn_id: str = ""
    methods: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    state_dir: str = ""
    config_path: str = ""
    uptime_ms: float | None = None
    policy: dict[str, Any] = {}
    snapshot: dict[str, Any] = {}


def read_hello(payload: Raw) -> Hello:
    """Read a hello.

    Raises:
        msgspec.MsgspecError, ValueError or RecursionError: It is not one (see BROKEN).
    """
    wire = msgspec.json.decode(payload, type=HelloPayload)
    uptime = wire.snapshot.get("uptimeMs")
    return Hello(
        version=wire.server.version,
        protocol=wire.protocol,
        boot_id=wire.server.boot_id,
        conn_id=wire.server.conn_id,
        methods=wire.features.methods,
        events=wire.features.events,
        scopes=wire.auth.scopes,
        state_dir=_text(wire.snapshot.get("stateDir")),
        config_path=_text(wire.snapshot.get("configPath")),
        uptime_ms=float(uptime) if isinstance(uptime, int | float) else None,
        policy=wire.policy,
        snapshot=wire.snapshot,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


_ENVELOPE = msgspec.json.Decoder(Envelope)
_ANYTHING = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()

BROKEN = (msgspec.MsgspecError, ValueError, RecursionError)  # all that decoding hostile JSON can raise


def open_envelope(data: bytes | str) -> Envelope:
    """Open a frame; raises one of BROKEN if it is not one."""
    return _ENVELOPE.decode(data)


def read(raw: Raw) -> Any:
    """Decode a field; an absent one is None. Raises one of BROKEN."""
    return _ANYTHING.decode(raw) if bytes(raw) else None


def read_error(raw: Raw) -> WireError:
    """Read an error however it is shaped; a bare text is its message. Never raises."""
    try:
        value = read(raw)
        if value is None or isinstance(value, str):
            return WireError(message=value or "")
        return msgspec.convert(value, WireError)
    except BROKEN:
        return WireError(message="the gateway reported an error in a form that cannot be read")


def write(frame: Any) -> bytes:
    """Encode a frame.

    Raises:
        TypeError: A value has no JSON form.
    """
    return _ENCODER.encode(frame)
