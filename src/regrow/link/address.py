"""Where a gateway listens, and whether a secret may travel there."""

from __future__ import annotations

import ipaddress
from typing import Self
from urllib.parse import urlsplit

from msgspec import Struct

from regrow.model.errors import HandshakeError

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


class Address(Struct, frozen=True):
    """A gateway's address. As text it shows scheme, host and port only: the rest of a URL may hold secrets."""

    scheme: str
    host: str
    port: int
    path: str = "/"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            HandshakeError: It is not one a gateway can have (code INVALID_URL).
        """
        try:
            parts = urlsplit(url.strip())
            scheme, host, port = _SCHEMES.get(parts.scheme), parts.hostname, parts.port
        except ValueError:
            scheme, host, port = None, None, None
        if scheme is None or not host or parts.username or parts.password or port == 0:
            raise HandshakeError(
                "the gateway's URL must look like ws://host:port or wss://host:port, without user or password",
                code="INVALID_URL",
            )
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(scheme, host, port or (443 if scheme == "wss" else 80), path)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def url(self) -> str:
        """The full URL to dial."""
        return f"{self}{self.path}"

    @property
    def is_encrypted(self) -> bool:
        """True if the line is encrypted."""
        return self.scheme == "wss"

    @property
    def is_loopback(self) -> bool:
        """True if it never leaves this host."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_private(self) -> bool:
        """True if nobody on the way can read along."""
        return self.is_encrypted or self.is_loopback
