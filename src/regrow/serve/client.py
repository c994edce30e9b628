"""Asks the running keeper over its socket; standard library only, so that a command starts at once."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regrow.model.errors import RegrowError

PATIENCE = 10.0  # seconds for the keeper to say its first word; it answers within milliseconds
LONGEST = 64 * 1024 * 1024  # bytes of one answer; a gateway's payload fits, nonsense without an end does not
_SHARED = Path("/tmp")  # noqa: S108  (where a socket lies whose own place has too long a name)


class NotRunning(RegrowError):  # noqa: N818  (a state of the world)
    """No keeper answers here."""


class NoAnswer(RegrowError):  # noqa: N818
    """A keeper is there, and its answer did not come or was not one."""


def ask(path: Path, request: dict[str, Any], *, patience: float | None = PATIENCE) -> Iterator[dict[str, Any]]:
    """Send one request and give every object the keeper answers with, until it closes or the caller stops.

    The request has been sent when the first object is asked for.

    Args:
        path: The keeper's socket.
        request: An object with `op`.
        patience: Seconds to wait for each object; None waits for ever.

    Raises:
        NotRunning: Nobody listens there.
        NoAnswer: It stayed silent, closed in the middle of a line, or said something that is not an object.
    """
    with _connect(path) as line:
        try:
            line.sendall(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            pass  # it said why before it closed: read that
        except OSError as error:
            raise NoAnswer(f"the keeper at {path} does not listen to us ({error}); try again") from error
        line.settimeout(patience)
        with line.makefile("rb") as answers:
            while raw := _read(answers, path, patience):
                yield _object(raw, path)


def one(path: Path, request: dict[str, Any], *, patience: float | None = PATIENCE) -> dict[str, Any]:
    """Send one request and give its one answer.

    Raises:
        NotRunning: Nobody listens there.
        NoAnswer: There was none.
    """
    answers = ask(path, request, patience=patience)
    try:
        for answer in answers:
            return answer
    finally:
        answers.close()  # type: ignore[attr-defined]
    raise NoAnswer(f"the keeper at {path} closed the line without an answer; `regrow logs --regrow` may tell why")


def _connect(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise NotRunning("regrow's control socket needs Unix sockets, which this Python does not have")
    _need_safe(path.parent)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(PATIENCE)
    try:
        line.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        line.close()
        raise NotRunning(f"no keeper is running here ({path}); start one with `regrow run`") from error
    except TimeoutError as error:
        line.close()
        raise NoAnswer(
            f"the keeper at {path} does not take calls; is it stopped? See `regrow logs --regrow`"
        ) from error
    except OSError as error:
        line.close()
        why = error.strerror or str(error)
        raise NotRunning(f"cannot reach the keeper at {path}: {why}; it answers only the user who runs it") from error
    return line


def _need_safe(folder: Path) -> None:
    """What we ask may hold secrets: nobody else may have put a socket of theirs there.

    Raises:
        NotRunning: Somebody else could have.
    """
    try:
        info = folder.lstat() if folder.parent == _SHARED else folder.stat()
    except OSError:
        return  # connecting tells it better
    me = os.getuid()
    theirs = info.st_uid != me and (me != 0 or folder.parent == _SHARED)  # root may ask any user's keeper
    if theirs or info.st_mode & 0o022:
        why = "it belongs to another user" if theirs else "others can write there"
        raise NotRunning(f"no keeper of yours can be trusted in {folder}: {why}; remove it or run chmod 700 on it")


def _read(answers: Any, path: Path, patience: float | None) -> bytes:
    try:
        raw: bytes = answers.readline(LONGEST)
    except TimeoutError as error:
        raise NoAnswer(f"the keeper at {path} has not answered for {patience:.0f} s; is it stopped?") from error
    except ConnectionError:
        return b""
    if raw and not raw.endswith(b"\n"):
        raise NoAnswer(f"the keeper at {path} went away in the middle of an answer; try again")
    return raw


def _object(raw: bytes, path: Path) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise NoAnswer(f"whatever listens at {path} is no keeper: its answer is not a JSON object")
    return answer
