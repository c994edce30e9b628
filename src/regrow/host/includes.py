"""The files that an openclaw.json is composed of: `$include` is followed as OpenClaw follows it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyjson5
from msgspec import Struct

INCLUDE = "$include"
CAP = 2 * 1024 * 1024  # OpenClaw reads no larger ones
DEEPEST = 10
_MOST = 1000  # files read for one configuration: two that include two, ten levels deep, are as many
_LEVELS = 200  # of nesting in one file; the parser uses one stack frame for each


class Part(Struct, frozen=True):
    """An included file; `content` is None if there is none, or if it cannot be read."""

    path: Path
    content: bytes | None


class Whole(Struct, frozen=True):
    """A configuration with all that it includes.

    Attributes:
        composed: It includes others, or tries to.
        parts: Those, in the order in which they are mentioned, each once.
        data: What they say together; None if that cannot be told.
    """

    composed: bool
    parts: tuple[Part, ...]
    data: Any

    def digest(self, own: str) -> str:
        """Names what all of them hold.

        Args:
            own: The digest of the file that includes them: if it includes none, that is the name.
        """
        if not self.parts:
            return own
        named = (hashlib.sha256(part.content).hexdigest() if part.content is not None else "-" for part in self.parts)
        return hashlib.sha256("\n".join((own, *named)).encode()).hexdigest()


def compose(path: Path, data: Any) -> Whole:
    """Find and read everything that a configuration includes. Never raises for what lies there.

    Args:
        path: The configuration file.
        data: What it says.
    """
    if not includes(data):
        return Whole(composed=False, parts=(), data=data)
    reader = _Reader()
    together = reader.resolve(data, path, (_plain(path),))
    parts = tuple(Part(at, content) for at, content in reader.read.items())
    return Whole(composed=True, parts=parts, data=None if reader.broken else together)


def includes(value: Any) -> bool:
    """Whether anything in it is taken from another file."""
    if isinstance(value, Mapping):
        return INCLUDE in value or any(map(includes, value.values()))
    return isinstance(value, list) and any(map(includes, value))


def changed_at(paths: Iterable[Path]) -> float:
    """When any of these files last changed: its content, or what lies in its place."""
    latest = 0.0
    for path in paths:
        with suppress(OSError):
            found = path.stat()
            # the change time: a file that was moved here may bring an old modification time along
            latest = max(latest, found.st_mtime, found.st_ctime)
    return latest


class _Reader:
    """Follows the includes of one configuration, reading each file once."""

    def __init__(self) -> None:
        self.read: dict[Path, bytes | None] = {}
        self.broken = False
        self._loads = 0

    def resolve(self, value: Any, path: Path, chain: tuple[Path, ...]) -> Any:
        """A value with its includes in place.

        Args:
            value: Any part of a file's content.
            path: The file.
            chain: The files that led here, this one included.
        """
        if isinstance(value, list):
            return [self.resolve(item, path, chain) for item in value]
        if not isinstance(value, Mapping):
            return value
        own = {key: self.resolve(part, path, chain) for key, part in value.items() if key != INCLUDE}
        if INCLUDE not in value:
            return own
        named = value[INCLUDE]
        if isinstance(named, str):
            found = self._load(named, path, chain)
        else:
            found = {}
            for name in named if isinstance(named, list) else (None,):
                found = merged(found, self._load(name, path, chain))
        return merged(found, own) if own else found

    def _load(self, name: Any, path: Path, chain: tuple[Path, ...]) -> Any:
        self._loads += 1
        if not isinstance(name, str) or "\0" in name or len(chain) > DEEPEST or self._loads > _MOST:
            return self._give_up()
        target = _plain(path.parent / name)
        if target in chain:
            return self._give_up()
        if target not in self.read:
            self.read[target] = _content(target)
        content = self.read[target]
        if content is None:
            return self._give_up()
        try:
            value = pyjson5.decode(content.decode("utf-8-sig"), _LEVELS)
        except (ValueError, RecursionError, pyjson5.Json5Exception):
            return self._give_up()
        return self.resolve(value, target, (*chain, target))

    def _give_up(self) -> Any:
        """The gateway will say what is wrong; what all say together is not known here."""
        self.broken = True
        return {}


def merged(first: Any, second: Any) -> Any:
    """Two values together: objects key by key, lists one after the other, of anything else the second."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        both = dict(first)
        for key, value in second.items():
            both[key] = merged(both[key], value) if key in both else value
        return both
    if isinstance(first, list) and isinstance(second, list):
        return [*first, *second]
    return second


def _plain(path: Path) -> Path:
    """Without `..` and `.`, by its name alone: a link stays a link, as for OpenClaw."""
    return Path(os.path.normpath(path.absolute()))


def _content(path: Path) -> bytes | None:
    with suppress(OSError, ValueError):
        # a named pipe in its place must not block us
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                content = file.read(CAP + 1)
                return content if len(content) <= CAP else None
    return None
