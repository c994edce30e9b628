"""Looks who holds the gateway, and takes over or follows what it finds."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regrow.act.child import take_over
from regrow.act.world import Effect
from regrow.config.redaction import redact
from regrow.host import services
from regrow.host.child import adopt
from regrow.host.lives import living
from regrow.model.actions import AnyAction
from regrow.model.errors import Fatal, Refused, RegrowError
from regrow.model.facts import AnyFact, OwnerSeen
from regrow.model.gateway import Mode, Phase, Process
from regrow.model.verdicts import Verdict
from regrow.observe.owner import Premises, look_owner

if TYPE_CHECKING:
    from regrow.daemon.wiring import Daemon


class Ownership:
    """Whose the gateway is, for one keeper."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def premises(self) -> Premises:
        """Where to look, and what is ours."""
        daemon = self._daemon
        place, world, view = daemon.place, daemon.world, daemon.mind.view()
        life, child = living(place.folder), world.child
        ours = [process for process in (life.process if life else None,) if process is not None]
        if child is not None and not child.ended and view.adopted:
            ours.append(child.process)
        return Premises(
            state_dir=place.state_dir, config_path=place.config_path, port=world.port, url=place.url,
            ours=tuple(dict.fromkeys(ours)), met=view.process, service=daemon.config.gateway.mode == "service",
        )  # fmt: skip

    async def look(self) -> OwnerSeen:
        """Look; what is ours is taken over without touching it, what is not is followed to its end."""
        world = self._daemon.world
        seen = await look_owner(self.premises(), self._daemon.clock)
        process = seen.process
        gateway = self._daemon.config.gateway
        if gateway.mode == "service" and gateway.unit is not None:
            # known by name: its manager is asked even when nothing runs
            world.unit = services.named(gateway.unit)
            seen = replace(seen, mode=Mode.SERVICE)
        elif seen.mode is Mode.SERVICE and process is not None:
            world.unit = await asyncio.to_thread(services.gateway_unit, process)
        if process is None and seen.owner == "none" and world.unit is not None:
            # ended through its manager: a person's stop there holds as one here does
            unit = world.unit
            stopped = await asyncio.to_thread(services.was_stopped, unit)
            seen = replace(seen, mode=Mode.SERVICE, owner="unit" if stopped else "none", detail=unit.name)
        held = world.child is not None and world.child.process == process
        if process is None or held or seen.owner in ("listener", "remote"):
            return seen
        if seen.owner == "ours":
            take_over(world, process, port=seen.port)
        else:
            self._follow(process)
        return seen

    async def start(self, effect: Effect, action: AnyAction) -> Verdict | AnyFact | None:
        """Start the gateway, with our claim on its state directory: of two keepers that wait only one may.

        Raises:
            Refused: Another keeper was faster.
        """
        daemon = self._daemon
        if not daemon.place.url and daemon.place.state_dir.is_dir():
            with suppress(Fatal):  # it cannot be written: that is told with every beat
                if not daemon.lease.take():
                    raise Refused("another regrow looks after this gateway by now", by="owner")
        return await effect(action)

    def adopt(self) -> None:
        """Act on the gateway that runs from now on: a person allowed it."""
        daemon = self._daemon
        process = daemon.mind.view().process
        if process is None or daemon.place.url or daemon.mind.view().owner == "healer":
            return
        try:
            take_over(daemon.world, process)
        except RegrowError as error:
            daemon.publish("trouble", {"what": redact(str(error))})

    async def handed_over(self, process: Process) -> bool:
        """Whether a gateway that ended in good order left word, once, that it wants to be started again."""
        daemon = self._daemon
        if daemon.mind.view().phase is Phase.STOPPING:
            return False  # it was told to end; nobody has to be asked
        argv = ["gateway", "restart-handoff", "consume", "--expected-pid", str(process.pid), "--json"]
        try:
            answer = json.loads((await daemon.cli(argv, 30.0)).stdout)
        except (RegrowError, ValueError):
            return False
        return isinstance(answer, dict) and answer.get("status") == "accepted"

    def _follow(self, process: Process) -> None:
        """Notice its end; it is not ours, and nothing else is done."""
        with suppress(RegrowError):
            self._daemon.world.child = adopt(process)
            self._daemon.watch(self._daemon.world.child)
