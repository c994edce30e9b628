"""A configuration file as it lies on disk: read safely whatever lies there, its bytes named by their digest."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyjson5
from msgspec import Struct

from regrow.host.includes import INCLUDE, compose

CAP = 10 * 1024 * 1024
_DEEPEST = 200  # levels of nesting; the parser would use one stack frame for each
_CLOBBERED = re.compile(r"\.(?:clobbered|rejected)\.")
_KEPT = 20


class Content(Struct, frozen=True):
    """What was found.

    Attributes:
        digest: SHA-256 of the bytes, those of included files with them; "" if there is none or it cannot be read.
        own: SHA-256 of this one file's bytes.
        missing: There is no file.
        parsed: It is JSON5; True too if it could not be read: then nothing is known against it.
        data: What it says, with what it includes if that could be read; None if unknown.
        problems: What is wrong with it.
        includes: Parts of it lie in other files.
        parts: Those files.
        clobbered: Copies beside it that the gateway put aside.
    """

    digest: str = ""
    own: str = ""
    missing: bool = False
    parsed: bool = False
    data: Any = None
    problems: tuple[str, ...] = ()
    includes: bool = False
    parts: tuple[Path, ...] = ()
    clobbered: tuple[str, ...] = ()


def signature(path: Path, parts: Iterable[Path] = ()) -> object:
    """Changes whenever the file, what a link leads to, its directory, or a file it includes changes.

    Costs microseconds for each file.
    """
    seen: list[tuple[int, ...]] = []
    looks = [path.stat, path.lstat, path.parent.stat]
    for part in parts:
        looks += [part.stat, part.lstat]
    for look in looks:
        try:
            found = look()
        except OSError as error:
            seen.append((error.errno or 0,))
        else:
            seen.append((found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode))
    return tuple(seen)


def read_config(path: Path) -> Content:
    """Read and parse it. Never raises for what lies there."""
    aside = _aside(path)
    try:
        raw, digest = _read(path)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return Content(missing=True, problems=(f"there is no file {path}",), clobbered=aside)
        why = os.strerror(error.errno) if error.errno else str(error)
        return Content(parsed=True, problems=(f"{path} cannot be read: {why}",), clobbered=aside)
    if raw is None:
        problem = f"{path} is larger than {CAP // 1024 // 1024} MiB and was not read"
        return Content(digest=digest, parsed=True, problems=(problem,), clobbered=aside)
    try:
        text = raw.decode("utf-8-sig")
        data: Any = pyjson5.decode(text, _DEEPEST)
    except UnicodeDecodeError:
        return Content(digest=digest, problems=("it is not UTF-8 text",), clobbered=aside)
    except (pyjson5.Json5Exception, RecursionError) as error:
        maybe = INCLUDE.encode() in raw
        return Content(digest=digest, problems=(_explain(error, raw),), includes=maybe, clobbered=aside)
    if not isinstance(data, dict):
        return Content(digest=digest, problems=("it holds no object {…}",), clobbered=aside)
    whole = compose(path, data)
    return Content(
        digest=whole.digest(digest), own=digest, parsed=True, data=data if whole.data is None else whole.data,
        includes=whole.composed, parts=tuple(part.path for part in whole.parts), clobbered=aside,
    )  # fmt: skip


def _read(path: Path) -> tuple[bytes | None, str]:
    # a named pipe in its place must not block us
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file")
        raw = file.read(CAP + 1)
        summed = hashlib.sha256(raw)
        if len(raw) <= CAP:
            return raw, summed.hexdigest()
        while more := file.read(1024 * 1024):
            summed.update(more)
        return None, summed.hexdigest()


def _aside(path: Path) -> tuple[str, ...]:
    with suppress(OSError):
        names = [entry.name for entry in path.parent.iterdir() if entry.name.startswith(path.name + ".")]
        return tuple(sorted(name for name in names if _CLOBBERED.search(name[len(path.name) :]))[-_KEPT:])
    return ()


def _explain(error: Exception, raw: bytes) -> str:
    """Where it stops being JSON5. The parser's own message may quote the file, which may hold secrets."""
    if not raw.strip():
        return "it is empty"
    found = re.search(r"near (\d+)", str(error.args[0]) if error.args else "")
    if found is None:
        return "it is not JSON5"
    before = raw.decode("utf-8-sig", "replace")[: int(found[1])]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1)
    what = "it ends too early" if isinstance(error, pyjson5.Json5EOF) else "it is not JSON5"
    return f"{what}: line {line}, column {column}"
