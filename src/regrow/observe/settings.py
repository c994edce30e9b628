"""openclaw.json: watched as it lies on disk, parsed as JSON5, and judged by the gateway's own rules."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import structlog
from msgspec.structs import replace

from regrow.config.redaction import redact
from regrow.host.cli import Finished
from regrow.host.includes import changed_at
from regrow.link.client import GatewayClient
from regrow.model.errors import GatewayError, RegrowError, TransportError
from regrow.model.facts import ConfigSeen
from regrow.observe.base import Now, Post, pause
from regrow.observe.file import Content, read_config, signature

EVERY = 1.0  # two stat calls: cheaper than a notifier's thread, right for links, network mounts and full inotify tables
SETTLE = 0.3
CHECK_EVERY = 30.0
POLICY_CACHE = 15.0
_SETTLE_TRIES = 10
_RPC_WITHIN = 10.0
_CLI_WITHIN = 60.0
_PROBLEMS = 20
_WIDEST = 300
STALE = 2.0
_ASKS, _ASK_AGAIN = 10, 0.5  # a busy gateway was seen to notice a change after two seconds
_HIDDEN = "__OPENCLAW_REDACTED__"

Mode = Literal["hybrid", "reload", "restart", "off"]
_MODES: dict[str, Mode] = {"hybrid": "hybrid", "reload": "reload", "hot": "reload", "restart": "restart", "off": "off"}
Cli = Callable[[Sequence[str], float], Awaitable[Finished]]


class Line(Protocol):
    """The open line to the gateway, if there is one."""

    @property
    def client(self) -> GatewayClient | None:
        """Its client while it is up."""

    async def call(self, method: str, params: Any = None, timeout: float = ...) -> Any:  # noqa: ASYNC109
        """Call a method."""


class Settings:
    """Watches one configuration file.

    Args:
        post: Takes the facts.
        clock: Tells the time.
        config_path: The file.
        line: The line to the gateway.
        cli: Runs `openclaw …` with the gateway's own environment: arguments, seconds.
        unconfigured: The gateway is started with `--allow-unconfigured`: no file, and no mode in it, are fine.
    """

    def __init__(
        self,
        post: Post,
        clock: Now,
        config_path: Path,
        line: Line | None = None,
        cli: Cli | None = None,
        *,
        unconfigured: bool = False,
        every: float = EVERY,
    ) -> None:
        self.path = config_path
        self._post = post
        self._clock = clock
        self._line = line
        self._cli = cli
        self._unconfigured = unconfigured
        self._every = every
        self._awake = asyncio.Event()
        self._told: ConfigSeen | None = None
        self._parts: tuple[Path, ...] = ()  # files it includes, as last read
        self._judged: tuple[str, bool | None, tuple[str, ...]] = ("", None, ())
        self._policy: tuple[Mode, float] = ("hybrid", 1.2)
        self._policy_at = float("-inf")
        self._log = structlog.get_logger("regrow.observe")

    def nudge(self) -> None:
        """Look now: somebody wrote it, or says so."""
        self._awake.set()

    def forget(self) -> None:
        """What was judged under another version of the gateway is void."""
        self._judged = ("", None, ())

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        known: object = None
        checked = float("-inf")
        while True:
            now = signature(self.path, self._parts)
            if now != known or loop.time() - checked >= CHECK_EVERY:
                known = await self._settled()
                await self.look()
                checked = loop.time()
            if await pause(self._awake, self._every):
                checked = float("-inf")

    async def look(self) -> ConfigSeen:
        """Read the file once; the fact is posted if anything is new."""
        seen = self._seen(await asyncio.to_thread(read_config, self.path))
        told = self._told
        if told is None or replace(told, at=seen.at) != seen:
            if told is None or told.problems != seen.problems:
                for problem in seen.problems:
                    self._log.warning("openclaw.json", problem=problem, path=str(self.path))
            self._told = seen
            self._post(seen)
        return seen

    async def judge(self) -> ConfigSeen:
        """Have the gateway's own rules judge exactly the bytes that lie there now.

        Returns:
            The fact, with `valid` None if nobody could tell.
        """
        content = await asyncio.to_thread(read_config, self.path)
        for _ in range(2):
            valid, problems = await self._verdict(content)
            after = await asyncio.to_thread(read_config, self.path)
            if after.digest == content.digest:
                self._judged = (content.digest, valid, problems)
                break
            content = after
        else:
            self._judged = ("", None, ())  # it keeps changing under the judge's hands
        self._told = self._seen(content)
        return self._told

    async def _settled(self) -> object:
        """Wait until nobody writes it: its last state, after it stayed the same for a moment."""
        known = signature(self.path, self._parts)
        for _ in range(_SETTLE_TRIES):
            await asyncio.sleep(SETTLE if self._told is not None else 0.0)
            now = signature(self.path, self._parts)
            if now == known:
                break
            known = now
        return known

    def _seen(self, content: Content) -> ConfigSeen:
        at = self._clock.now()
        self._parts = content.parts
        valid: bool | None = None
        problems = content.problems
        if content.missing:
            valid, problems = (True, ()) if self._unconfigured else (False, problems)
        elif self._judged[0] == content.digest and content.digest:
            valid, problems = self._judged[1], (*problems, *self._judged[2])
        if at - self._policy_at >= POLICY_CACHE and isinstance(content.data, dict):
            self._policy, self._policy_at = reload_policy(content.data), at
        mode, debounce = self._policy
        return ConfigSeen(
            at=at,
            digest=content.digest,
            parsed=content.parsed or (content.missing and self._unconfigured),
            valid=valid,
            problems=problems[:_PROBLEMS],
            reload_mode=mode,
            reload_debounce=debounce,
            clobbered=content.clobbered,
            composed=content.includes,
        )

    # ── the judge ──

    async def _verdict(self, content: Content) -> tuple[bool | None, tuple[str, ...]]:
        if content.missing:
            return (True, ()) if self._unconfigured else (False, ())
        if not content.parsed:
            return False, ()  # what is wrong is in the content's own problems
        if not self._unconfigured and _lacks_mode(content):
            return False, ("gateway.mode: is missing, and without it the gateway does not start",)
        valid, problems = await self._ask_gateway(content)
        return (valid, problems) if valid is not None else await self._ask_cli()

    async def _ask_gateway(self, content: Content) -> tuple[bool | None, tuple[str, ...]]:
        client = self._line.client if self._line is not None else None
        if self._line is None or client is None or client.is_closed:
            return None, ()
        for _ in range(_ASKS):
            try:
                said = await self._line.call("config.get", None, _RPC_WITHIN)
            except (GatewayError, TransportError):
                return None, ()
            if not isinstance(said, dict) or not self._is_same_file(said.get("path")):
                return None, ()
            if _is_about(said, content) and self._rests(content):
                return _read_verdict(said)
            await asyncio.sleep(_ASK_AGAIN)  # for a moment after a change it answers from what it read before
        return None, ()

    def _rests(self, content: Content) -> bool:
        """Whether a gateway has noticed what lies there: which included bytes it speaks of it does not say."""
        return not content.includes or time.time() - changed_at((self.path, *content.parts)) > STALE

    def _is_same_file(self, path: Any) -> bool:
        return not isinstance(path, str) or "\0" in path or Path(path).resolve() == self.path.resolve()

    async def _ask_cli(self) -> tuple[bool | None, tuple[str, ...]]:
        if self._cli is None:
            return None, ()
        try:
            done = await self._cli(["config", "validate", "--json"], _CLI_WITHIN)
        except RegrowError as error:
            self._log.warning("cannot judge openclaw.json", why=str(error))
            return None, ()
        start = done.stdout.find("{")
        try:
            said = json.loads(done.stdout[start:]) if start >= 0 else None
        except ValueError:
            return None, ()
        valid, problems = _read_verdict(said) if isinstance(said, dict) else (None, ())
        # a judge who contradicts itself has not judged
        return (valid, problems) if valid is not None and valid == (done.code == 0) else (None, ())


def reload_policy(config: dict[str, Any]) -> tuple[Mode, float]:
    """How the gateway applies a change of its file: mode, and seconds it waits for more (0 to 60)."""
    gateway = config.get("gateway")
    said = gateway.get("reload") if isinstance(gateway, dict) else None
    said = said if isinstance(said, dict) else {}
    mode = _MODES.get(str(said.get("mode")), "hybrid")
    delay = said.get("debounceMs")
    number = isinstance(delay, int | float) and not isinstance(delay, bool) and delay == delay  # noqa: PLR0124  (NaN)
    debounce = min(max(float(delay), 0.0), 60_000.0) / 1000.0 if number else 1.2  # type: ignore[arg-type]
    return mode, debounce


def _is_about(said: dict[str, Any], content: Content) -> bool:
    """Whether the gateway speaks of the bytes that lie there, and not of those that lay there before."""
    told = said.get("hash")
    if isinstance(told, str) and len(told) == len(content.own):
        return told == content.own  # early 2026 gives a plain digest
    if said.get("exists") is False:
        return False
    return content.includes or "parsed" not in said or _alike(said["parsed"], content.data)


def _alike(told: Any, found: Any) -> bool:
    """The same value, as far as the gateway shows it: it hides secrets."""
    if told == _HIDDEN:
        return True
    if isinstance(told, dict) and isinstance(found, dict):
        return told.keys() == found.keys() and all(_alike(told[key], found[key]) for key in told)
    if isinstance(told, list) and isinstance(found, list):
        return len(told) == len(found) and all(map(_alike, told, found))
    return bool(told == found)


def _lacks_mode(content: Content) -> bool:
    if not isinstance(content.data, dict) or content.includes:
        return False
    gateway = content.data.get("gateway")
    return not (isinstance(gateway, dict) and gateway.get("mode"))


def _read_verdict(said: dict[str, Any]) -> tuple[bool | None, tuple[str, ...]]:
    valid = said.get("valid")
    if not isinstance(valid, bool):
        return None, ()
    issues = said.get("issues")
    named = [issue for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) and not valid else []
    lines = (f"{issue.get('path') or '<root>'}: {issue.get('message')}" for issue in named[:_PROBLEMS])
    return valid, tuple(redact(line)[:_WIDEST] for line in lines)
