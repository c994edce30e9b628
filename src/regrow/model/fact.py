"""What every fact has: the time at which it was so."""

from __future__ import annotations

from msgspec import Struct


class Fact(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="fact"):
    """One observation, at one time."""

    at: float
