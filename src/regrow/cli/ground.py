"""Where the gateway's files are, for commands that look without a keeper."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regrow.act.world import World
    from regrow.cli.place import Place as Keeper
    from regrow.config.load import Loaded
    from regrow.config.schema import Config
    from regrow.daemon.place import Place

USUAL_PORT = 18789  # the gateway's own default


def settings_of(config: Path) -> tuple[dict[str, Any] | None, str]:
    """What openclaw.json says, or why it cannot be read."""
    import pyjson5

    try:
        said = pyjson5.decode(config.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None, f"there is no {config}; run `openclaw onboard`, or try `regrow run --sandbox`"
    except OSError as error:
        return None, f"{config} cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError, pyjson5.Json5Exception) as error:
        reason = str(error.args[0] if error.args else error)
        return None, f"{config} is not JSON5: {reason}; `regrow doctor` shows copies that worked"
    if not isinstance(said, dict):
        return None, f"{config} holds no settings but {type(said).__name__}; `regrow doctor` shows copies that worked"
    return said, ""


def has_sandbox(keeper: Keeper) -> bool:
    """Whether this keeper's gateway is regrow's own: a sandbox of its name was made."""
    from regrow.host.paths import sandbox_dir

    return keeper.name is not None and (sandbox_dir(keeper.name) / "port").is_file()


def boxed(config: Config) -> Config:
    """The configuration with a gateway of regrow's own in place of the user's."""
    from msgspec.structs import replace

    from regrow.config.schema import GatewayConfig
    from regrow.host.sandbox import open_sandbox

    box = open_sandbox(config.regrow.name)
    theirs = config.gateway
    gateway = GatewayConfig(
        state_dir=box.state_dir, config=box.config, port=box.port, token_file=box.token_file, mode="own",
        entry=theirs.entry, node=theirs.node, env={**theirs.env, "HOME": str(box.home)},
    )  # fmt: skip
    return replace(config, gateway=gateway)


def settings_for(keeper: Keeper) -> Loaded:
    """The whole configuration of a keeper, its sandbox included.

    Raises:
        ConfigError: With every problem there is.
    """
    from msgspec.structs import replace

    loaded = keeper.load()
    return replace(loaded, config=boxed(loaded.config)) if has_sandbox(keeper) else loaded


def world_of(config: Config, place: Place) -> World:
    """What looking at the gateway's files needs, without a keeper and without changing anything."""
    from regrow.act.world import World
    from regrow.decide.view import View

    gateway = config.gateway
    entry, node = (str(path) if path is not None else None for path in (gateway.entry, gateway.node))
    return World(
        state_dir=place.state_dir, config_path=place.config_path, folder=place.folder, post=_nobody, view=View,
        clock=Wall(), port=place.port or USUAL_PORT, entry=entry, node=node, args=gateway.args, env=gateway.env,
        token=place.token,
    )  # fmt: skip


class Wall:
    """The time on the wall."""

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()


def _nobody(_fact: object) -> None:
    return
