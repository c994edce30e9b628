"""What `regrow check` looks at, one function for each thing."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

from regrow.cli.check import Findings
from regrow.cli.ground import USUAL_PORT, Wall, settings_for, unreadable, world_of
from regrow.cli.place import Place
from regrow.config.load import Loaded
from regrow.daemon.place import Place as Premises
from regrow.daemon.place import place_of
from regrow.host import ports
from regrow.host.openclaw import Installation
from regrow.model.errors import ConfigError, RegrowError
from regrow.observe import owner
from regrow.serve.client import NoAnswer, NotRunning, one

FULL = 50_000_000  # bytes below which nothing can be relied on
LITTLE = 1_000_000_000


async def examine(place: Place, found: Findings) -> None:
    """Look at everything; what cannot be looked at is itself a finding."""
    loaded = _configuration(place, found)
    try:
        premises = place_of(loaded.config)
    except RegrowError as problem:
        found.add("problem", "state", str(problem))
        return
    found.add("ok", "state", str(premises.folder))
    if premises.url:
        found.add("ok", "gateway", f"attached at {premises.url}; its files are its owner's affair")
    else:
        await _openclaw(loaded, premises, found)
        await _owner(loaded, premises, found)
        _permissions(premises, found)
    _disks(premises, found)
    _keeper(place, found)


def _configuration(place: Place, found: Findings) -> Loaded:
    try:
        loaded = settings_for(place)
    except ConfigError as error:
        for problem in error.problems:
            found.add("problem", "configuration", problem)
        found.add("note", "configuration", "the rest is looked at as if there were no configuration")
        from regrow.config.schema import Config

        return Loaded(config=Config())
    found.add("ok", "configuration", str(loaded.path) if loaded.path else "no file; the defaults are in force")
    for warning in loaded.warnings:
        found.add("note", "configuration", warning)
    return loaded


async def _openclaw(loaded: Loaded, premises: Premises, found: Findings) -> None:
    """OpenClaw, its Node, and what OpenClaw itself thinks of openclaw.json."""
    world = world_of(loaded.config, premises)
    installation: Installation | None = None
    try:
        installation = await world.installation()
    except RegrowError as problem:
        found.add("problem", "openclaw", str(problem))
    else:
        whose = "installed by regrow" if installation.managed else "found on this machine"
        found.add("ok", "openclaw", f"{installation.version}, {whose} ({installation.root})")
        found.add("ok", "node", f"{installation.node.version} ({installation.node.path})")
    problem_text = unreadable(world.config_path)
    if problem_text:
        found.add("problem", "openclaw.json", problem_text)
    elif installation is None:
        found.add("note", "openclaw.json", f"{world.config_path} is JSON5; without an OpenClaw nobody can say more")
    else:
        from regrow.act.settings import validate

        try:
            valid, problems = await validate(world)
        except RegrowError as error:
            valid, problems = None, [str(error)]
        for text in problems:
            found.add("note" if valid else "problem", "openclaw.json", text)
        if valid:
            found.add("ok", "openclaw.json", f"{world.config_path} is valid")
        elif valid is None and not problems:
            found.add("note", "openclaw.json", "OpenClaw gave no judgement")


async def _owner(loaded: Loaded, premises: Premises, found: Findings) -> None:
    """Who has the port and the state directory, and who else would supervise."""
    port = premises.port or USUAL_PORT
    seen = await owner.look_owner(
        owner.Premises(
            state_dir=premises.state_dir, config_path=premises.config_path, port=port,
            service=loaded.config.gateway.mode == "service",
        ),
        Wall(),
    )  # fmt: skip
    match seen.owner:
        case "none":
            free = "free" if ports.is_free(port) else "taken by something that cannot be seen"
            found.add("ok" if free == "free" else "problem", "port", f"{port} is {free}")
        case "listener":
            text = f"{port} is taken by {seen.detail}; stop that, or set [gateway] port"
            found.add("problem", "port", text)
        case "healer" if f"regrow {loaded.config.regrow.name} (pid " in seen.detail:
            found.add("ok", "owner", f"this keeper looks after it already: {seen.detail}")
        case "healer":
            found.add("note", "owner", f"another regrow looks after this gateway: {seen.detail}")
        case _:
            found.add("ok", "owner", f"a gateway runs: {seen.detail}; regrow watches it until `regrow adopt`")
    for rival in seen.rivals:
        found.add("note", "supervisors", f"{rival} would act too; while it does, regrow only watches")


def _permissions(premises: Premises, found: Findings) -> None:
    state, config = premises.state_dir, premises.config_path
    for path in (state, config):
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            found.add("problem", "permissions", f"{path} cannot be read and written by this user")
    if sys.platform != "win32" and config.is_file() and stat.S_IMODE(config.stat().st_mode) & 0o077:
        found.add("note", "permissions", f"others can read {config}, which may hold secrets: run chmod 600 {config}")


def _disks(premises: Premises, found: Findings) -> None:
    seen: set[int] = set()
    for folder in (premises.folder, premises.state_dir):
        if folder.exists() and folder.stat().st_dev not in seen:
            seen.add(folder.stat().st_dev)
            _room(folder, found)


def _room(folder: Path, found: Findings) -> None:
    free = shutil.disk_usage(folder).free
    left = f"{free // 1_000_000} MB left at {folder}"
    if free < FULL:
        found.add("problem", "disk", f"{left}; make room: nothing can be written reliably")
    elif free < LITTLE:
        found.add("note", "disk", f"{left}; that is little")
    else:
        found.add("ok", "disk", left)


def _keeper(place: Place, found: Findings) -> None:
    try:
        one(place.socket, {"op": "status"})
    except NotRunning:
        found.add("ok", "keeper", "none is running yet")
    except (NoAnswer, RegrowError) as error:
        found.add("note", "keeper", str(error))
    else:
        found.add("ok", "keeper", f"one is running; see `regrow status{place.option}`")
