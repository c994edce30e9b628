"""Where the gateway's files are, for commands that look without a keeper."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regrow.act.world import World
    from regrow.cli.place import Place as Keeper
    from regrow.config.load import Loaded
    from regrow.config.schema import Config
    from regrow.daemon.place import Place

USUAL_PORT = 18789  # the gateway's own default


def unreadable(config: Path) -> str:
    """Why openclaw.json cannot be read as settings, with the next step; "" if it can."""
    from regrow.observe.file import read_config

    seen = read_config(config)
    if seen.missing:
        return f"there is no {config}; run `openclaw onboard`, or try `regrow run --sandbox`"
    if not seen.problems:
        return ""
    problem = seen.problems[0]
    if not problem.startswith("it "):
        return problem  # it names the file already
    return f"{config} {problem.removeprefix('it ')}; `regrow doctor` shows copies that worked"


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
