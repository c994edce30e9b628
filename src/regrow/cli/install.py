"""`regrow install`: installs OpenClaw for regrow, several versions side by side."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import click

from regrow.cli.place import json_option
from regrow.cli.words import complain, paint, say, show_json, span

if TYPE_CHECKING:
    from regrow.host.install import Progress
    from regrow.host.openclaw import Installation


@click.command("install")
@click.argument("version", required=False)
@click.option("--list", "listed", is_flag=True, help="List the installed versions and end.")
@click.option("--remove", is_flag=True, help="Remove VERSION, unless a gateway runs from it.")
@click.option("--node", type=click.Path(dir_okay=False), help="The Node.js to use; default: found by itself.")
@json_option
def command(*, version: str | None, listed: bool, remove: bool, node: str | None, as_json: bool) -> int:
    """Install OpenClaw VERSION (default: the one regrow is tested with) into regrow's own directory.

    A version is there completely or not at all; versions lie side by side and do not touch an OpenClaw of your own.

    Exit code: 0 it is there, 75 try again (the network failed), 69 it cannot be had; the message says why.
    """
    if listed:
        return _list(as_json=as_json)
    if remove:
        if version is None:
            raise click.UsageError("which version shall be removed? see `regrow install --list`")
        return _remove(version)
    fresh = asyncio.run(bring(version, node))
    if as_json:
        show_json({"version": fresh.version, "entry": fresh.entry, "node": fresh.node.path})
    else:
        say(f"{paint('✓', 'good')} OpenClaw {fresh.version} in {fresh.root}")
    return 0


async def bring(version: str | None = None, node: str | None = None) -> Installation:
    """Install a version and show how far it is.

    Raises:
        Fatal: It cannot be installed.
        Retryable: The network failed.
    """
    from regrow.host.install import PINNED, install

    line = ProgressLine()
    try:
        return await install(version or PINNED, progress=line.show, node=node)
    finally:
        line.end()


class ProgressLine:
    """One line that is written over on a terminal; elsewhere one line for each step."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._began = time.monotonic()
        self._phase = ""

    def show(self, progress: Progress) -> None:
        """Tell how far it is."""
        count = f" ({progress.done} packages)" if progress.done else ""
        text = f"{progress.phase}{count}: {progress.text}"
        if self._live:
            since = span(time.monotonic() - self._began)
            print(f"\r\x1b[K{since:>6}  {text[:90]}", end="", file=sys.stderr, flush=True)
        elif progress.phase != self._phase:
            print(text, file=sys.stderr, flush=True)
        self._phase = progress.phase

    def end(self) -> None:
        """Leave the line clean."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _list(*, as_json: bool) -> int:
    from regrow.host.install import PINNED
    from regrow.host.openclaw import installed

    found = installed()
    if as_json:
        show_json([{"version": version, "entry": str(entry)} for version, entry in found.items()])
        return 0
    for version, entry in found.items():
        say(f"{version:<16} {entry.parent}{'  (the one regrow is tested with)' if version == PINNED else ''}")
    if not found:
        say("none yet; `regrow install` brings one")
    return 0


def _remove(version: str) -> int:
    import shutil

    import psutil

    from regrow.host import paths
    from regrow.host.openclaw import installed

    if version not in installed():
        complain(f"OpenClaw {version} is not installed by regrow; see `regrow install --list`")
        return 1
    home = paths.openclaw_dir() / version
    for process in psutil.process_iter(["cmdline"]):
        if any(str(home) in part for part in process.info["cmdline"] or ()):
            complain(f"process {process.pid} runs OpenClaw {version}; stop it first")
            return 1
    doomed = home.with_name(f".removed-{version}")
    shutil.rmtree(doomed, ignore_errors=True)
    home.rename(doomed)  # from here on nobody finds half of it
    shutil.rmtree(doomed)
    say(f"OpenClaw {version} is removed")
    return 0
