"""The keeper itself: one gateway tended, from the first look to the last word."""

from regrow.daemon.wiring import Daemon

__all__ = ["Daemon"]
