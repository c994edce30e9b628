"""Who tells people outside: the parts that file issues, given what they need of the keeper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regrow.act.issues import Tracker
from regrow.record.log import clean

if TYPE_CHECKING:
    from regrow.daemon.wiring import Daemon


def tracker(daemon: Daemon) -> Tracker:
    """What files issues for this keeper's gateway, with the settings as they are at that moment."""
    return Tracker(
        lambda: daemon.config.github,
        daemon.journal,
        mark=lambda subject: daemon.pseudonym(f"issue:{subject}").removeprefix("session-"),
        tidy=lambda text: str(clean(text, name=daemon.pseudonym)),
        now=daemon.clock.now,
        say=daemon.publish,
    )
