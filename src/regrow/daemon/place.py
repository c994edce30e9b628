"""Where one gateway and our files for it are, worked out from the configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyjson5
from msgspec import Struct

from regrow.config.redaction import remember_secret
from regrow.config.schema import Config, GatewayConfig
from regrow.host import paths
from regrow.link.address import Address
from regrow.model.errors import Fatal, HandshakeError


class Place(Struct, frozen=True, kw_only=True):
    """One gateway, and our rooms for it.

    Attributes:
        state_dir, config_path: The gateway's; they need not exist when it is attached by URL.
        folder: Our state directory.
        journal, socket, key, status, memory: Our files in it.
        url: Its address if it is only attached, else "".
        port: Its port, if the settings or openclaw.json name one.
        token: Its token, if the settings or openclaw.json hold one.
    """

    state_dir: Path
    config_path: Path
    folder: Path
    url: str = ""
    port: int | None = None
    token: str | None = None

    @property
    def journal(self) -> Path:
        """What happened."""
        return self.folder / "journal.db"

    @property
    def socket(self) -> Path:
        """Where we answer."""
        return paths.socket_path(self.folder)

    @property
    def key(self) -> Path:
        """Our device key."""
        return self.folder / "device.json"

    @property
    def status(self) -> Path:
        """The status file."""
        return self.folder / "status.json"

    @property
    def memory(self) -> Path:
        """Failures and what was learned, so that our own restart forgets nothing."""
        return self.folder / "memory.json"


def place_of(config: Config) -> Place:
    """Find the gateway that the settings mean, and make our own directory for it.

    Raises:
        Fatal: An address that is none, or a directory of ours that cannot be made.
    """
    gateway = config.gateway
    state_dir = gateway.state_dir or Path(os.environ.get("OPENCLAW_STATE_DIR") or Path.home() / ".openclaw")
    from_env = os.environ.get("OPENCLAW_CONFIG_PATH") if gateway.state_dir is None else None
    config_path = gateway.config or (Path(from_env) if from_env else state_dir / "openclaw.json")
    folder = config.regrow.state_dir or paths.state_dir(config.regrow.name)
    url = ""
    if gateway.url is not None:
        try:
            url = str(Address.parse(gateway.url))
        except HandshakeError as error:
            raise Fatal(f"gateway.url: {error}") from error
    said = {} if url else _gateway_section(config_path)
    auth = said.get("auth")
    written = auth.get("token") if isinstance(auth, dict) else None
    token = _token(gateway)
    if token is None and isinstance(written, str) and written and "$" not in written:
        token = written  # a reference to a variable or a secret store is the gateway's to resolve
    remember_secret(token or "")
    port = gateway.port or (said.get("port") if isinstance(said.get("port"), int) else None)
    return Place(
        state_dir=state_dir.expanduser().absolute(),
        config_path=config_path.expanduser().absolute(),
        folder=paths.private_dir(folder.expanduser().absolute()),
        url=url,
        port=port,
        token=token,
    )


def launching(gateway: GatewayConfig) -> dict[str, Any]:
    """The settings a start depends on, as `World` takes them."""
    return {
        "entry": str(gateway.entry) if gateway.entry is not None else None,
        "node": str(gateway.node) if gateway.node is not None else None,
        "args": gateway.args,
        "env": gateway.env,
        "external": gateway.restarts == "external",
    }


def _token(gateway: GatewayConfig) -> str | None:
    """The token the settings lead to.

    Raises:
        Fatal: The file or variable they name has none.
    """
    if gateway.token is not None:
        return gateway.token.reveal()
    if gateway.token_file is not None:
        try:
            return gateway.token_file.expanduser().read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise Fatal(f"gateway.token_file: {gateway.token_file} cannot be read: {error}") from error
    if gateway.token_env is not None:
        token = os.environ.get(gateway.token_env)
        if not token:
            raise Fatal(f"gateway.token_env: the variable {gateway.token_env} is not set")
        return token
    return None


def _gateway_section(path: Path) -> dict[str, Any]:
    """The `gateway` section of openclaw.json as far as it can be read; its faults are the settings domain's matter."""
    try:
        value = pyjson5.decode(path.read_text(encoding="utf-8")[: 10 * 1024 * 1024])
    except (OSError, ValueError, pyjson5.Json5Exception):
        return {}
    section = value.get("gateway") if isinstance(value, dict) else None
    return section if isinstance(section, dict) else {}
