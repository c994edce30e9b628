"""What changed, and whether it can change live."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from regrow.config.schema import Config

Applies = Literal["at once", "next gateway start", "regrow restart"]

# what is not named needs a restart of regrow; a domain reads its settings with every fact
_APPLIES: dict[str, Applies] = {
    "heal": "at once",
    "healing": "at once",
    "github": "at once",
    "regrow.journal_days": "at once",
    "regrow.journal_mb": "at once",
    "regrow.leave_running": "at once",
    "regrow.config_watch": "at once",
    "gateway.entry": "next gateway start",
    "gateway.node": "next gateway start",
    "gateway.args": "next gateway start",
    "gateway.env": "next gateway start",
    "gateway.restarts": "next gateway start",
}


class Change(Struct, frozen=True):
    """One setting that differs. `live`: regrow itself goes on with it, without being restarted."""

    path: str
    applies: Applies

    @property
    def live(self) -> bool:
        """Whether no restart of regrow is needed."""
        return self.applies != "regrow restart"


def applies(path: str) -> Applies:
    """When a change of the setting with this dotted path takes effect."""
    return _APPLIES.get(path) or _APPLIES.get(path.partition(".")[0]) or "regrow restart"


def changes(old: Config, new: Config) -> list[Change]:
    """Every setting that differs, by its dotted path; values are left out because some are secret."""
    return [Change(path, applies(path)) for path in _differing("", old, new)]


def _differing(path: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, Struct) and type(old) is type(new):
        prefix = f"{path}." if path else ""
        return [
            found
            for f in msgspec.structs.fields(old)
            for found in _differing(f"{prefix}{f.name}", getattr(old, f.name), getattr(new, f.name))
        ]
    return [] if old == new else [path]
