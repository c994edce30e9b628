"""Starts, ends and wakes the gateway process: spawned by us, or through the service that owns it."""

from __future__ import annotations

import secrets
import signal as signals
from pathlib import Path

from msgspec.structs import replace

from regrow.act import service
from regrow.act.proof import deliver, gone, proven
from regrow.act.world import World, marked
from regrow.host import locks, ports
from regrow.host.child import Child, adopt, spawn
from regrow.host.launch import restart_signal
from regrow.host.lives import Life, living
from regrow.host.process import alive, catches, command, send, tree
from regrow.model.actions import Continue, Kill, Revive, Start, Terminate
from regrow.model.errors import Fatal, Refused, RegrowError
from regrow.model.facts import ChildStarted
from regrow.model.gateway import Mode, Process
from regrow.model.verdicts import Verdict

UNIT_WITHIN = 60.0  # a unit may first run something of its own


async def start(world: World, action: Start) -> Verdict:
    """Start the gateway; ChildStarted has been posted when it worked.

    Raises:
        Refused: Somebody else holds the state directory or the port, or starting is not ours.
        Fatal: There is nothing to start.
        Retryable: The host is short of something.
    """
    mode = world.view().mode
    if mode is Mode.ATTACH:
        raise Refused("this gateway is attached: somebody else starts it", by="owner")
    if mode is Mode.SERVICE or world.unit is not None:
        # also when nothing runs and so nobody sees whose it was: a second one beside the service would fight it
        return await _start_unit(world, action)
    launch = await world.launch()
    _free_to_start(world, launch.port)
    version = (await world.installation()).version
    life = Life(
        port=launch.port, epoch=action.epoch, log=str(world.log), token=world.token or "", version=version,
        at=world.clock.now(),
    )  # fmt: skip
    life = _announced(world, life)
    child = spawn(launch.argv, marked(launch.env, life.mark), launch.cwd, world.log)
    take(world, child, life)
    kept = f"; {child.output_error}" if child.output_error else ""
    text = f"pid {child.process.pid}, OpenClaw {version}, port {launch.port}{kept}"
    return Verdict(result="done", detail=text)


def _announced(world: World, life: Life) -> Life:
    """The life with its mark, which lies on the disk: should we die while it is spawned, it tells that it is ours."""
    noted = world.noted
    if noted is not None and noted.next and _succeeds(life, noted):
        return replace(life, mark=noted.next)
    life = replace(life, mark=secrets.token_hex(8))
    world.note_life(life)
    return life


def _succeeds(life: Life, noted: Life) -> bool:
    """Whether the note about the life before tells everything about this one."""
    return all(getattr(life, name) == getattr(noted, name) for name in ("port", "log", "token", "version", "unit"))


def take(world: World, child: Child, life: Life, *, adopted: bool = False) -> None:
    """Make a process ours: watched, noted, announced."""
    if world.child is not None and world.child is not child:
        world.child.close()
    world.child = child
    world.on_child(child)
    world.post(
        ChildStarted(at=world.clock.now(), process=child.process, port=life.port, epoch=life.epoch, adopted=adopted)
    )
    world.note_life(replace(life, process=child.process, next=secrets.token_hex(8)))


def take_over(world: World, process: Process, *, port: int | None = None) -> Child:
    """Take over a running gateway without touching it: after a crash of ours, or because a person said so.

    Args:
        world: What is acted on; its port and token become those of that life.
        process: The life that is meant.
        port: Where it listens, if it is not noted.

    Raises:
        Refused: It is not proven to be the gateway of our state directory.
        Retryable: It is gone.
    """
    life = living(world.folder)
    if life is None or life.process != process:
        life = Life(
            process=process, port=port or world.view().port or world.port or 0, epoch=world.view().epoch,
            token=world.token or "", unit=world.unit.name if world.unit is not None else "", at=world.clock.now(),
        )  # fmt: skip
    if not proven(world, process) and not _is_noted(life, process):
        raise Refused(f"process {process.pid} is not proven to be the gateway of {world.state_dir}", by="identity")
    child = adopt(process, Path(life.log) if life.log else None)
    if life.port:
        world.port = life.port
    if life.token:
        world.know_token(life.token)
    take(world, child, life, adopted=True)
    return child


def _is_noted(life: Life, process: Process) -> bool:
    return bool(life.mark) and life.process == process and alive(process)


def _free_to_start(world: World, port: int) -> None:
    """Nobody may hold what the new process needs."""
    child = world.child
    if child is not None and not child.poll():
        raise Refused(f"our gateway still runs (pid {child.process.pid})", by="owner")
    # one that ended a moment ago, its end not even told yet, leaves no time for another to take its lock: who did it
    # all the same is met by the gateway itself, which refuses
    lock = locks.owner(world.state_dir, world.config_path) if child is None else None
    if lock is not None:
        raise Refused(f"a gateway of {world.state_dir} runs already (pid {lock.process.pid})", by="owner")
    if not ports.is_free(port):
        holder = ports.listener(port)
        who = f"process {holder.pid} ({' '.join(command(holder))[:120]})" if holder is not None else "another process"
        raise Refused(f"port {port} is taken by {who}; free it or set another `gateway.port`", by="port")


async def _start_unit(world: World, action: Start) -> Verdict:
    unit = world.unit
    if unit is None:
        raise Fatal("the gateway's service is not known: set `[gateway] unit`")
    before = world.child.process if world.child is not None else None
    await service.tell(unit, "start")
    process = await service.wait_main_process(unit, UNIT_WITHIN, other_than=before)
    life = Life(
        port=world.port or world.view().port or 0, epoch=action.epoch, token=world.token or "", unit=unit.name,
        at=world.clock.now(),
    )  # fmt: skip
    take(world, adopt(process), life)
    return Verdict(result="done", detail=f"{unit.name} runs as pid {process.pid}")


async def terminate(world: World, action: Terminate) -> Verdict:
    """Tell the gateway to end in good order."""
    process = action.process
    if world.view().mode is Mode.SERVICE and world.unit is not None:
        if not alive(process):
            return _already_gone(world, process)
        if not proven(world, process):
            raise Refused(f"process {process.pid} is not proven to be {world.unit.name}", by="identity")
        await service.tell(world.unit, "stop")
        return Verdict(result="done", detail=f"{world.unit.name} was told to stop")
    if not deliver(world, process, signals.SIGTERM):
        return _gone_text(process)
    return Verdict(result="done", detail=f"SIGTERM to pid {process.pid}")


async def kill(world: World, action: Kill) -> Verdict:
    """End the gateway without its consent, with what it started if it was ours."""
    process = action.process
    own = world.view().mode is Mode.OWN
    family = tree(process) if own and alive(process) and proven(world, process) else []
    if not deliver(world, process, signals.SIGKILL):
        return _gone_text(process)
    # they were seen as its descendants while it lived; each is named by pid and start time
    left = sum(_end(one) for one in family)
    return Verdict(result="done", detail=f"SIGKILL to pid {process.pid}" + (f" and {left} it had started" * bool(left)))


def _end(one: Process) -> bool:
    """Kill what a killed gateway had started, as far as it is ours to kill."""
    try:
        return send(one, signals.SIGKILL, proof=lambda _: True)
    except RegrowError:
        return False  # it changed its user: it stays, and the kill of the gateway is no failure


async def let_continue(world: World, action: Continue) -> Verdict:
    """Let a stopped gateway run again."""
    if not deliver(world, action.process, signals.SIGCONT):
        return _gone_text(action.process)
    return Verdict(result="done", detail=f"SIGCONT to pid {action.process.pid}")


async def revive(world: World, action: Revive) -> Verdict:
    """Wake a gateway that lives without a listener."""
    if not signal_restart(world, action.process):
        return _gone_text(action.process)
    return Verdict(result="done", detail=f"its restart signal was sent to pid {action.process.pid}")


def signal_restart(world: World, process: Process) -> bool:
    """Send the signal on which this version restarts inside its process.

    Returns:
        False if it had ended already.

    Raises:
        Refused: No signal is known to mean that, or the process does not listen to it.
    """
    version = world.running_version()
    number = restart_signal(version)
    if number is None:
        raise Refused(f"no signal is known on which OpenClaw {version or '(unknown)'} restarts", by="version")
    if alive(process) and catches(process, number) is False:
        raise Refused(f"process {process.pid} has no handler for {number.name}: it would end or do harm", by="version")
    return deliver(world, process, number)


def _already_gone(world: World, process: Process) -> Verdict:
    gone(world, process)
    return _gone_text(process)


def _gone_text(process: Process) -> Verdict:
    return Verdict(result="done", detail=f"process {process.pid} had ended already")
