"""What is set up before a story begins: what becomes of each boot, and which domains decide."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

import regrow.decide.domains  # noqa: F401  (fills the registry)
from regrow.decide.domains.base import registry
from regrow.decide.engine import Setup
from regrow.decide.profiles import DEFAULT, Policy


class Fate(Struct, frozen=True, kw_only=True):
    """What will become of one boot.

    Attributes:
        ready: Seconds until it serves; None: it never does.
        dies: Seconds after the spawn at which it ends by itself; None: it does not.
        code: Its exit code then.
        fingerprint: Of that crash.
        cpu: CPU seconds the boot burns.
    """

    ready: float | None = 8.0
    dies: float | None = None
    code: int = 1
    fingerprint: str = ""
    cpu: float = 10.0


def setup(policy: Policy = DEFAULT, **configs: Any) -> Setup:
    """All registered domains with their default settings, or those given by name."""
    known = registry()
    return Setup(
        domains=tuple(known.values()),
        configs={name: configs.get(name, domain.config()) for name, domain in known.items()},
        policy=policy,
    )
