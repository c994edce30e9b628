"""How `regrow run` speaks: a line per event of interest, a moving line while one waits, or JSON for programs."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any

from regrow.cli.narrate import printed, tell
from regrow.cli.words import say, show_json, span

RARELY = 10  # seconds between two "still starting" lines where a line cannot move
_SPIN = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Voice:
    """Tells events on standard output.

    Args:
        as_json: One JSON object per event, nothing else.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._live = sys.stdout.isatty() and not as_json
        # under systemd every line gets its time from the journal
        self._timed = "JOURNAL_STREAM" not in os.environ or self._live
        self._waiting = ""
        self._since = 0.0
        self._turn = 0

    def hear(self, type_: str, data: dict[str, Any]) -> None:
        """Tell one event."""
        at = round(time.time() * 1000)
        if self._json:
            show_json({"at": at, "type": type_, "data": data}, indent=None)
            return
        self._watch(type_, data)
        line = tell(type_, data)
        if line is not None:
            self._clear()
            say(printed(line, at if self._timed else None))

    async def tick(self) -> None:
        """While something is waited for, show that it is, once a second; until cancelled."""
        while True:
            await asyncio.sleep(1)
            if self._waiting and not self._json:
                self._show()

    def end(self) -> None:
        """Leave the terminal clean."""
        self._waiting = ""
        self._clear()

    def _watch(self, type_: str, data: dict[str, Any]) -> None:
        phase = data.get("phase") if type_ == "status" else None
        if type_ == "gateway:ready" or (phase and phase not in {"starting", "stopping"}):
            self._waiting = ""
        elif phase:
            waiting = "starting" if phase == "starting" else "finishing"
            if waiting != self._waiting:
                self._waiting, self._since = waiting, time.monotonic()

    def _show(self) -> None:
        waited = time.monotonic() - self._since
        text = f"{self._waiting}… {span(waited)}"
        if self._live:
            self._turn += 1
            print(f"\r\x1b[K{_SPIN[self._turn % len(_SPIN)]} {text}", end="", flush=True)
        elif round(waited) % RARELY == 0 and waited >= RARELY / 2:
            say(text)

    def _clear(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", flush=True)
