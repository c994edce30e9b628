"""The one interface a healing domain implements, and the list of those that exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Setting = Literal["off", "observe", "ask", "auto"]


class DomainConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every domain's section has."""

    mode: Annotated[
        Setting,
        Meta(description="off: not even looked at; observe: propose, never act; ask: a person approves; auto"),
    ] = "auto"


class Domain(Struct, frozen=True):
    """A registered domain: its name is its section `[heal.<name>]`, its label and its file."""

    name: str
    config: type[DomainConfig]
    state: type[Struct]
    step: Callable[..., Any]


_REGISTRY: dict[str, Domain] = {}


def domain(
    name: str, *, state: type[Struct], config: type[DomainConfig]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated `step(state, fact, context) -> Step` as a healing domain.

    Args:
        name: Section, label and file name.
        state: The domain's own frozen record; its defaults are the first state.
        config: The domain's settings.
    """

    def register(step: Callable[..., Any]) -> Callable[..., Any]:
        _REGISTRY[name] = Domain(name, config, state, step)
        return step

    return register


def registry() -> dict[str, Domain]:
    """All known domains by name. Importing `regrow.decide.domains` registers the built-in ones."""
    return dict(_REGISTRY)
