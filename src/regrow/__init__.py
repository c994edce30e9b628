"""regrow keeps OpenClaw gateways alive: it sees what went wrong, heals it, and proves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from regrow.link.chat import Normaliser
    from regrow.link.client import GatewayClient, attach
    from regrow.link.events import GatewayEvent, Subscription
    from regrow.link.frames import Hello
    from regrow.link.identity import Identity
    from regrow.link.protocol import Lost
    from regrow.model.errors import GatewayError, HandshakeError, LinkError, RegrowError, TransportError

_WHERE = {
    "GatewayClient": "regrow.link.client",
    "GatewayError": "regrow.model.errors",
    "GatewayEvent": "regrow.link.events",
    "HandshakeError": "regrow.model.errors",
    "Hello": "regrow.link.frames",
    "Identity": "regrow.link.identity",
    "LinkError": "regrow.model.errors",
    "Lost": "regrow.link.protocol",
    "Normaliser": "regrow.link.chat",
    "RegrowError": "regrow.model.errors",
    "Subscription": "regrow.link.events",
    "TransportError": "regrow.model.errors",
    "attach": "regrow.link.client",
}

__all__ = [
    "GatewayClient",
    "GatewayError",
    "GatewayEvent",
    "HandshakeError",
    "Hello",
    "Identity",
    "LinkError",
    "Lost",
    "Normaliser",
    "RegrowError",
    "Subscription",
    "TransportError",
    "__version__",
    "attach",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `import regrow` costs nothing."""
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module 'regrow' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(where), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
