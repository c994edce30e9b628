"""Chores beside the deciding: the lease's heartbeat, the status file, the memory, the journal's size, the watchdog."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from regrow.daemon.memory import Memory
from regrow.host.notify import notify, watchdog_interval
from regrow.host.private import write_private
from regrow.model.actions import LookOwner
from regrow.model.errors import RegrowError
from regrow.model.facts import OwnerSeen

if TYPE_CHECKING:
    from regrow.daemon.wiring import Daemon

RETAIN = 3600.0
SETTLE = 0.2  # several changes at once are one status file


class Upkeep:
    """Runs the chores of one keeper."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._changed = asyncio.Event()
        self._want = asyncio.Queue[tuple[Literal["running", "stopped"], float, str]]()
        self.wanted: tuple[str, float] | None = None
        self._claimed = asyncio.Event()

    def claim(self) -> None:
        """We act on a gateway from now on: hold its lease at once."""
        self._claimed.set()

    def changed(self) -> None:
        """The status file is out of date."""
        self._changed.set()

    def want_changed(self, want: Literal["running", "stopped"], at: float, by: str) -> None:
        """What a person wants has changed: it must outlive us."""
        self._want.put_nowait((want, at, by))

    async def settled(self) -> None:
        """Wait until what a person wants is on disk."""
        await self._want.join()

    def write_memory(self, memory: Memory) -> None:
        """Write it down at once: small, and no wait for the disk."""
        path = self._daemon.place.memory
        try:
            write_private(path, msgspec.json.encode(memory))
        except OSError as error:
            text = f"{path} cannot be written: {error.strerror or error}; make room or give access"
            self._daemon.publish("trouble", {"what": text})

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._status_file())
            tasks.create_task(self._desires())
            tasks.create_task(self._retain())
            tasks.create_task(self._watchdog())

    async def _beat(self) -> None:
        """Hold the lease; without it we only watch."""
        daemon = self._daemon
        while True:
            local = not daemon.place.url and not daemon.config.regrow.dry_run and daemon.place.state_dir.is_dir()
            if local:
                await self._hold()
            with suppress(TimeoutError):
                async with asyncio.timeout(daemon.policy.lease_every):
                    await self._claimed.wait()
            self._claimed.clear()

    async def _hold(self) -> None:
        daemon = self._daemon
        view = daemon.mind.view()
        watched = view.process is not None and not view.adopted
        try:
            if watched:  # whoever may act on it needs the lease; it is taken when a person allows us to
                daemon.lease.release()
                held = daemon.lease.holder() is None
            else:
                held = (daemon.lease.held and daemon.lease.renew()) or daemon.lease.take()
            if held and view.owner == "healer":
                daemon.executor.submit(LookOwner(reason="the keeper that looked after it is gone"))
            if held:
                return
        except RegrowError as error:
            daemon.publish("trouble", {"what": str(error)})
            return
        holder = daemon.lease.holder()
        detail = f"regrow {holder.name or 'keeper'} (pid {holder.pid})" if holder is not None else "another regrow"
        if view.owner != "healer":
            daemon.mind.post(
                OwnerSeen(at=daemon.clock.now(), owner="healer", process=view.process, port=view.port, detail=detail)
            )

    async def _status_file(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(SETTLE)
            self._changed.clear()
            await self._daemon.snapshot.save(self._daemon.status())

    async def _desires(self) -> None:
        while True:
            want, at, by = await self._want.get()
            try:
                await self._daemon.journal.set_desired(want, at=at, by=by)
            finally:
                self._want.task_done()  # whoever waits for it must not wait for ever

    async def _retain(self) -> None:
        daemon = self._daemon
        while True:
            await asyncio.sleep(RETAIN)
            settings = daemon.config.regrow
            await daemon.journal.retain(days=settings.journal_days, mb=settings.journal_mb)

    async def _watchdog(self) -> None:
        """Feed systemd's watchdog only while the deciding loop takes facts in."""
        every = watchdog_interval()
        if every is None:
            return
        while True:
            before = self._daemon.mind.taken
            await asyncio.sleep(every)
            if self._daemon.mind.taken > before:
                notify("WATCHDOG=1")
