"""A gateway of regrow's own to try things on: its state, a minimal configuration, a token, all private."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from msgspec import Struct

from regrow.host import paths
from regrow.host.ports import free_port, is_free
from regrow.host.private import write_private
from regrow.model.errors import Fatal


class Sandbox(Struct, frozen=True):
    """Where everything of a sandboxed gateway lies.

    Attributes:
        root: Removing it removes the sandbox.
        home: The HOME of the gateway, so that it never sees the user's.
        state_dir: The gateway's own files.
        config: Its openclaw.json.
        token_file: Its access token; never in a command line.
        port: The loopback port, kept from one run to the next while it is free.
    """

    root: Path
    home: Path
    state_dir: Path
    config: Path
    token_file: Path
    port: int

    def token(self) -> str:
        """The access token."""
        return self.token_file.read_text().strip()


def open_sandbox(name: str = "sandbox", *, root: Path | None = None, port: int | None = None) -> Sandbox:
    """Make a sandbox, or open the one there is. Its configuration is written once and then left to its user.

    Args:
        name: Several sandboxes may lie side by side.
        root: Its directory, if not in the usual place.
        port: The port it shall use, if it matters.

    Raises:
        Fatal: Its directory cannot be used.
    """
    place = paths.private_dir(root or paths.sandbox_dir(name))
    home = paths.private_dir(place / "home")
    state = paths.private_dir(home / ".openclaw")
    config, token_file, port_file = state / "openclaw.json", place / "token", place / "port"
    try:
        if not token_file.exists():
            write_private(token_file, f"{secrets.token_urlsafe(32)}\n".encode(), durable=True)
        chosen = port or _port_of(port_file)
        write_private(port_file, f"{chosen}\n".encode())
        if not config.exists():
            text = json.dumps(minimal_config(place / "gateway.log"), indent=2)
            write_private(config, f"{text}\n".encode(), durable=True)
    except OSError as error:
        raise Fatal(
            f"cannot write the sandbox in {place}: {error.strerror or error}; remove it to start afresh"
        ) from error
    return Sandbox(place, home, state, config, token_file, chosen)


def minimal_config(log: Path) -> dict[str, Any]:
    """The least that a gateway starts with: local, on loopback, no channels, reloading by itself what it can."""
    return {
        "gateway": {"mode": "local", "bind": "loopback", "reload": {"mode": "hybrid"}},
        "logging": {"file": str(log)},
    }


def _port_of(file: Path) -> int:
    try:
        kept = int(file.read_text())
    except (OSError, ValueError):
        return free_port()
    # a port that is taken may be taken by this very sandbox's gateway: whoever starts it finds out
    return kept if 1024 <= kept < 65536 and (is_free(kept) or _running(file)) else free_port()


def _running(file: Path) -> bool:
    from regrow.host.locks import owner

    return owner(file.parent / "home" / ".openclaw") is not None
