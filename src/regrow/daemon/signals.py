"""What a signal or a caller tells the keeper itself: end, end at once, read the settings again."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.config.reload import changes
from regrow.model.errors import RegrowError
from regrow.model.facts import Quitting
from regrow.model.gateway import Mode

if TYPE_CHECKING:
    from regrow.daemon.wiring import Daemon


LOOK_EVERY = 2.0  # seconds between two looks at our own configuration file


class Signals:
    """The signals of one keeper's process."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._quits = 0

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen to SIGINT, SIGTERM and SIGHUP."""
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.quit)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def remove(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give them back to whoever runs this loop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def quit(self) -> None:
        """End: the own gateway first, in good order. A second time: at once, and the gateway lives on."""
        daemon = self._daemon
        self._quits += 1
        if self._quits > 1:
            daemon.publish("regrow:leaving", {"why": "told twice; the gateway is left as it is"})
        daemon.mind.post(Quitting(at=daemon.clock.now(), leave_running=daemon.config.regrow.leave_running))

    @property
    def may_end(self) -> bool:
        """Whether we were told to end and nothing is left to wait for."""
        daemon = self._daemon
        view, ours = daemon.mind.view(), daemon.config.regrow
        held = view.process is not None and view.adopted and view.mode is Mode.OWN and not view.observed_only
        return self._quits > 0 and (not held or ours.leave_running or ours.dry_run or self._quits > 1)

    def _hang_up(self) -> None:
        self._daemon.begin(self._reload_loudly, "reload configuration")

    async def _reload_loudly(self) -> None:
        with suppress(RegrowError):
            await self.reload_config()

    async def watch(self) -> None:
        """Read the settings again whenever their file changed and has been at rest since the last look."""
        daemon = self._daemon
        known = seen = _stamp(daemon.config_file) if daemon.config_file is not None else None
        while daemon.config_file is not None:
            await asyncio.sleep(LOOK_EVERY)
            before, seen = seen, _stamp(daemon.config_file)
            if seen != known and seen == before:
                known = seen
                if daemon.config.regrow.config_watch:
                    await self._reload_loudly()

    async def reload_config(self) -> dict[str, Any]:
        """Read our settings again; the old ones stay if the new are not valid, and it is said.

        Raises:
            ConfigError: With every problem.
        """
        daemon = self._daemon
        if daemon.read_config is None:
            return {"changed": [], "needRestart": []}
        try:
            new = daemon.read_config()
        except RegrowError as error:
            daemon.publish("config:rejected", {"problems": str(error).splitlines()})
            raise
        found = changes(daemon.config, new)
        daemon.use(new)
        said = {
            "changed": [change.path for change in found],
            "needRestart": [change.path for change in found if not change.live],
        }
        daemon.publish("config:reloaded", said)
        return said


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file does; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
