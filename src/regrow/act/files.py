"""openclaw.json as a file: read, compared, described without secrets, replaced whole with what was there kept."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyjson5

from regrow.config.lines import redact_lines
from regrow.config.redaction import HIDDEN, names_secret, redact
from regrow.host import private
from regrow.host.includes import INCLUDE, compose, includes
from regrow.model.errors import Refused, Retryable

_CAP = 16 * 1024 * 1024
_DIFF_LINES = 200


def digest_of(content: bytes) -> str:
    """Names a content."""
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> bytes | None:
    """A file's bytes, or None if there is none.

    Raises:
        Retryable: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_CAP)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Retryable(f"{path} cannot be read: {error.strerror or error}") from None


def parsed(content: bytes | None) -> dict[str, Any] | None:
    """The configuration a content holds, or None if it holds none."""
    if content is None:
        return None
    try:
        value = pyjson5.decode_buffer(content, wordlength=0)
    except (ValueError, RecursionError, pyjson5.Json5Exception):
        return None
    return value if isinstance(value, dict) else None


def leaves(value: Any, at: str = "") -> dict[str, Any]:
    """Every setting by its path; lists count as one value."""
    if isinstance(value, Mapping) and value:
        found: dict[str, Any] = {}
        for key, part in value.items():
            found |= leaves(part, f"{at}.{key}" if at else str(key))
        return found
    return {at: value} if at else {}


def has_include(content: bytes | None) -> bool:
    """Whether it is composed of several files, of which we would replace only one."""
    value = parsed(content)
    if value is None:
        return content is not None and INCLUDE.encode() in content
    return includes(value)


def parts_of(path: Path) -> tuple[Path, ...]:
    """A configuration file and those it includes."""
    with suppress(Retryable):
        return (path, *(part.path for part in compose(path, parsed(read(path))).parts))
    return (path,)


def target_of(path: Path) -> Path:
    """The file to replace: where a link leads.

    Raises:
        Refused: It lies where files are managed by something else.
    """
    try:
        target = path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError):
        raise Refused(f"{path} is a link that leads nowhere; mend it first", by="place") from None
    folder = target.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        where = f"a link to {target}, which" if path.is_symlink() else f"in {folder}, which"
        raise Refused(f"{path} is {where} cannot be written: change it where it is managed", by="place")
    return target


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file whole, with the owner and mode it had (0600 if there was none).

    Args:
        path: The file.
        content: What it shall hold.

    Raises:
        Retryable: The disk is full, or it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.regrow")
    try:
        before = path.stat() if path.exists() else None
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            if before is not None and hasattr(os, "fchown"):
                with suppress(PermissionError):
                    os.fchown(handle, before.st_uid, before.st_gid)
                os.fchmod(handle, stat.S_IMODE(before.st_mode))
            file.write(content)
            file.flush()
            os.fsync(handle)
        fresh.replace(path)
        private.sync_folder(path.parent)
    except OSError as error:
        raise Retryable(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        fresh.unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a file of our own, private and on the disk.

    Raises:
        Retryable: The disk is full, or it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private.write_private(path, content, durable=True)
    except OSError as error:
        raise Retryable(f"{path} cannot be written: {error.strerror or error}") from None


def diff(before: bytes | None, after: bytes | None, *, names: tuple[str, str] = ("before", "after")) -> str:
    """A unified diff for people. Secrets are hidden; one that changed is said to have changed."""
    old, new = parsed(before), parsed(after)
    hidden_old, hidden_new = _hide(old, new), _hide(new, old, newer=True)
    ours, theirs = _shown(hidden_old, before), _shown(hidden_new, after)
    lines = list(difflib.unified_diff(ours, theirs, *names, lineterm="", n=2))
    if len(lines) > _DIFF_LINES:
        lines = [*lines[:_DIFF_LINES], f"… {len(lines) - _DIFF_LINES} more lines"]
    return "\n".join(lines)


def _shown(value: Any, content: bytes | None) -> list[str]:
    if value is not None:
        return json.dumps(value, indent=2, ensure_ascii=False, default=str).splitlines()
    if content is None:
        return []
    return redact_lines(content.decode(errors="replace").splitlines())


def _hide(value: Any, other: Any, *, newer: bool = False, name: str = "") -> Any:
    """The same value without secrets, judged by their names and by their shape."""
    if isinstance(value, Mapping):
        peer = other if isinstance(other, Mapping) else {}
        inherited = name if names_secret(name) else ""
        return {
            redact(str(key)): _hide(part, peer.get(key), newer=newer, name=inherited or str(key))
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_hide(part, None, newer=newer, name=name) for part in value]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    text = f'"{name}": "{value}"'
    if not names_secret(name) and redact(text) == text:
        return value
    return f"{HIDDEN} (another one)" if newer and other is not None and other != value else HIDDEN
