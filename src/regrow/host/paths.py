"""Where regrow keeps its files: configuration, state, cache, installations, sandboxes, socket.

Everything is private to the user (0700). `REGROW_HOME` moves all of it below one directory, which is how a
sandbox, a container or a test gets a regrow of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import platformdirs

from regrow.model.errors import Fatal

SOCKET_PATH_LIMIT = 103  # sun_path holds 104 bytes on macOS and 108 on Linux, with the closing NUL
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def data_dir() -> Path:
    """What regrow installs and makes: managed OpenClaw versions, sandboxes."""
    return _base("data")


def cache_dir() -> Path:
    """What may be deleted at any time: it is made again."""
    return _base("cache")


def state_dir(name: str = "default") -> Path:
    """The memory of one keeper: journal, ledger, kept configurations."""
    return _base("state") / checked_name(name)


def openclaw_dir() -> Path:
    """The managed OpenClaw versions, one directory each."""
    return data_dir() / "openclaw"


def sandbox_dir(name: str = "sandbox") -> Path:
    """The home of a gateway of regrow's own, for trying things without touching anybody's gateway."""
    return data_dir() / "sandbox" / checked_name(name)


def socket_path(state: Path) -> Path:
    """The keeper's socket. It depends on the state directory alone, so that every shell finds the same one.

    Args:
        state: The keeper's state directory.

    Returns:
        `keeper.sock` inside it, or a short path in /tmp when that would not fit into a socket address.
    """
    path = state.absolute() / "keeper.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path("/tmp") / f"regrow-{_uid()}" / f"{digest}.sock"  # noqa: S108  (fixed: TMPDIR differs between shells)


def private_dir(path: Path) -> Path:
    """Make a directory that only this user may enter, and prove that it is one.

    Raises:
        Fatal: It cannot be made, or belongs to somebody else, or is a link somebody planted.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = path.lstat() if path.parent == Path("/tmp") else path.stat()  # noqa: S108
        if hasattr(os, "getuid"):
            if info.st_uid != _uid() or not path.is_dir():
                raise Fatal(f"{path} belongs to another user: remove it, or set REGROW_HOME to a directory of yours")
            if info.st_mode & 0o077:
                path.chmod(0o700)
    except OSError as error:
        raise Fatal(
            f"cannot use the directory {path}: {error.strerror or error}; set REGROW_HOME to one that works"
        ) from error
    return path


def checked_name(name: str) -> str:
    """A keeper's or sandbox's name, which becomes part of paths and unit names.

    Raises:
        Fatal: It has characters that do not belong there.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise Fatal(
            f"{name!r} is not a name: use letters, digits, '.', '_' and '-', at most 64, a letter or digit first"
        )
    return name


def _base(kind: str) -> Path:
    home = os.environ.get("REGROW_HOME")
    if home:
        return Path(home).expanduser().absolute() / kind
    dirs = platformdirs.PlatformDirs("regrow", appauthor=False)
    match kind:
        case "data":
            return Path(dirs.user_data_dir)
        case "cache":
            return Path(dirs.user_cache_dir)
        case _:
            return Path(dirs.user_state_dir)


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
