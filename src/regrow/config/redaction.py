"""Finds what must never be shown in a text and puts `***` in its place.

Two nets: values registered by whoever learned them (`remember_secret`), wherever they stand; and shapes that secrets
and personal data have. What only looks long or random (hashes, ids, times, ports) stays: a log must stay readable.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

HIDDEN = "***"
SHORT = 4  # a shorter secret is hidden only where it stands alone: it would blacken every text

# a private key as text, in every dialect: PKCS, OpenSSH, PGP, SSH2
KEY_BEGINS = r"-{4,5} ?BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
KEY_ENDS = r"-{4,5} ?END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)? ?-{4,5}"

_Rule = tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]

# words a name must end with to name a secret: `authToken`, `OPENCLAW_GATEWAY_TOKEN`, `api-key`, `set-cookie`
_NAME = (
    r"(?:token|secrets?|passwords?|passwd|passphrase|pwd|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?key"
    r"|encryption[_-]?key|credentials?|cookies?|authorization|jwt|otp"
    r"|(?-i:[A-Z0-9]+_KEY))"  # variables; in lower case it mostly names what things are sorted or found by
)
_NAMED = re.compile(rf"{_NAME}s?$", re.IGNORECASE)
_FILE_SUFFIXES = r"service|socket|timer|target|path|mount|slice|scope|mjs|cjs|js|ts|json|toml|py|so"


def _phone(match: re.Match[str]) -> str:
    digits = sum(letter.isdigit() for letter in match[0])
    return HIDDEN if 8 <= digits <= 15 else match[0]


def _prose(match: re.Match[str]) -> str:
    """`token: abc123def` is a value; `token: missing` and `token: AUTH_TOKEN_MISMATCH` are words."""
    value = match[2]
    mixed = any(c.isdigit() for c in value) or (value != value.lower() and value != value.upper())
    return f"{match[1]}{HIDDEN}" if len(value) >= 6 and mixed else match[0]


def _rule(needle: str, *shape: str, keep: str = "", flags: int = re.IGNORECASE) -> _Rule:
    """(what a lower-cased text must contain to be worth a try, the shape, what stands there instead)."""
    return needle, re.compile("".join(shape), flags), f"{keep}{HIDDEN}"


_PROSE = re.compile(rf"((?:\b|[\w.-]){_NAME}:\s*)([^\s'\",;)}}\]]+)", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w.])\+\d[\d ().\u00a0/-]{6,22}\d(?!\d)")

_RULES: tuple[_Rule, ...] = (
    _rule(
        "private key",
        rf"{KEY_BEGINS}.*?(?:{KEY_ENDS}|\Z)",
        flags=re.DOTALL,
    ),
    # a password may itself hold an @
    _rule("://", r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/?#'\"]+(?=@)", keep=r"\1"),
    _rule("cookie", r"(\b(?:set-)?cookie\b['\"]?\s*[:=]\s*)[^\r\n]+", keep=r"\1"),
    _rule(
        "authorization",
        r"(\b(?:proxy-)?authorization\b['\"]?\s*[:=]\s*['\"]?)",
        r"(?:(?:bearer|basic|token|digest)\s+)?[^\s'\",;]+",
        keep=r"\1",
    ),
    _rule("bearer", r"(\bbearer\s+)[A-Za-z0-9._~+/=-]{6,}", keep=r"\1"),
    # an option and its value: one word, two words, or two items of a printed list
    _rule(
        "-",
        rf"((?<![\w-])--?(?:[a-z0-9]{{1,20}}[_-]){{0,5}}{_NAME}(?:['\"]?\s*,\s*['\"]|['\"]?[=\s]\s*['\"]?))[^\s'\",]+",
        keep=r"\1",
    ),
    _rule("", rf"((?:\b|[\w.-]){_NAME}\\?['\"]\s*[:=]\s*b?)(\\?['\"])(?:(?!\2)(?:\\.|[^\\]))*", keep=r"\1\2"),
    _rule("=", rf"((?:\b|[\w.-]){_NAME}=)(?:'[^']*'|\"[^\"]*\"|[^\s&'\",;)}}\]]+)", keep=r"\1"),
    (":", _PROSE, _prose),
    _rule(
        "",
        r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{8,}",  # model providers, payment
        r"|\bgh[opsur]_[A-Za-z0-9]{16,}|\bgithub_pat_[A-Za-z0-9_]{16,}|\bglpat-[A-Za-z0-9_-]{16,}",
        r"|\bxox[a-z]-[A-Za-z0-9-]{8,}|\bxapp-[A-Za-z0-9-]{8,}",
        r"|\bAIza[A-Za-z0-9_-]{30,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bya29\.[A-Za-z0-9_-]{16,}",
        r"|\bhf_[A-Za-z0-9]{16,}|\bnpm_[A-Za-z0-9]{30,}|\bgsk_[A-Za-z0-9]{16,}|\bxai-[A-Za-z0-9]{16,}",
        r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*",  # JSON web tokens
        r"|\b\d{8,10}:[A-Za-z0-9_-]{35}",  # Telegram bots
        flags=0,
    ),
    # a@b.service is a unit, and openclaw@2026.9.6 a package
    _rule("@", rf"[a-z0-9._%+-]+@(?:[a-z0-9-]+\.)+(?!(?:{_FILE_SUFFIXES})\b)[a-z]{{2,24}}\b"),
    ("+", _PHONE, _phone),
    _rule("-", r"(?<![\w.-])(?:\(\d{3}\) ?|\d{3}-)\d{3}-\d{4}(?![\w-])"),
    _rule(
        "",
        r"(\b(?:phone|tel|mobile|msisdn|whatsapp|signal|sms|imessage)\w*['\"]?\s*[:=/]\s*['\"]?)\+?\d{7,15}\b",
        keep=r"\1",
    ),
)

_known: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None


def remember_secret(secret: str) -> None:
    """Hide this value from now on, wherever it turns up. Empty text is ignored."""
    global _pattern  # noqa: PLW0603  (what is secret is a property of the whole process)
    text = secret.strip()
    if not text or text in _known:
        return
    escaped = text.encode("unicode_escape").decode()
    for form in (text, quote(text, safe=""), quote(text), escaped, text.replace("\\", "\\\\").replace('"', '\\"')):
        _known[form] = None
    shapes = [
        re.escape(form) if len(form) >= SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
        for form in sorted(_known, key=len, reverse=True)
    ]
    _pattern = re.compile("|".join(shapes))


def forget_secrets() -> None:
    """Forget every registered value; for tests."""
    global _pattern  # noqa: PLW0603
    _known.clear()
    _pattern = None


def redact(text: str) -> str:
    """The text without secrets, credentials, e-mail addresses and phone numbers."""
    if _pattern is not None:
        text = _pattern.sub(HIDDEN, text)
    low = text.lower()
    for needle, shape, instead in _RULES:
        if needle in low:
            text = shape.sub(instead, text)
    return text


def redact_argv(argv: Iterable[Any]) -> list[Any]:
    """The arguments of a command without secrets; a secret may follow its option as an argument of its own."""
    shown: list[Any] = []
    hide = False
    for part in argv:
        if not isinstance(part, str):
            shown.append(part)
            hide = False
            continue
        shown.append(HIDDEN if hide else redact(part))
        hide = not hide and part.startswith("-") and "=" not in part and names_secret(part)
    return shown


def names_secret(name: str) -> bool:
    """Whether a field, option or variable of this name holds a secret."""
    return bool(_NAMED.search(name))
