"""Hides what must not be shown in text that comes line by line: a private key goes over many of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from regrow.config.redaction import HIDDEN, KEY_BEGINS, KEY_ENDS, redact

MOST = 400  # lines: twice the longest key; an end that never comes must not hide all that follows
_STRANGERS = 8  # lines in a row that hold nothing of a key: its headers, its short last line, what others say between
_BODY = re.compile(r"[A-Za-z0-9+/=]{24}")
_BEGINS, _ENDS = re.compile(KEY_BEGINS), re.compile(KEY_ENDS)


class Lines:
    """Takes the lines of one stream in their order and remembers whether they are in the middle of a key.

    Args:
        widest: Characters of a line that are shown at most.
    """

    def __init__(self, widest: int | None = None) -> None:
        self._widest = widest
        self._inside = 0  # lines of the key so far, its first one included
        self._strangers = 0

    def clean(self, line: str) -> str | None:
        """The line without secrets; None if it is nothing but a part of a key whose beginning was shown as hidden."""
        begun = self._inside > 0
        if begun:
            end = _ENDS.search(line)
            if end is None and self._goes_on(line):
                return HIDDEN if self._strangers else None
            self._inside = 0
            line = line[end.end() :] if end is not None else line
        if _opens(line):
            self._inside, self._strangers = 1, 0
        return None if begun and not line.strip() else redact(line)[: self._widest]

    def _goes_on(self, line: str) -> bool:
        self._inside += 1
        self._strangers = 0 if _BODY.search(line) else self._strangers + 1
        return self._inside <= MOST and self._strangers <= _STRANGERS


def redact_lines(lines: Iterable[str], last: int | None = None) -> list[str]:
    """Lines without secrets, also those of a key that begins before them.

    Args:
        lines: In their order.
        last: How many of them to give, the last ones. Give more lines than that: a key may begin among them.
    """
    given = list(lines)
    end = next((at for at, line in enumerate(given) if _ENDS.search(line)), None)
    if end is not None and not any(_BEGINS.search(line) for line in given[: end + 1]):
        # it began before what we were given; the last line of a key may be short
        start = max(0, end - 1)
        while start and _BODY.search(given[start - 1]):
            start -= 1
        given[start : end + 1] = [HIDDEN]
    stream = Lines()
    shown = [clean for clean in map(stream.clean, given) if clean is not None]
    return shown if last is None else shown[max(0, len(shown) - last) :]


def _opens(line: str) -> bool:
    """Whether a key begins in this line and does not end in it."""
    begins = [found.end() for found in _BEGINS.finditer(line)]
    return bool(begins) and _ENDS.search(line, begins[-1]) is None
