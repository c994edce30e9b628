"""Which models are left alone, why and until when: deadlines only grow, an answer ends them."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from regrow.model.cooling import Cooling
from regrow.model.models import Cause

HINTED = 86_400.0  # a provider's own word is honoured up to a day
AUTH_MORE = 720.0  # minutes, with a flat cooldown
IN_A_ROW = 3  # failures of the network or a server before they count,
SPAN = 5.0  # over so many seconds at least

_FIRST = {"rate": 5.0, "overload": 5.0, "transport": 15.0, "money": 600.0, "auth": 600.0, "missing": 3600.0}
_MOST = {"rate": 300.0, "overload": 60.0, "transport": 300.0, "money": 21_600.0, "auth": 21_600.0, "missing": 3600.0}
_WIDE = ("money", "auth")  # they are the account's, whatever the model


class Block(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one model, or of all of a provider's.

    Attributes:
        cause: Of the last failure that counted.
        until: It is left alone until then.
        since: When it failed last.
        level: How often in a row it failed after a deadline had passed.
        row, row_since: Failures in a row that do not count yet, and since when.
    """

    cause: str = ""
    until: float = 0.0
    since: float = 0.0
    level: int = 0
    row: int = 0
    row_since: float = 0.0


class Cooldowns(Struct, frozen=True):
    """All blocks, by `provider/model`, or `provider/*`."""

    blocks: dict[str, Block] = {}


def hit(
    c: Cooldowns, provider: str, model: str, cause: Cause, at: float, *, hint: float | None, minutes: float | None
) -> Cooldowns:
    """A model failed.

    Args:
        c: What is known.
        provider, model: Which.
        cause: Why. The caller's own faults change nothing.
        at: When.
        hint: Seconds the provider named.
        minutes: A flat cooldown, if somebody set one; else it begins short and grows.
    """
    if cause == "caller":
        return c
    wide = c.blocks.get(f"{provider}/*", Block())
    if cause == "auth" and wide.cause == "money" and at < wide.until:
        return c  # a gateway that has switched an unpaid account off calls that a failed login
    key = f"{provider}/*" if cause in _WIDE else f"{provider}/{model}"
    block = c.blocks.get(key, Block())
    if cause == "transport":
        row_since = block.row_since if block.row else at
        block = replace(block, row=block.row + 1, row_since=row_since)
        if block.row < IN_A_ROW or at - row_since < SPAN:
            return Cooldowns({**c.blocks, key: block})
    standing = at < block.until
    level = block.level if standing else block.level + 1 if block.cause == cause else 1
    until = max(block.until, at + _length(cause, level, hint, minutes))
    cause_now = block.cause if standing and block.until >= until else cause
    return Cooldowns({**c.blocks, key: Block(cause=cause_now, until=until, since=at, level=level)})


def _length(cause: str, level: int, hint: float | None, minutes: float | None) -> float:
    told = min(hint or 0.0, HINTED)
    if minutes is not None and cause in ("rate", "money"):
        return max(told, minutes * 60.0)
    if minutes is not None and cause == "auth":
        return (minutes + AUTH_MORE) * 60.0
    return max(told, min(_MOST[cause], _FIRST[cause] * 2.0 ** (level - 1)))


def answered(c: Cooldowns, provider: str, model: str) -> tuple[Cooldowns, bool]:
    """A model answered: whatever was held against it is over. The second value: whether something was."""
    keys = {f"{provider}/*", f"{provider}/{model}"} & set(c.blocks)
    was = any(c.blocks[key].cause for key in keys)
    return Cooldowns({key: block for key, block in c.blocks.items() if key not in keys}), was


def cooling(c: Cooldowns, at: float) -> tuple[Cooling, ...]:
    """Everything that is left alone now."""
    found = []
    for key, block in c.blocks.items():
        if at < block.until:
            provider, _, model = key.partition("/")
            found.append(
                Cooling(provider=provider, model=model, cause=block.cause, until=block.until, since=block.since)
            )
    return tuple(found)


def is_cooling(blocks: tuple[Cooling, ...], name: str) -> bool:
    """Whether a model, as `provider/model`, is among them."""
    provider, _, model = name.partition("/")
    return any(block.covers(provider, model) for block in blocks)
