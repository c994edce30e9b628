"""A model that is left alone for a while, because its provider refused or failed."""

from __future__ import annotations

from msgspec import Struct


class Cooling(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One block. A wider one (a whole account, a whole provider) has "*" where it does not distinguish.

    Attributes:
        provider: Of the model.
        profile: The account, as the gateway names it; "*" any.
        model: The model's id at the provider; "*" all of them.
        cause: The class: `rate`, `money`, `auth`, `missing`, `overload`, `transport`.
        until: Epoch seconds; until then it is left alone.
        since: When it was last hit.
        reason: For people, at most 160 characters.
    """

    provider: str
    model: str
    cause: str
    until: float
    since: float
    profile: str = "*"
    reason: str = ""

    def covers(self, provider: str, model: str) -> bool:
        """Whether a model is within this block, whatever account is used."""
        return self.provider == provider and self.model in ("*", model)
