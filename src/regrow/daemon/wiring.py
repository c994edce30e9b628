"""Wires every part together and runs it as one task group; the only file that knows them all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import structlog

from regrow import __version__
from regrow.act.effects import effects, explain
from regrow.act.executor import Executor
from regrow.act.settings import keep_served
from regrow.act.world import World
from regrow.config.redaction import redact, remember_secret
from regrow.config.schema import Config
from regrow.daemon.desk import Desk
from regrow.daemon.memory import memory_of, recalled
from regrow.daemon.mind import Mind
from regrow.daemon.ownership import Ownership
from regrow.daemon.people import tracker
from regrow.daemon.place import Place, launching, place_of
from regrow.daemon.signals import Signals
from regrow.daemon.status import status
from regrow.daemon.tally import Tally
from regrow.daemon.upkeep import Upkeep
from regrow.daemon.waking import awake
from regrow.daemon.watchers import Watchers
from regrow.decide.domains.base import registry
from regrow.decide.engine import Outcome, Setup, State, first_state
from regrow.decide.profiles import Policy
from regrow.decide.profiles import policy as figures
from regrow.host.child import Child
from regrow.host.cli import Finished, run_openclaw
from regrow.host.clock import Clock
from regrow.host.lease import Lease
from regrow.host.lives import living
from regrow.host.notify import notify
from regrow.keep import keep, once
from regrow.link.chat import Normaliser
from regrow.link.client import GatewayClient
from regrow.link.events import GatewayEvent
from regrow.link.identity import Identity
from regrow.link.line import Line
from regrow.link.protocol import Lost
from regrow.model.actions import AnyAction, LookOwner, Start
from regrow.model.errors import Fatal, Refused, RegrowError, Retryable
from regrow.model.facts import (
    AnyFact,
    Asked,
    ChildExited,
    ChildStarted,
    LinkUp,
    OutputSeen,
    PackageSeen,
)
from regrow.observe.child import ChildWatch
from regrow.observe.owner import look_owner
from regrow.record.events import Events
from regrow.record.journal import Journal
from regrow.record.log import clean, pseudonyms
from regrow.record.snapshot import Snapshot
from regrow.serve.control import ControlServer

STOPPED = 0
REPEATED = 3600.0
READ = ("operator.read",)
ADMIN = ("operator.admin", "operator.read", "operator.write")

Say = Callable[[str, dict[str, Any]], None]


class Daemon:
    """One keeper of one gateway.

    Args:
        config: Our settings.
        say: Told each event of interest, for the terminal.
        reload: Reads the settings again, for SIGHUP and when the file changes.
        config_file: The file to watch for that, if there is one.
        policy: The figures supervision runs on; by default those of the profile.
    """

    def __init__(
        self,
        config: Config,
        *,
        say: Say | None = None,
        reload: Callable[[], Config] | None = None,
        config_file: Path | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.config = config
        self.place: Place = place_of(config)
        self.clock = Clock()
        self._say = say
        self.read_config = reload
        self.config_file = config_file
        self.policy = policy or figures(config.regrow.profile, windows=os.name == "nt")
        self._log = structlog.get_logger("regrow")
        self._done = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._troubles: dict[str, float] = {}
        self._signals = Signals(self)
        self._ownership = Ownership(self)

    # ── life ──

    async def run(self) -> int:
        """Tend the gateway until told to end.

        Returns:
            0 when ended as told.

        Raises:
            Retryable: Another keeper of this name is at work.
            Fatal: Nothing can be tended: no OpenClaw, a journal of a newer regrow, an unusable directory.
        """
        name = self.config.regrow.name
        try:
            self.journal = await Journal.open(self.place.journal, clock=self.clock.now, gateway=name)
        except Refused as error:
            raise Retryable(str(error)) from error
        try:
            await self._build()
            await self._tend()
        finally:
            await self.journal.close()
        return STOPPED

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._signals.install(loop)
                self.begin(self._signals.watch, "configuration file")
                # before anything is looked at or answered: a stop of an earlier life holds from the first moment
                self.mind.post(await awake(self))
                parts = [
                    tasks.create_task(keep(part.run, self._failed(name)), name=name) for name, part in self._parts()
                ]
                notify("READY=1", f"STATUS=tending {self.place.state_dir}")
                await self._done.wait()
                notify("STOPPING=1")
                for part in reversed(parts):
                    part.cancel()
                for task in list(self._beside):
                    task.cancel()
        finally:
            self._signals.remove(loop)
            if self.world.child is not None:
                self.world.child.close()
            self.events.publish("regrow:stopped", {"pid": os.getpid()}, self.clock.now())
            self.lease.release()
            self.events.close()
            await self.snapshot.remove()

    async def _build(self) -> None:
        place, config, clock = self.place, self.config, self.clock
        if place.token:
            remember_secret(place.token)
        early: list[tuple[str, dict[str, Any]]] = []  # what the journal has to say since it was opened
        self.journal.listen(lambda type_, data: early.append((type_, data)))
        self.pseudonym = self.journal.pseudonym = pseudonyms(place.folder / "pseudonyms.key")
        self.events = Events(self.journal, name=self.pseudonym, clock=clock.now)
        self.journal.listen(self.publish)
        for type_, data in early:
            self.publish(type_, data)
        self.snapshot = Snapshot(place.status)
        self.lease = Lease(place.state_dir, name=config.regrow.name, version=__version__)
        state, problem = recalled(first_state(self._setup(config)), place.memory, clock.now())
        if problem:
            self.publish("trouble", {"what": problem})
        self._remembered = memory_of(state)
        self.mind = Mind(
            state, self._setup(config), self.journal, submit=self._submit, remember=self._remember, say=self.publish
        )
        self.line = Line(
            self.url, lambda: self.world.token, Identity.load_or_create(place.key),
            READ if config.regrow.dry_run else ADMIN, clock=clock, post=self.mind.post, policy=self.policy,
        )  # fmt: skip
        normaliser = Normaliser()
        self.line.on_item = lambda item: self._heard(normaliser, item)
        self._beside: set[asyncio.Task[None]] = set()
        self.world = self._world()
        if not place.url and config.gateway.mode in ("auto", "own"):
            await self._need_openclaw()
        self.watchers = Watchers(self)
        table = effects(self.world)
        start = table[Start]
        table[Start] = lambda action: self._ownership.start(start, action)
        table[LookOwner] = lambda _action: self._ownership.look()
        table.update(self.watchers.looks)
        self.executor = Executor(
            self.world, table, self.journal, self.mind.post, clock, explain=lambda action: explain(self.world, action)
        )
        self.mind.listeners += [self._follow, Tally(self.publish, self.policy).follow]
        self.upkeep = Upkeep(self)
        self.desk = Desk(
            self.mind,
            self.line,
            self.events,
            self.journal,
            now=clock.now,
            policy=self.policy,
            settled=self.upkeep.settled,
            status=self.status,
            reload=self._signals.reload_config,
        )
        self.control = ControlServer(place.socket, self.desk)

    def _setup(self, config: Config) -> Setup:
        domains = registry()
        configs = {name: getattr(config.heal, name) for name in domains}
        return Setup(domains=tuple(domains.values()), configs=configs, policy=self.policy, healing=config.healing)

    def _world(self) -> World:
        place, gateway = self.place, self.config.gateway
        life = living(place.folder)
        return World(
            state_dir=place.state_dir, config_path=place.config_path, folder=place.folder, post=self.mind.post,
            view=self.mind.view, clock=self.clock, journal=self.journal, say=self.publish, line=self.line,
            policy=self.policy, port=life.port if life is not None else place.port,
            token=(life.token if life is not None else None) or place.token, fresh_token=place.token is None,
            keep=self.config.heal.settings.keep, on_child=self.watch, tracker=tracker(self), **launching(gateway),
        )  # fmt: skip

    async def _need_openclaw(self) -> None:
        """Say at once that there is nothing to start, unless a gateway runs already."""
        try:
            await self.world.installation()
        except Fatal:
            seen = await look_owner(self._ownership.premises(), self.clock)
            if seen.owner in ("none", "listener"):
                raise

    def _parts(self) -> Sequence[tuple[str, Any]]:
        ours: list[tuple[str, Any]] = [("mind", self.mind), ("executor", self.executor), ("line", self.line)]
        return [*ours, *self.watchers.parts, ("upkeep", self.upkeep), ("control", self.control)]

    def _failed(self, name: str) -> Callable[[BaseException, int], None]:
        def failed(error: BaseException, count: int) -> None:
            self._log.error("a part of regrow failed and was begun again", part=name, count=count, exc_info=error)
            self.publish("fault", {"what": redact(f"{name}: {type(error).__name__}: {error}"), "count": count})

        return failed

    # ── what parts need of each other ──

    def url(self) -> str:
        """Where the gateway is."""
        return self.place.url or f"ws://127.0.0.1:{self.mind.view().port or self.world.port or 0}"

    def dial(self) -> GatewayClient:
        """A client for one attempt beside the line."""
        return GatewayClient(self.url(), token=self.world.token, scopes=READ, open_timeout=5.0)

    async def cli(self, argv: Sequence[str], within: float) -> Finished:
        """Run a command of OpenClaw's."""
        launch = await self.world.launch()
        return await run_openclaw(await self.world.installation(), argv, env=launch.env, timeout=within)

    def entry(self) -> Path | None:
        """The installed OpenClaw's entry file."""
        installation = self.world.known_installation
        return Path(installation.entry) if installation is not None else None

    def watch(self, child: Child) -> None:
        """Follow this process to its end."""
        external = self.world.external
        watch = ChildWatch(
            child, self.mind.post, self.clock, self.publish, version=lambda: self.mind.view().version,
            handed_over=(lambda: self._ownership.handed_over(child.process)) if external else None,
        )  # fmt: skip
        name = f"child {child.process.pid}"
        for task in self._beside:
            if task.get_name() == name:
                task.cancel()  # one process ends once
        self.begin(watch.run, name)
        self.watchers.health.nudge()

    def begin(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        """Do something once, beside the parts; it ends with us, and we do not end with it."""
        assert self._tasks is not None  # noqa: S101  (nothing begins before the parts do)
        task = self._tasks.create_task(once(work, self._failed(name)), name=name)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def use(self, config: Config) -> None:
        """Go on with these settings."""
        if config.gateway != self.config.gateway:
            self.world.configure(**launching(config.gateway))
        self.config = config
        self.mind.setup = self._setup(config)

    def quit(self) -> None:
        """End: the own gateway first, in good order. A second time: at once, and the gateway lives on."""
        self._signals.quit()

    def _submit(self, action: AnyAction) -> None:
        self.executor.submit(action)

    # ── what follows from facts ──

    def _follow(self, fact: AnyFact, outcome: Outcome) -> None:
        """Things that are no decisions: adopt what a person allowed, keep what was proven, look again at news."""
        match fact:
            case Asked(verb="adopt"):
                self._ownership.adopt()
            case ChildStarted():
                self.watchers.health.nudge()
                self.upkeep.claim()
            case OutputSeen(kind="ready"):
                self.watchers.health.nudge()
            case ChildExited() if self.world.child is not None and self.world.child.process == fact.process:
                self.world.child = None
            case LinkUp():
                self.watchers.linked()
            case PackageSeen():
                self.watchers.settings.forget()
            case _:
                pass
        if any(note.type == "gateway:ready" for note in outcome.notes):
            self.begin(self._keep_served, "keep the served configuration")
        if any(note.type == "status" for note in outcome.notes):
            notify(f"STATUS={self.mind.view().phase}")
            self.upkeep.changed()
        if self._signals.may_end:
            self._done.set()

    async def _keep_served(self) -> None:
        try:
            await keep_served(self.world)
        except (RegrowError, OSError) as error:
            self.publish("trouble", {"what": redact(f"the configuration could not be kept: {error}")})

    # ── telling ──

    def status(self) -> dict[str, Any]:
        """What `regrow status --json` prints."""
        told: dict[str, Any] = clean(self._status(), name=self.pseudonym)
        return told

    def _status(self) -> dict[str, Any]:
        return status(
            self.mind.state, self.line.diagnostics, name=self.config.regrow.name, at=self.clock.now(),
            connected_at=self.line.connected_at, dry_run=self.config.regrow.dry_run,
        )  # fmt: skip

    def publish(self, type_: str, data: dict[str, Any]) -> None:
        """Tell everybody, and keep it. The same trouble is told once an hour."""
        if type_ == "trouble":
            what, now = str(data.get("what")), self.clock.now()
            if now - self._troubles.get(what, -REPEATED) < REPEATED:
                return
            self._troubles[what] = now
        event = self.events.publish(type_, data, self.clock.now())
        if self._say is not None:
            self._say(event.type, event.data)

    def _heard(self, normaliser: Normaliser, item: GatewayEvent | Lost) -> None:
        if isinstance(item, Lost):
            return
        self.watchers.hear(item)
        for type_, data in normaliser.feed(item.name, item.payload, item.kind):
            self.events.publish(type_, data, self.clock.now())

    def _remember(self, state: State) -> None:
        memory = memory_of(state)
        if memory != self._remembered:
            self._remembered = memory
            self.upkeep.write_memory(memory)
        view = state.view
        if (view.want, view.want_since) != self.upkeep.wanted:
            self.upkeep.wanted = (view.want, view.want_since)
            self.upkeep.want_changed(view.want, view.want_since, view.want_by)
