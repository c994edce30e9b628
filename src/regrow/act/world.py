"""What effects act on: one gateway's files, processes and line, and whom to tell."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from regrow.act.issues import Tracker
from regrow.config.redaction import remember_secret
from regrow.decide.profiles import DEFAULT, Policy
from regrow.decide.view import View
from regrow.host import openclaw as openclaws
from regrow.host import paths, ports
from regrow.host.child import Child
from regrow.host.launch import Launch, package_version, plan
from regrow.host.lives import MARK, Life, recall, remember
from regrow.host.openclaw import Installation, find_openclaw
from regrow.host.services import Unit
from regrow.link.line import Line
from regrow.model.action import Action
from regrow.model.changes import Change
from regrow.model.errors import Refused
from regrow.model.facts import AnyFact
from regrow.model.verdicts import Verdict

Say = Callable[[str, dict[str, Any]], None]
Effect = Callable[[Any], Awaitable[Verdict | AnyFact | None]]


class Clock(Protocol):
    """Gives the time."""

    def now(self) -> float:
        """Epoch seconds that never run backwards."""


class Journal(Protocol):
    """Where intents, outcomes and what outlives us are written."""

    async def intend(self, action: Action, *, durable: bool | None = None) -> int:
        """Write down what is about to be done; returns when it is committed (with `durable`, on the disk)."""

    def conclude(self, intent: int, verdict: Verdict) -> None:
        """Write down how it ended."""

    async def record_changes(self, changes: Sequence[Change]) -> bool:
        """Write down what is about to be changed of a user's things, with the old values."""

    def close_changes(self, ids: Sequence[str], *, at: float, why: str) -> None:
        """Remember that these changes no longer stand."""

    def keep_config(self, digest: str, version: str, *, at: float, path: Path) -> None:
        """Remember that this version served this configuration."""

    def forget_config(self, digest: str, version: str) -> None:
        """Forget a stored configuration whose copy is gone."""


def _nothing(_kind: str, _data: dict[str, Any]) -> None:
    return


def _ignore(_child: Child) -> None:
    return


@dataclass(kw_only=True)
class World:
    """Everything an effect may touch. The daemon makes it; effects change `child`, `port` and `token` only.

    Attributes:
        state_dir, config_path: The gateway's.
        folder: regrow's own state directory for this gateway: kept configurations, undo records, evidence, output.
        post, view, clock, journal, say: Where facts go, what is believed, the time, the memory, where events go.
        line: The line to the gateway, None where there is none (a command without a keeper).
        port: Where a start listens; None picks a free one at the first start and keeps it.
        token: The gateway's token, None if it is in its configuration only.
        fresh_token: Make a token at the first start if there is none.
        entry, node, args, env: As configured.
        external: Speak the external-supervisor contract.
        allow_unconfigured: Start although the configuration does not say `gateway.mode`.
        unit: The service that runs it, in service mode.
        keep: How many proven configurations are kept.
        tracker: Files issues, None where that is not set up.
        child: The process we spawned or took over.
        on_child: Told about each new one.
        noted: What lies on the disk about the last life we started or took over.
    """

    state_dir: Path
    config_path: Path
    folder: Path
    post: Callable[[AnyFact], None]
    view: Callable[[], View]
    clock: Clock
    journal: Journal | None = None
    say: Say = _nothing
    line: Line | None = None
    policy: Policy = DEFAULT
    port: int | None = None
    token: str | None = None
    fresh_token: bool = False
    entry: str | None = None
    node: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    external: bool = False
    allow_unconfigured: bool = False
    unit: Unit | None = None
    keep: int = 30
    tracker: Tracker | None = None
    child: Child | None = None
    on_child: Callable[[Child], None] = _ignore
    noted: Life | None = None
    _installation: Installation | None = None
    _stamp: tuple[int, int] | None = None
    _launch: Launch | None = None

    @property
    def log(self) -> Path:
        """Where the output of what we spawn goes."""
        return self.folder / "logs" / "gateway.log"

    async def installation(self) -> Installation:
        """The OpenClaw to run, searched once; looked at again only when its package was replaced.

        Raises:
            Fatal: There is none that can run.
        """
        known = self._installation
        if known is not None and _stamp(known) == self._stamp:
            return known
        # a search runs `node --version`: not in the loop
        if known is not None and package_version(Path(known.entry)) is not None:
            found = await asyncio.to_thread(openclaws.installation, Path(known.entry), self.node, managed=known.managed)
        else:
            found = await asyncio.to_thread(find_openclaw, self.entry, self.node)
        self.use(found)
        return found

    @property
    def known_installation(self) -> Installation | None:
        """The OpenClaw that was found, without a search."""
        return self._installation

    def use(self, installation: Installation) -> None:
        """Run this one from now on."""
        self._installation, self._stamp, self._launch = installation, _stamp(installation), None

    def configure(
        self, *, entry: str | None, node: str | None, args: tuple[str, ...], env: Mapping[str, str], external: bool
    ) -> None:
        """Start the next life with these settings."""
        self.entry, self.node, self.args, self.env, self.external = entry, node, args, env, external
        self._installation = self._stamp = self._launch = None

    async def launch(self) -> Launch:
        """How to start the gateway; worked out once, so that a respawn has nothing to think about.

        Raises:
            Fatal: No OpenClaw, or arguments that cannot work.
        """
        installation = await self.installation()
        if self._launch is None:
            if self.port is None:
                self.port = self._old_port() or ports.free_port()
            if self.token is None and self.fresh_token:
                self.know_token(secrets.token_urlsafe(32))
            self._launch = plan(
                Path(installation.node.path),
                Path(installation.entry),
                port=self.port,
                state_dir=self.state_dir,
                cache_dir=paths.cache_dir(),
                config_path=self.config_path,
                token=self.token,
                args=self.args,
                env=self.env,
                allow_unconfigured=self.allow_unconfigured,
                external=self.external,
            )
            self.port = self._launch.port
        return self._launch

    def know_token(self, token: str) -> None:
        """Use this token from now on, and never show it."""
        remember_secret(token)
        self.token = token

    def _old_port(self) -> int | None:
        """The port of the last life, if it is still free: programs may have noted it."""
        life = recall(self.folder)
        return life.port if life is not None and ports.is_free(life.port) else None

    def note_life(self, life: Life) -> None:
        """Note a life for whoever comes after us; a full disk must not keep a gateway down."""
        self.noted = None
        try:
            remember(self.folder, life)
            self.noted = life
        except OSError as error:
            self.say("trouble", {"what": f"the gateway's identity could not be noted: {error.strerror or error}"})

    async def call(self, method: str, params: Mapping[str, Any] | None = None, within: float = 10.0) -> Any:
        """Ask the gateway.

        Raises:
            Refused: There is no line to it.
            GatewayError, TransportError: As the line says.
        """
        if self.line is None or self.line.client is None:
            raise Refused("there is no connection to the gateway; it is asked again when there is", by="link")
        return await self.line.call(method, params, within)

    def methods(self) -> frozenset[str]:
        """What the gateway says it can be asked."""
        client = self.line.client if self.line is not None else None
        return frozenset(client.hello.methods if client is not None else self.view().methods)

    def running_version(self) -> str:
        """The version of the process that runs, not of the package on disk; "" if unknown."""
        client = self.line.client if self.line is not None else None
        if client is not None and client.hello.version:
            return client.hello.version
        life = recall(self.folder)
        process = self.view().process
        if life is not None and life.process is not None and life.process == process and life.version:
            return life.version
        return self.view().version

    def need_files(self) -> None:
        """Refuse where the gateway's files are not on this host.

        Raises:
            Refused: It is known by its URL only.
        """
        if not self.state_dir.is_dir():
            raise Refused(f"the gateway's files are not here ({self.state_dir})", by="place")


def marked(env: Mapping[str, str], mark: str) -> dict[str, str]:
    """The environment of one life: it carries its mark."""
    return {**env, MARK: mark}


def _stamp(installation: Installation) -> tuple[int, int] | None:
    try:
        status = (Path(installation.entry).parent / "package.json").stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
