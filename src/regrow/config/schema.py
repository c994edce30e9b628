"""The settings with limits and defaults; one section per domain, from the registry."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from regrow.config.people import GithubConfig
from regrow.decide.domains.base import DomainConfig, registry
from regrow.decide.healing import HealingConfig
from regrow.model.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

HIDDEN = "***"
GROUP = "regrow.domains"  # the entry-point group by which other packages bring domains

Port = Annotated[int, Meta(ge=1, le=65535)]
Variable = Annotated[str, Meta(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Address = Annotated[str, Meta(pattern="^(ws|wss|http|https)://.")]
UnitName = Annotated[str, Meta(pattern="^[A-Za-z0-9:_.@-]{1,255}$")]


class Secret:
    """A text that must not be shown: neither repr, str, format nor JSON give it away; only `reveal` does."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that sends it."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN


class GatewayConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[gateway]`: which gateway is tended, and how it is reached and started."""

    state_dir: Annotated[
        Path | None, Meta(description="the gateway's state directory; default: where OpenClaw itself would look")
    ] = None
    config: Annotated[Path | None, Meta(description="its openclaw.json; default: the one in its state directory")] = (
        None
    )
    port: Annotated[Port | None, Meta(description="its port; default: from openclaw.json, else a free one")] = None
    token: Annotated[
        Secret | None, Meta(description="its access token; better kept in `token_file`; default: a fresh one per start")
    ] = None
    token_file: Annotated[Path | None, Meta(description="a file that holds nothing but the access token")] = None
    token_env: Annotated[Variable | None, Meta(description="the environment variable that holds the access token")] = (
        None
    )
    url: Annotated[Address | None, Meta(description="attach to the gateway at this address (ws:// or wss://)")] = None
    entry: Annotated[
        Path | None, Meta(description="OpenClaw's entry file, `openclaw.mjs`; default: found, or the managed one")
    ] = None
    node: Annotated[Path | None, Meta(description="the Node.js binary; default: found by itself")] = None
    args: Annotated[
        tuple[str, ...], Meta(description="more arguments for `openclaw gateway run`; secrets do not belong here")
    ] = ()
    env: Annotated[
        dict[str, str], Meta(description="more environment variables for the gateway; never shown with their values")
    ] = {}
    mode: Annotated[
        Literal["auto", "own", "service", "attach"],
        Meta(
            description=(
                "own: regrow spawns it; service: its systemd or launchd unit does; "
                "attach: somebody else's, only RPC; auto: what is found"
            )
        ),
    ] = "auto"
    unit: Annotated[
        UnitName | None, Meta(description="its systemd unit or launchd label; default: found by itself")
    ] = None
    restarts: Annotated[
        Literal["in-place", "external"],
        Meta(
            description=(
                "in-place: the gateway restarts inside its process; "
                "external: it exits and hands over to its supervisor, which is regrow"
            )
        ),
    ] = "in-place"

    def __repr__(self) -> str:
        # arguments, variables and addresses may hold secrets
        shown = [f.name for f in msgspec.structs.fields(self) if getattr(self, f.name) != f.default]
        return f"<GatewayConfig mode={self.mode} set={','.join(shown) or 'nothing'}>"


class RegrowConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[regrow]`: regrow itself."""

    name: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            description="this keeper's name: several on a host each have their own state and socket",
        ),
    ] = "default"
    state_dir: Annotated[
        Path | None, Meta(description="where regrow remembers; default: the platform's state directory, by name")
    ] = None
    profile: Annotated[
        Literal["default", "classic"],
        Meta(description="default: figures learned in the field; classic: those of the earlier desktop manager"),
    ] = "default"
    dry_run: Annotated[
        bool, Meta(description="say what would be done and do nothing; the socket is opened with read scope only")
    ] = False
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="the least important lines that are written")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Meta(description="text: lines for people; json: one JSON object per line")
    ] = "text"
    journal_days: Annotated[float, Meta(ge=1, le=3650, description="days the journal goes back")] = 30.0
    journal_mb: Annotated[
        int, Meta(ge=1, le=100_000, description="megabytes the journal may take; the oldest entries go first")
    ] = 64
    leave_running: Annotated[
        bool, Meta(description="when regrow ends, its own gateway lives on and is taken over by the next run")
    ] = False
    config_watch: Annotated[bool, Meta(description="read the configuration again when the file changes")] = True


def _heal_defaults() -> Struct:
    return heal_type()()


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set. `heal` has one attribute per registered domain."""

    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    regrow: RegrowConfig = field(default_factory=RegrowConfig)
    healing: HealingConfig = field(default_factory=HealingConfig)
    github: GithubConfig = field(default_factory=GithubConfig)
    heal: Any = field(default_factory=_heal_defaults)

    def domains(self) -> dict[str, DomainConfig]:
        """The settings of every registered domain, by its name."""
        return {f.name: getattr(self.heal, f.name) for f in msgspec.structs.fields(self.heal)}


def sections() -> dict[str, type[Struct]]:
    """The tables at the top of the file and the type of each."""
    return {
        "gateway": GatewayConfig, "regrow": RegrowConfig, "healing": HealingConfig, "github": GithubConfig,
        "heal": heal_type(),
    }  # fmt: skip


@functools.cache
def heal_type() -> type[Struct]:
    """The type of `[heal]`: one field per domain, the built-in ones and those of installed packages.

    Raises:
        ConfigError: A package's domain cannot be loaded.
    """
    importlib.import_module("regrow.decide.domains")
    problems: list[str] = []
    for entry in _installed():
        origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
        with _Blame(entry.name, origin, problems):
            entry.load()
    found = registry()
    for domain in found.values():
        with _Blame(domain.name, domain.config.__module__, problems):
            domain.config()  # every setting needs a default: nothing has to be configured
    if problems:
        raise ConfigError(problems)
    fields = [(d.name, d.config, field(default_factory=d.config)) for d in found.values()]
    return msgspec.defstruct("HealConfig", fields, frozen=True, kw_only=True, forbid_unknown_fields=True)


def _installed() -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points  # 25 ms, which a command that reads only `[regrow]` need not wait

    return entry_points(group=GROUP)


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file, for editors."""
    whole = msgspec.defstruct(
        "regrow configuration",
        [(name, kind, field(default_factory=kind)) for name, kind in sections().items()],
        forbid_unknown_fields=True,
    )
    made: dict[str, Any] = msgspec.json.schema(whole, schema_hook=_in_schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _in_schema(kind: type) -> dict[str, Any]:
    if kind in {Path, Secret}:
        return {"type": "string"}
    raise NotImplementedError(f"{kind} cannot be a setting")


class _Blame(AbstractContextManager[None]):
    """Turns whatever somebody else's package raises while it loads into one problem that names the package."""

    def __init__(self, name: str, origin: str, problems: list[str]) -> None:
        self._name = name
        self._origin = origin
        self._problems = problems

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._problems.append(
            f"heal.{self._name}: the domain of package {self._origin} cannot be loaded "
            f"({type(error).__name__}: {error}); update or uninstall that package"
        )
        return True
