"""Structured logs with secrets removed."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Literal, TextIO

import msgspec
import structlog

from regrow.config.redaction import HIDDEN, forget_secrets, names_secret, redact, remember_secret

__all__ = ["HIDDEN", "clean", "configure", "forget_secrets", "pseudonym", "pseudonyms", "redact", "remember_secret"]

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["text", "json"]

_KEY_BYTES = 32
# agent:<agent>:<channel>:<peer …>: the peer is often a phone number
SESSION_KEY = re.compile(r"\bagent:[A-Za-z0-9_-]+:[^\s\"',;)\]}]+")
_PSEUDONYM = re.compile(r"session-[0-9a-f]{12}")
_SESSION_FIELDS = frozenset({"sessionkey", "session_key", "sessionkeys", "session_keys"})


def pseudonym(key: str, *, secret: bytes) -> str:
    """A stable name that stands for a session key and cannot be turned back without the secret."""
    return "session-" + hmac.new(secret, key.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:12]


def pseudonyms(path: Path) -> Callable[[str], str]:
    """The pseudonyms of this installation.

    Args:
        path: A file of mode 0600 with a random key, made on first use. If it can neither be made nor read, the
            names hold for this run only.
    """
    secret = _install_key(path)
    return lambda key: pseudonym(key, secret=secret)


def clean(value: Any, *, name: Callable[[str], str] | None = None) -> Any:
    """The same value made of plain JSON types, without secrets.

    Args:
        value: Anything: structs, mappings and sequences are walked, the rest is turned into text.
        name: Makes pseudonyms of session keys; without it they are hidden.
    """

    def session(key: str) -> str:
        # cleaning twice changes nothing
        return key if _PSEUDONYM.fullmatch(key) else (name or _hidden)(key)

    return _walk(value, session)


def configure(level: Level = "info", format_: Format = "text", stream: TextIO | None = None) -> None:
    """Set up logging for the whole process; calling it again changes it.

    Args:
        level: The least important lines that are written.
        format_: `text` for people, coloured only on a terminal and without NO_COLOR; `json` one object per line.
        stream: Where lines go; standard error by default, as standard output belongs to answers.
    """
    out = stream if stream is not None else sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.StackInfoRenderer(),
        _redacting,
    ]
    renderer = _json_line if format_ == "json" else _text_renderer(out)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Lines(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(_Steady(out))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _redacting, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # libraries tell at info what only their authors want to know
    root.setLevel(number if level == "debug" else max(number, logging.WARNING))


def _redacting(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    kept = {key: event[key] for key in ("_record", "_from_structlog") if key in event}
    cleaned: dict[str, Any] = clean({key: value for key, value in event.items() if key not in kept})
    return {**cleaned, **kept}


def _json_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    head = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    try:
        return msgspec.json.encode({**head, **event}).decode()
    except ValueError:  # half a surrogate pair
        plain: str = structlog.processors.JSONRenderer()(_logger, _method, {**head, **event})  # type: ignore[assignment]
        return plain


def _text_renderer(out: TextIO) -> Any:
    colours = out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)


def _walk(value: Any, session: Callable[[str], str]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if redact(str(value)) == str(value) else HIDDEN
    if isinstance(value, str):
        return _text(value, session)
    if isinstance(value, bytes | bytearray | memoryview):
        return _text(bytes(value).decode("utf-8", "replace"), session)
    if isinstance(value, msgspec.Struct):
        try:
            value = msgspec.to_builtins(value, enc_hook=str)
        except (TypeError, ValueError):
            return _text(repr(value), session)
    if isinstance(value, Mapping):
        return {_text(str(k), session): _field(str(k), v, session) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return _items(value, session)
    if isinstance(value, set | frozenset):
        return sorted((_walk(item, session) for item in value), key=repr)
    return _text(str(value) if isinstance(value, Path | BaseException) else repr(value), session)


def _field(key: str, value: Any, session: Callable[[str], str]) -> Any:
    if key.lower() in _SESSION_FIELDS:
        return _all_texts(value, session)
    if names_secret(key):
        return _all_texts(value, _hidden)
    return _walk(value, session)


def _all_texts(value: Any, instead: Callable[[str], str]) -> Any:
    """Every text in it replaced; counts and flags are not secret (`tokens: 120`, `token: true`)."""
    if isinstance(value, str):
        return instead(value) if value and value != HIDDEN else value
    if isinstance(value, Mapping):
        return {_text(str(k), _hidden): _all_texts(v, instead) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_all_texts(item, instead) for item in value]
    if isinstance(value, bool | int | float) or value is None:
        return _walk(value, _hidden)
    return HIDDEN


def _items(value: list[Any] | tuple[Any, ...], session: Callable[[str], str]) -> list[Any]:
    """A list; in a command line the secret follows its option."""
    items: list[Any] = []
    hide = False
    for item in value:
        items.append(HIDDEN if hide and isinstance(item, str) else _walk(item, session))
        hide = isinstance(item, str) and item.startswith("-") and "=" not in item and names_secret(item)
    return items


def _text(text: str, session: Callable[[str], str]) -> str:
    if "agent:" in text:
        text = SESSION_KEY.sub(lambda match: session(match[0]), text)
    return redact(text)


def _hidden(_text: str) -> str:
    return HIDDEN


def _install_key(path: Path) -> bytes:
    for _ in range(2):
        try:
            key = path.read_bytes()
            if len(key) >= _KEY_BYTES:
                return key
            path.unlink()  # half written when the disk was full
        except OSError:
            pass
        fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            os.link(fresh, path)  # never replaces a key that another process made meanwhile
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
    try:
        return path.read_bytes() or secrets.token_bytes(_KEY_BYTES)
    except OSError:
        return secrets.token_bytes(_KEY_BYTES)


class _Steady:
    """A stream that swallows the end of the stream it writes to: a closed terminal must not end the keeper."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> None:
        """Write if it still works."""
        try:
            self._out.write(text)
        except UnicodeEncodeError:
            self.write(text.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError):
            pass

    def flush(self) -> None:
        """Flush if it still works."""
        with contextlib.suppress(OSError, ValueError):
            self._out.flush()


class _Lines:
    """Makes loggers that write whole lines to one stream; structlog calls it once per logger."""

    def __init__(self, out: TextIO) -> None:
        self._out = _Steady(out)

    def __call__(self, *_args: Any) -> _Lines:
        return self

    def msg(self, message: str) -> None:
        """Write one line."""
        self._out.write(message + "\n")
        self._out.flush()

    log = debug = info = warn = warning = error = err = critical = fatal = failure = exception = msg
