"""The host's own health: a way out into the network, and memory that stalls tasks."""

from __future__ import annotations

import re
from pathlib import Path

from regrow.host.process import LINUX
from regrow.model.facts import HostSeen
from regrow.observe.base import Now, Poller, Post

EVERY = 10.0
PRESSED = 10.0  # per cent of the last ten seconds in which nothing could run for want of memory
_FULL = re.compile(r"^full avg10=([\d.]+)", re.MULTILINE)
_UP, _REJECT = 0x1, 0x200
_PROC = Path("/proc")


class Vitals:
    """Looks every ten seconds and posts what changed.

    Args:
        post: Takes the facts.
        clock: Tells the time.
        proc: Where the kernel's files are.
    """

    def __init__(self, post: Post, clock: Now, *, proc: Path = _PROC, every: float = EVERY) -> None:
        self._post = post
        self._clock = clock
        self._proc = proc
        self._told: tuple[bool | None, bool | None] | None = None
        self._poller = Poller("the host", self.look, every)

    async def run(self) -> None:
        """Look until cancelled."""
        await self._poller.run()

    async def look(self) -> None:
        """Look once."""
        now = (has_route(self._proc), is_pressed(self._proc))
        if now != self._told:
            self._told = now
            self._post(HostSeen(at=self._clock.now(), route=now[0], pressed=now[1]))


def has_route(proc: Path = _PROC) -> bool | None:
    """Whether the host has a way out.

    Returns:
        None if that cannot be told, and where there is only a loopback interface: such a container was meant so.
    """
    if not LINUX and proc == _PROC:
        return _has_address()
    v4, v6 = _read(proc / "net" / "route"), _read(proc / "net" / "ipv6_route")
    if v4 is None and v6 is None:
        return None
    if _leads_out_v4(v4 or "") or _leads_out_v6(v6 or ""):
        return True
    names = [line.partition(":")[0].strip() for line in (_read(proc / "net" / "dev") or "").splitlines()[2:]]
    return False if any(name and name != "lo" for name in names) else None


def is_pressed(proc: Path = _PROC) -> bool | None:
    """Whether memory is so short that everything stands still at times; None where the kernel does not say."""
    found = _FULL.search(_read(proc / "pressure" / "memory") or "")
    return None if found is None else float(found[1]) > PRESSED


def _leads_out_v4(table: str) -> bool:
    for line in table.splitlines()[1:]:
        row = line.split()
        # a tunnel may cover everything with two halves instead of one default
        whole = len(row) > 7 and row[1] in {"00000000", "00000080"} and row[7] in {"00000000", "00000080"}
        if whole and row[0] != "lo" and int(row[3], 16) & _UP and not int(row[3], 16) & _REJECT:
            return True
    return False


def _leads_out_v6(table: str) -> bool:
    for line in table.splitlines():
        row = line.split()
        if len(row) < 10 or row[9] == "lo" or row[1] not in {"00", "01", "03"} or set(row[0][1:]) != {"0"}:
            continue
        flags = int(row[8], 16)
        if flags & _UP and not flags & _REJECT:
            return True
    return False


def _has_address() -> bool | None:
    import psutil

    try:
        up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
        for name, addresses in psutil.net_if_addrs().items():
            for entry in addresses:
                text = entry.address
                if name in up and re.match(r"[0-9a-f]*[.:]", text) and not re.match(r"127\.|169\.254\.|::1|fe80", text):
                    return True
    except (psutil.Error, OSError):
        return None
    return False


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
