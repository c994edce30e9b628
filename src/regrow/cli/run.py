"""`regrow run`: keeps a gateway alive in the foreground, and says what it does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regrow.cli.ground import boxed, has_sandbox
from regrow.cli.place import Place, placed
from regrow.cli.words import remark, say
from regrow.model.errors import Fatal, Refused, Retryable

if TYPE_CHECKING:
    from collections.abc import Callable

    from regrow.config.schema import Config

SANDBOX = "sandbox"  # the keeper's name unless told otherwise: its own state, socket and journal


@click.command("run")
@placed
@click.option("--dry-run", is_flag=True, help="Only say what would be done; nothing is started, stopped or changed.")
@click.option(
    "--leave-running", is_flag=True, help="When regrow ends the gateway lives on; the next run takes it over."
)
@click.option("--sandbox", is_flag=True, help="Tend a gateway of regrow's own, to try things: own state, config, port.")
@click.option("--install/--no-install", "bring", default=None, help="Install OpenClaw first if this machine has none.")
@click.option("--managed", is_flag=True, help="Run the OpenClaw that regrow installed, and install it if needed.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="text for people, json one event per line.")
def command(
    place: Place, *, dry_run: bool, leave_running: bool, sandbox: bool, bring: bool | None, managed: bool,
    log_format: str | None,
) -> int:  # fmt: skip
    """Keep a gateway alive, in the foreground, until Ctrl-C.

    Starts the gateway, or takes over the one that regrow started before; a gateway that somebody else started is
    only watched until `regrow adopt`. Ctrl-C or SIGTERM ends regrow and its gateway in good order; SIGHUP reads the
    configuration again.

    Exit code: 0 stopped, 69 the gateway cannot be had, 75 try again, 78 the configuration has problems.
    """

    if sandbox and place.name is None:
        place = place._replace(name=SANDBOX)
    sandbox = sandbox or has_sandbox(place)

    def settings() -> Config:
        loaded = place.load(
            regrow__dry_run=True if dry_run else None,
            regrow__leave_running=True if leave_running else None,
            regrow__log_format=log_format,
        )
        for warning in loaded.warnings:
            remark(warning)
        return boxed(loaded.config) if sandbox else loaded.config

    config = settings()
    # trying things out must work on a machine with nothing; anything else is installed on request only
    chosen = _with_openclaw(config, bring=bring if bring is not None else sandbox or managed, managed=managed)
    if sandbox:
        _explain_sandbox(chosen, place)
    return _keep(chosen, place, lambda: _chosen(settings(), chosen))


def _chosen(config: Config, before: Config) -> Config:
    """Settings read again, with the OpenClaw that was found at the start where none is configured."""
    from msgspec.structs import replace

    entry, node = config.gateway.entry or before.gateway.entry, config.gateway.node or before.gateway.node
    return replace(config, gateway=replace(config.gateway, entry=entry, node=node))


def _with_openclaw(config: Config, *, bring: bool, managed: bool) -> Config:
    """The configuration with an OpenClaw that can run, installed first if that is wanted.

    Raises:
        Fatal: There is none, with the next step.
    """
    from msgspec.structs import replace

    from regrow.host.openclaw import find_openclaw, installed

    gateway = config.gateway
    if gateway.mode in {"attach", "service"} or gateway.url is not None:
        return config  # somebody else starts it
    entry, node = (str(path) if path is not None else None for path in (gateway.entry, gateway.node))
    if managed:
        from regrow.host.install import PINNED
        from regrow.host.paths import openclaw_dir

        # the newest of ours; without any, the place where the next lines will find that there is none
        entry = str(next(iter(installed().values()), openclaw_dir() / PINNED))
    try:
        found = find_openclaw(entry, node)
    except Fatal as problem:
        if not bring:
            raise Fatal(
                f"{problem}\n  to try regrow without touching anything of yours: regrow run --sandbox\n"
                "  to have regrow install OpenClaw and go on:             regrow run --install"
            ) from problem
        from regrow.cli.install import bring as installing

        remark(f"installing OpenClaw, which takes a minute ({problem})")
        found = asyncio.run(installing(None, node))
    return replace(config, gateway=replace(gateway, entry=Path(found.entry), node=Path(found.node.path)))


def _explain_sandbox(config: Config, place: Place) -> None:
    if config.regrow.log_format == "json":
        return
    say(f"a sandbox: this gateway is regrow's own ({config.gateway.config}), on port {config.gateway.port}")
    say(f"from another terminal:  regrow status{place.option}   regrow top{place.option}")
    say("to tend your own:       regrow check, then regrow run")


def _keep(config: Config, place: Place, reload: Callable[[], Config]) -> int:
    from regrow.cli.voice import Voice
    from regrow.daemon import Daemon

    log = _log_to(config, place.state)
    voice = Voice(as_json=config.regrow.log_format == "json")

    async def keep() -> int:
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(voice.tick())
            try:
                code = await Daemon(config, say=voice.hear, reload=reload, config_file=place.file).run()
                voice.hear("regrow:stopped", {"pid": os.getpid()})
                return code
            finally:
                ticking.cancel()

    with contextlib.closing(log):
        try:
            return asyncio.run(keep())
        except BaseExceptionGroup as group:
            error = _first(group)
            if isinstance(error, Refused):
                raise Retryable(str(error)) from error  # another keeper is at work; it may end
            raise error from None
        finally:
            voice.end()


def _log_to(config: Config, state: Path) -> Any:
    """regrow's own log goes into a file: the terminal belongs to what a person wants to know."""
    from regrow.host.output import create
    from regrow.host.paths import private_dir
    from regrow.record.log import configure

    private_dir(state)
    try:
        file = os.fdopen(create(state / "logs" / "regrow.log"), "w", buffering=1, encoding="utf-8", errors="replace")
    except OSError as error:
        remark(f"regrow's own log goes to this terminal: {state / 'logs'} cannot be written ({error.strerror})")
        file = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1, errors="replace")
    configure(config.regrow.log_level, config.regrow.log_format, file)
    return file


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The error that ended everything, without the groups that structure wrapped around it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
