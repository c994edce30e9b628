"""Tells a new life of ours what outlived the last one: wishes, proven configurations, what was left undone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regrow import __version__
from regrow.act.settings import COMPOSED
from regrow.model.facts import ChangesKept, ConfigKept, Started
from regrow.model.verdicts import Verdict

if TYPE_CHECKING:
    from regrow.daemon.wiring import Daemon


async def awake(daemon: Daemon) -> Started:
    """The first fact of this life; what else is known is posted and told on the way."""
    journal, at, dry_run = daemon.journal, daemon.clock.now(), daemon.config.regrow.dry_run
    for kept in await journal.kept_configs():
        composed = Path(kept.path).stem.endswith(COMPOSED)
        daemon.mind.post(ConfigKept(at=at, digest=kept.digest, version=kept.version, composed=composed))
    standing = await journal.standing_changes()
    if standing:
        daemon.mind.post(ChangesKept(at=at, changes=tuple(standing)))
    for intent in await journal.open_intents():
        # shown once, never repeated: nobody knows whether it was done
        data = {"key": intent.key, "intendedAt": intent.intended_at, "action": intent.action}
        daemon.publish("intent:open", data)
        journal.conclude(intent.id, Verdict(result="inconclusive", detail="regrow ended before it saw the outcome"))
    for episode in await journal.open_episodes():
        # an earlier life of ours saw it; it is opened anew if it still stands
        journal.store_episode(replace(episode, state="ended", closed=at))
    daemon.publish("regrow:started", {"version": __version__, "pid": os.getpid(), "dryRun": dry_run})
    desired = await journal.desired()
    if desired is None:
        return Started(at=at, dry_run=dry_run)
    return Started(at=at, want=desired.want, want_since=desired.since, want_by=desired.by, dry_run=dry_run)
