"""Which keeper a command means: the options for it, and its state directory and socket."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from regrow.model.errors import ConfigError

if TYPE_CHECKING:
    from regrow.config.load import Loaded


class Place(NamedTuple):
    """What `--config` and `--name` lead to, found without reading more of the configuration than needed."""

    config: Path | None
    name: str | None

    @property
    def state(self) -> Path:
        """The keeper's state directory.

        Raises:
            ConfigError: The configuration file cannot be read.
        """
        from regrow.host import paths

        file, table = self._table()
        where = os.environ.get("REGROW_REGROW__STATE_DIR")
        if where:
            return Path.cwd() / Path(where).expanduser()
        given = table.get("state_dir")
        if isinstance(given, str) and given:
            return file.parent / Path(given).expanduser()
        return paths.state_dir(self.name or os.environ.get("REGROW_REGROW__NAME") or str(table.get("name", "default")))

    @property
    def file(self) -> Path:
        """The configuration file, whether it exists or not."""
        named = self.config or (Path(os.environ["REGROW_CONFIG"]) if os.environ.get("REGROW_CONFIG") else None)
        return (named or _usual_file()).expanduser().absolute()

    def load(self, **overrides: Any) -> Loaded:
        """The whole configuration.

        Args:
            overrides: Settings from the command line, `regrow__dry_run=True`; None counts as not given.

        Raises:
            ConfigError: With every problem there is.
        """
        from regrow.config.load import load

        given = {key.replace("__", "."): value for key, value in overrides.items() if value is not None}
        if self.name is not None:
            given["regrow.name"] = self.name
        return load(self.config, overrides=given)

    @property
    def socket(self) -> Path:
        """Where the keeper answers."""
        from regrow.host import paths

        return paths.socket_path(self.state)

    @property
    def journal(self) -> Path:
        """The keeper's memory."""
        return self.state / "journal.db"

    @property
    def option(self) -> str:
        """What to add to a command so that it means this keeper."""
        config = f" --config {self.config}" if self.config else ""
        return f"{config} --name {self.name}" if self.name else config

    def _table(self) -> tuple[Path, dict[str, Any]]:
        file = self.file
        if self.config is None and not os.environ.get("REGROW_CONFIG") and not file.exists():
            return file, {}
        import tomllib

        try:
            table = tomllib.loads(file.read_bytes().decode("utf-8-sig")).get("regrow", {})
        except OSError as error:
            raise ConfigError([f"{file}: cannot be read ({error.strerror or error})"]) from error
        except ValueError as error:
            raise ConfigError([f"{file}: is not valid TOML: {error}"]) from error
        return file, table if isinstance(table, dict) else {}


def _usual_file() -> Path:
    """What `config.load.default_path` says, without importing what reading a configuration takes."""
    home = os.environ.get("REGROW_HOME")
    if home:
        return Path(home).expanduser().absolute() / "config.toml"
    import platformdirs

    return Path(platformdirs.user_config_dir("regrow", appauthor=False)) / "config.toml"


def placed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config` and `--name`, and the function a `place`."""
    import functools

    @click.option(
        "--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
        help="regrow's configuration file; default: REGROW_CONFIG, else the usual place.",
    )  # fmt: skip
    @click.option("--name", metavar="NAME", help="Which keeper, when several run here.")
    @functools.wraps(function)
    def command(config: Path | None, name: str | None, **rest: Any) -> Any:
        return function(place=Place(config, name or os.environ.get("REGROW_NAME")), **rest)

    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
