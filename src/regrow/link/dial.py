"""Opens a socket to a gateway, and says in one kind of error why it did not open."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from regrow import __version__
from regrow.link.address import Address
from regrow.link.protocol import MAX_FRAME, GatewayProtocol, Rejected, Welcomed
from regrow.model.errors import HandshakeError, TransportError

MAX_UNSENT = 32 << 20  # more than the largest frame a gateway takes (25 MiB)
_CLOSE_TIMEOUT = 2.0  # a hung gateway never answers our close frame

# The library would log whole frames at debug level, and the first one holds the token.
_QUIET = logging.Logger("regrow.link.wire", logging.CRITICAL)  # noqa: LOG001  (out of reach of any setting)

_HINTS = {
    "AUTH_TOKEN_MISMATCH": "the token is not this gateway's: compare it with gateway.auth.token in its configuration",
    "AUTH_TOKEN_MISSING": "this gateway wants a token: pass the one in its configuration (gateway.auth.token)",
    "DEVICE_IDENTITY_REQUIRED": "pass the gateway's token, or an identity that is paired with it",
    "PAIRING_REQUIRED": "approve this device on the gateway's host (openclaw devices approve)",
    "PROTOCOL_MISMATCH": "this gateway is too old or too new for this version of regrow",
}


class Connection(ClientConnection):
    """A socket that notes when the gateway was last heard: frames, pings and pongs alike."""

    last_heard = 0.0

    def data_received(self, data: bytes) -> None:
        self.last_heard = self.loop.time()
        super().data_received(data)


class _Dial(connect):
    """Follows no redirect: the token is for the host that was named."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def dial(address: Address, tls: ssl.SSLContext | None) -> Connection:
    """Open a socket.

    Raises:
        TransportError: Nobody is there, or the line broke.
        HandshakeError: Somebody is there and does not open one (now, if `retryable`).
    """
    options: dict[str, Any] = {"ssl": tls} if tls is not None and address.is_encrypted else {}
    try:
        ws = await _Dial(
            address.url,
            compression=None,  # never negotiated by a gateway
            proxy=None,
            open_timeout=None,
            ping_interval=None,  # silence is judged by whoever uses the client
            close_timeout=_CLOSE_TIMEOUT,
            max_size=MAX_FRAME,
            write_limit=MAX_UNSENT,
            user_agent_header=f"regrow/{__version__}",
            logger=_QUIET,
            create_connection=Connection,
            **options,
        )
    except InvalidStatus as error:
        raise _refused(address, error) from error
    except InvalidMessage as error:
        raise TransportError(f"{address}: the line broke, or this is no HTTP server") from error
    except InvalidHandshake as error:
        raise HandshakeError(f"{address}: no gateway here: {error}", code="NOT_A_GATEWAY") from error
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason or "it does not speak TLS"
        raise HandshakeError(f"{address}: no trusted encryption: {why}; see the tls argument", code="TLS") from error
    except socket.gaierror as error:
        raise TransportError(f"{address}: {error.strerror}") from error
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error) or "the line broke while it was opened"
        raise TransportError(f"{address}: {why}") from error
    assert isinstance(ws, Connection)  # noqa: S101  (what create_connection asked for)
    return ws


async def greet(address: Address, ws: Connection, protocol: GatewayProtocol) -> Welcomed:
    """Hold the conversation up to the gateway's welcome.

    Raises:
        TransportError: The line broke.
        HandshakeError: The gateway does not let us in (now, if `retryable`).
    """
    loop = asyncio.get_running_loop()
    try:
        while True:
            for seen in protocol.receive(await ws.recv(decode=False), loop.time()):
                match seen:
                    case Welcomed():
                        return seen
                    case Rejected():
                        raise _rejected(address, seen)
                    case _:
                        continue
            for frame in protocol.to_send():
                await ws.send(frame, text=True)
    except ConnectionClosed:
        raise _hung_up(address, int(ws.close_code or 1006), ws.close_reason or "") from None


def _refused(address: Address, error: InvalidStatus) -> HandshakeError:
    status = error.response.status_code
    if status == 503:
        after = error.response.headers.get("Retry-After", "")
        return HandshakeError(
            f"{address}: the gateway is starting or draining (HTTP 503)",
            code="UNAVAILABLE",
            retryable=True,
            retry_after=float(after) if after.isascii() and after.isdigit() else None,
        )
    return HandshakeError(f"{address}: no gateway here (HTTP {status})", code=f"HTTP_{status}")


def _rejected(address: Address, seen: Rejected) -> HandshakeError:
    hint = _HINTS.get(seen.code)
    return HandshakeError(
        f"{address}: {seen.message}" + (f"; {hint}" if hint else ""),
        code=seen.code,
        retryable=seen.retryable,
        retry_after=seen.retry_after,
    )


def _hung_up(address: Address, code: int, reason: str) -> HandshakeError | TransportError:
    text = f"{address}: the gateway hung up during the greeting ({code}{f' {reason}' if reason else ''})"
    if code in (1012, 1013):  # restarting, try again later
        return HandshakeError(text, code="UNAVAILABLE", retryable=True)
    if code in (1002, 1003, 1008, 1009):
        return HandshakeError(text, code=f"CLOSED_{code}")
    return TransportError(text)
