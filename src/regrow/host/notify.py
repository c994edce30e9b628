"""Tells systemd how we are: ready, alive, what we are doing, stopping. Without systemd it does nothing."""

from __future__ import annotations

import os
import socket


def notify(*lines: str) -> bool:
    """Send a state change such as `READY=1` or `STATUS=tending one gateway`.

    Never blocks and never fails: a watchdog that is told nothing is the service manager's concern, not ours.

    Returns:
        True if a service manager listens and took it.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)
        try:
            out.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), address)
        except OSError:
            return False
    return True


def watchdog_interval() -> float | None:
    """Seconds between two `WATCHDOG=1`, half of what systemd allows; None if it does not watch us."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        allowed = int(os.environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return allowed / 2e6 if allowed > 0 else None
