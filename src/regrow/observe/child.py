"""The gateway process: its output line by line, its milestones, its last words and its end."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from regrow.config.lines import MOST, Lines
from regrow.config.redaction import HIDDEN
from regrow.host.child import Child
from regrow.model.facts import ChildExited, OutputSeen
from regrow.observe import stderr
from regrow.observe.base import Now, Post

KEPT = 200
EVERY = 50  # repeats of one line that are told in one summary
_DISTINCT = 500
_TOLD = 20  # last lines in the fact of the end
_WIDEST = 2000

Say = Callable[[str, dict[str, Any]], None]


class ChildWatch:
    """Follows one life of a gateway process to its end.

    Args:
        child: The process.
        post: Takes the facts.
        clock: Tells the time.
        say: Tells people: `gateway:output` for what they should look at.
        version: The gateway's version, as far as it is known.
        handed_over: Asked after an end in good order: did it leave word that it wants to be started again?
    """

    def __init__(
        self,
        child: Child,
        post: Post,
        clock: Now,
        say: Say,
        *,
        version: Callable[[], str] = str,
        handed_over: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self.child = child
        self._post = post
        self._clock = clock
        self._say = say
        self._version = version
        self._handed_over = handed_over
        self._last: deque[str] = deque(maxlen=KEPT)
        self._lines = Lines(_WIDEST)
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._log = structlog.get_logger("regrow.gateway")

    def last_lines(self, count: int = KEPT) -> tuple[str, ...]:
        """The last lines it wrote, without colours and secrets."""
        return tuple(self._last)[-count:]

    async def run(self) -> None:
        """Follow it until it has ended and everything it wrote was read; then post its end."""
        backlog = None
        if self.child.adopted:
            # what it wrote before we met it is context, not news: an old "ready" proves nothing
            before = map(self._lines.clean, self.child.last(KEPT + MOST))
            self._last.extend(line for line in before if line is not None)
            backlog = 0
        async for line in self.child.lines(backlog=backlog):
            self._take(line)
        ask = self._handed_over if self.child.code == 0 else None
        self._post(self._end(handed_over=await ask() if ask is not None else False))

    def _take(self, line: str) -> None:
        meaning = stderr.read(line[:_WIDEST], self._version())
        clean = self._lines.clean(line)
        if meaning.level == "drop":
            return
        if meaning.kind is not None:
            self._post(OutputSeen(at=self._clock.now(), kind=meaning.kind, text=stderr.bare(clean or HIDDEN)))
        if clean is not None:
            self._last.append(clean)
            self._tell(clean, meaning)

    def _tell(self, line: str, meaning: stderr.Meaning) -> None:
        """Log a line the first time, then one summary for every fifty repeats."""
        text = stderr.bare(line)
        key = stderr.blurred(line)
        count = self._seen.pop(key, 0) + 1
        self._seen[key] = count
        if len(self._seen) > _DISTINCT:
            self._seen.popitem(last=False)
        repeats = count - 1
        if repeats % EVERY:
            return
        loud = meaning.level == "warn"
        more = {"repeated": repeats} if repeats else {}
        (self._log.warning if loud else self._log.debug)("output", line=text, topic=meaning.topic, **more)
        if loud:
            self._say("gateway:output", {"text": text, "topic": meaning.topic, **more})

    def _end(self, *, handed_over: bool) -> ChildExited:
        lines = self.last_lines()
        return ChildExited(
            at=self._clock.now(),
            process=self.child.process,
            code=self.child.code,
            handed_over=handed_over,
            fingerprint=stderr.fingerprint(lines, self.child.code),
            culprit=stderr.culprit(lines, self.child.code),
            config_invalid=stderr.blames_config(lines, self._version()),
            last=lines[-_TOLD:],
            cpu=self.child.cpu or 0.0,
        )
