"""Proves that a process is the gateway we mean, before any signal; a pid alone proves nothing."""

from __future__ import annotations

import signal as signals
from contextlib import suppress
from pathlib import Path

from regrow.act.world import World
from regrow.host import locks
from regrow.host.lives import MARK, recall
from regrow.host.process import alive, command, environ, send
from regrow.model.errors import Refused
from regrow.model.facts import ChildExited
from regrow.model.gateway import Mode, Process


def proven(world: World, process: Process) -> bool:
    """Whether this very life is the gateway of our state directory: pid and start time, and one more witness.

    We hold its handle, or it carries the mark we gave it, or its own lock file in our state directory names it,
    or its environment names our state directory and its command line is a gateway's.
    """
    if not alive(process):
        return False
    child = world.child
    if child is not None and child.process == process:
        return True
    life = recall(world.folder)
    if life is not None and life.process == process and life.mark and environ(process, (MARK,)) == {MARK: life.mark}:
        return True
    lock = locks.owner(world.state_dir, world.config_path)
    if lock is not None and lock.process == process:
        return True
    # what a gateway starts inherits its environment: the command line tells them apart
    named = environ(process).get("OPENCLAW_STATE_DIR")
    return named is not None and _same(Path(named), world.state_dir) and _is_gateway(command(process))


def deliver(world: World, process: Process, signal: signals.Signals) -> bool:
    """Signal a proven gateway process.

    Returns:
        False if it had ended already.

    Raises:
        Refused: It is not proven to be our gateway, or not ours to signal at all.
        Fatal: It belongs to another user.
    """
    if world.view().mode is Mode.ATTACH:
        raise Refused("this gateway is attached: it is never signalled", by="owner")
    if not alive(process):
        gone(world, process)
        return False
    if send(process, signal, proof=lambda found: proven(world, found)):
        return True
    if alive(process):
        raise Refused(
            f"process {process.pid} is not proven to be the gateway of {world.state_dir}; nothing was sent to it",
            by="identity",
        )
    gone(world, process)
    return False


def gone(world: World, process: Process) -> None:
    """Tell that a process has ended if nobody else watches it."""
    if world.child is None or world.child.process != process:
        world.post(ChildExited(at=world.clock.now(), process=process))


def _is_gateway(argv: list[str]) -> bool:
    """A gateway retitles itself `openclaw-gateway`; before that it is Node running `openclaw.mjs gateway`."""
    title = " ".join(argv)
    return "openclaw-gateway" in title or ("openclaw" in title and "gateway" in argv)


def _same(one: Path, other: Path) -> bool:
    with suppress(OSError, ValueError):
        return one.resolve() == other.resolve()
    return False
