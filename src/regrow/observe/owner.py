"""Who holds the state directory and the port: nobody, we, a service, a stranger, another healer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from regrow.config.redaction import redact
from regrow.host import locks, ports, services
from regrow.host import process as processes
from regrow.host.lease import Lease, host_key
from regrow.link.address import Address
from regrow.model.errors import HandshakeError
from regrow.model.facts import OwnerSeen
from regrow.model.gateway import Mode, Process
from regrow.observe.base import Now
from regrow.observe.probes import NoAnswer, Visit
from regrow.observe.rivals import find_rivals

Whose = Literal["ours", "unit", "gateway"]
_TITLE = "openclaw-gateway"
_WITHIN = 2.0
_WIDEST = 200


class Premises(Struct, frozen=True, kw_only=True):
    """Where the gateway should be, and what is remembered about it.

    Attributes:
        state_dir: Its state directory.
        config_path: Its openclaw.json.
        port: The port it should have, if that is known.
        url: Its address if it is only attached to, else "".
        ours: Processes we spawned or adopted, this life or an earlier one.
        met: The process that is believed to be the gateway now, whosever it is.
        service: A service runs it by agreement: its unit is no rival then.
    """

    state_dir: Path
    config_path: Path
    port: int | None = None
    url: str = ""
    ours: tuple[Process, ...] = ()
    met: Process | None = None
    service: bool = False


async def look_owner(
    premises: Premises,
    clock: Now,
    *,
    unit_of: Callable[[Process], services.Unit | None] = services.gateway_unit,
) -> OwnerSeen:
    """Find out who holds the gateway's state directory and port. Changes nothing.

    Args:
        premises: What to look at.
        clock: Tells the time.
        unit_of: Finds the service whose main process this is.
    """
    if premises.url:
        try:
            where = str(Address.parse(premises.url))
        except HandshakeError:
            where = "an address that cannot be read"
        return OwnerSeen(at=clock.now(), owner="remote", mode=Mode.ATTACH, detail=where)
    seen = await asyncio.to_thread(_look, premises, unit_of)
    if seen.owner == "listener" and premises.port is not None and await _is_gateway(premises.port):
        seen = replace(seen, detail=f"an OpenClaw gateway of another state directory: {seen.detail}")
    return replace(seen, at=clock.now())


def _look(premises: Premises, unit_of: Callable[[Process], services.Unit | None]) -> OwnerSeen:
    """The same without the loop: it reads /proc and may ask the service manager."""
    process, port = _gateway(premises)
    unit = unit_of(process) if process is not None else None
    rivals = find_rivals(
        premises.state_dir, premises.config_path, gateway=process, unit="" if unit is None else unit.name,
        service=premises.service,
    )  # fmt: skip
    healer = _other_keeper(premises.state_dir)
    if healer:
        return OwnerSeen(at=0.0, owner="healer", process=process, port=port, detail=healer, rivals=rivals)
    if process is not None:
        mode = Mode.OWN if unit is None else Mode.SERVICE
        detail = _describe(process) if unit is None else f"{unit.name} ({unit.kind}), {_describe(process)}"
        whose: Whose = "ours" if process in premises.ours else "gateway" if unit is None else "unit"
        return OwnerSeen(at=0.0, owner=whose, process=process, port=port, mode=mode, detail=detail, rivals=rivals)
    if premises.port is not None:
        found = ports.listener(premises.port)
        if found is not None:
            detail = _describe(found)
            return OwnerSeen(at=0.0, owner="listener", process=found, port=premises.port, detail=detail, rivals=rivals)
        if not ports.is_free(premises.port):
            detail = "a process that another user runs, or that may not be seen"
            return OwnerSeen(at=0.0, owner="listener", port=premises.port, detail=detail, rivals=rivals)
    return OwnerSeen(at=0.0, owner="none", port=premises.port, rivals=rivals)


def _gateway(premises: Premises) -> tuple[Process | None, int | None]:
    """The live gateway of this state directory, and its port."""
    lock = locks.owner(premises.state_dir, premises.config_path)
    if lock is not None:
        return lock.process, lock.port or premises.port
    # A restart inside the process, and one that failed, leave it alive without a lock.
    for process in (premises.met, *premises.ours):
        if process is not None and processes.alive(process):
            return process, premises.port
    # Its lock may be gone while it lives (a cleaned temporary directory): its environment tells whose it is.
    if premises.port is not None:
        found = ports.listener(premises.port)
        if found is not None and _is_titled(found) and _serves(found, premises.state_dir):
            return found, premises.port
    return None, None


def _serves(process: Process, state_dir: Path) -> bool:
    said = processes.environ(process).get("OPENCLAW_STATE_DIR")
    return said is not None and Path(said).resolve() == state_dir.resolve()


def _is_titled(process: Process) -> bool:
    return _TITLE in " ".join(processes.command(process)[:3])


def _describe(process: Process) -> str:
    words = " ".join(processes.command(process)).strip() or "a process whose command may not be seen"
    whose = processes.uid(process)
    other = f", user {whose}" if whose is not None and hasattr(os, "getuid") and whose != os.getuid() else ""
    where = processes.environ(process).get("OPENCLAW_STATE_DIR") if _TITLE in words else None
    state = f", state directory {where}" if where else ""
    return f"{redact(words)[:_WIDEST]} (pid {process.pid}{other}{state})"


def _other_keeper(state_dir: Path) -> str:
    """Another regrow that holds this gateway's lease, described; "" if there is none."""
    holder = Lease(state_dir).holder()
    if holder is None:
        return ""
    if holder.host == host_key() and holder.process == processes.identify(os.getpid()):
        return ""
    where = "" if holder.host == host_key() else " on another host or in another container"
    return f"regrow {holder.name or 'keeper'} (pid {holder.pid}{where})"


async def _is_gateway(port: int) -> bool:
    """Whether what listens there answers like a gateway."""
    async with Visit(Address("ws", ports.LOOPBACK, port), _WITHIN) as visit:
        try:
            page = await visit.get("/healthz")
        except NoAnswer:
            return False
    return page.status == 200 and page.body is not None and page.body.get("status") == "live"
