"""Who is let in by a fake gateway: token, protocol range and the Ed25519 proof, checked for real."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from regrow.link.frames import Claim
from regrow.testing.answers import method_names
from regrow.testing.world import State, World, now_ms

_PARAMS = {"minProtocol", "maxProtocol", "client", "role", "scopes", "caps", "auth", "device"}
_CLIENT = {"id", "version", "platform", "mode", "displayName", "deviceFamily", "modelIdentifier", "instanceId"}
_IDS = {"gateway-client", "cli", "test", "openclaw-probe", "openclaw-control-ui", "node-host", "webchat"}
_MODES = {"webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"}
_EVENTS = ("connect.challenge", "agent", "chat", "presence", "tick", "shutdown", "health", "heartbeat", "cron")


class TurnedAway(Exception):  # noqa: N818  (it is what happens to a visitor)
    """The visitor is refused: the error to send, and the code to close with."""

    def __init__(self, code: str, message: str, *, close: int = 1008, **more: Any) -> None:
        super().__init__(message)
        self.close = close
        self.error: dict[str, Any] = {"code": code, "message": message, **more}


def challenge() -> dict[str, Any]:
    """Return the payload of `connect.challenge`."""
    return {"nonce": str(uuid.uuid4()), "ts": now_ms()}


def admit(world: World, asked: dict[str, Any], frame: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Check a visitor's first frame.

    Args:
        world: The gateway.
        asked: The challenge that was sent.
        frame: The decoded frame.

    Returns:
        The hello payload and the scopes that hold.

    Raises:
        TurnedAway: The visitor is refused.
    """
    if not isinstance(frame, dict) or frame.get("method") != "connect":
        raise TurnedAway("INVALID_REQUEST", "invalid handshake: first request must be connect")
    params = _object(frame.get("params"))
    client = _object(params.get("client"))
    _check_shape(params, client)
    _check_range(world, params)
    if world.state is State.STARTING and not world.is_old:
        raise TurnedAway(
            "UNAVAILABLE",
            "gateway starting; retry shortly",
            close=1013,
            retryable=True,
            retryAfterMs=500,
            details={"reason": "startup-sidecars"},
        )
    token = _check_token(world, params)
    if params.get("device") is not None:
        _check_proof(params, client, asked, token)
        world.paired.add(params["device"]["id"])
    known = (client["id"], client["mode"]) in {("gateway-client", "backend"), ("cli", "cli")}
    scopes = tuple(params.get("scopes") or ()) if known else ()
    if world.granted is not None:
        scopes = world.granted
    return _hello(world, scopes), scopes


def _check_shape(params: dict[str, Any], client: dict[str, Any]) -> None:
    problem = ""
    if client.get("id") not in _IDS:
        problem = "at /client/id: must be equal to one of the allowed values"
    elif client.get("mode") not in _MODES:
        problem = "at /client/mode: must be equal to one of the allowed values"
    elif not {"version", "platform"} <= set(client):
        problem = "at /client: a required property is missing"
    elif extra := sorted((set(params) - _PARAMS) | (set(client) - _CLIENT)):
        problem = f"at root: unexpected property '{extra[0]}'"
    if problem:
        raise TurnedAway("INVALID_REQUEST", f"invalid connect params: {problem}")


def _check_range(world: World, params: dict[str, Any]) -> None:
    low, high = params.get("minProtocol"), params.get("maxProtocol")
    if not (isinstance(low, int) and isinstance(high, int) and low <= world.protocol <= high):
        details: dict[str, Any] = {"expectedProtocol": world.protocol}
        if not world.is_old:
            details["code"] = "PROTOCOL_MISMATCH"
        raise TurnedAway("INVALID_REQUEST", "protocol mismatch", close=1002, details=details)


def _check_token(world: World, params: dict[str, Any]) -> str:
    token = _object(params.get("auth")).get("token")
    if world.token is None:
        return token or ""
    if not token and params.get("device") is None:
        raise TurnedAway("NOT_PAIRED", "device identity required", details={"code": "DEVICE_IDENTITY_REQUIRED"})
    if not token:
        raise TurnedAway("INVALID_REQUEST", "gateway token missing", details={"code": "AUTH_TOKEN_MISSING"})
    if token != world.token:
        details: dict[str, Any] = {"code": "AUTH_TOKEN_MISMATCH", "canRetryWithDeviceToken": True}
        raise TurnedAway("INVALID_REQUEST", "unauthorized: gateway token mismatch", details=details)
    return str(token)


def _check_proof(params: dict[str, Any], client: dict[str, Any], asked: dict[str, Any], token: str) -> None:
    device = params["device"]

    def refuse(code: str) -> TurnedAway:
        return TurnedAway("INVALID_REQUEST", f"device proof refused: {code}", details={"code": code})

    try:
        raw = _from_b64(device["publicKey"])
        if hashlib.sha256(raw).hexdigest() != device["id"]:
            raise refuse("DEVICE_AUTH_DEVICE_ID_MISMATCH")
        if device["nonce"] != asked["nonce"]:
            raise refuse("DEVICE_AUTH_NONCE_MISMATCH")
        if abs(device["signedAt"] - asked["ts"]) > 120_000:
            raise refuse("DEVICE_AUTH_SIGNATURE_EXPIRED")
        claim = Claim(
            client_id=client["id"], client_mode=client["mode"], role=params["role"], scopes=params["scopes"],
            signed_at=device["signedAt"], token=token, nonce=device["nonce"], platform=client["platform"],
        )  # fmt: skip
        Ed25519PublicKey.from_public_bytes(raw).verify(
            _from_b64(device["signature"]), claim.text(device["id"]).encode()
        )
    except (KeyError, TypeError, ValueError, AttributeError, InvalidSignature):
        raise refuse("DEVICE_AUTH_SIGNATURE_INVALID") from None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _from_b64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _hello(world: World, scopes: tuple[str, ...]) -> dict[str, Any]:
    server = {"version": world.version, "connId": str(uuid.uuid4())}
    if not world.is_old:
        server["bootId"] = world.boot_id
    places: dict[str, str] = {}
    if "operator.admin" in scopes:  # others are not told where things are
        places = {"configPath": world.config_path, "stateDir": world.state_dir}
    return {
        "type": "hello-ok",
        "protocol": world.protocol,
        "server": server,
        "features": {"methods": sorted({*method_names(world), *world.answers}), "events": list(_EVENTS)},
        "snapshot": {
            "presence": [],
            "stateVersion": {"presence": 1, "health": 1},
            "uptimeMs": world.process_age_ms,
            **places,
            "authMode": "none" if world.token is None else "token",
        },
        "auth": {"method": "token", "role": "operator", "scopes": list(scopes)},
        "policy": {"maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000},
    }
