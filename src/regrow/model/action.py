"""What every action has: a reason, a key, a risk, and whom it is for."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct

Risk = Literal["look", "gentle", "disruptive", "destructive"]
Lane = Literal["gateway", "sessions", "probes", "people"]
"""Actions of one lane are done one after the other; a person's turn does not wait behind a restart."""


class Action(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="action"):
    """One wish. `reason` is for people; `human` marks an explicit request, `request` names it.

    `domain` and `subject` name the episode it is for: the domain that wished it, and what is ill.
    """

    reason: str
    human: bool = False
    request: str = ""
    epoch: int = 0
    domain: str = ""
    subject: str = ""

    risk: ClassVar[Risk] = "look"
    lane: ClassVar[Lane] = "gateway"
    limit: ClassVar[float] = 30.0  # seconds after which the executor gives the action up
    settles: ClassVar[float] = 60.0  # seconds after which its effect can be judged: what looks good sooner may be grace

    @property
    def kind(self) -> str:
        """The action's name, as journalled."""
        return str(self.__struct_config__.tag)

    @property
    def key(self) -> str:
        """Equal keys collapse: the same thing is not done twice at once."""
        return self.kind


class Targeted(Action, frozen=True):
    """An action on one subject: the same may be done to several subjects at once."""

    @property
    def key(self) -> str:
        """One per subject."""
        return f"{self.kind}:{self.subject}"
