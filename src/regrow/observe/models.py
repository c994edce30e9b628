"""Which models each agent may use, as the gateway lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from regrow.link.events import GatewayEvent
from regrow.model.errors import GatewayError, TransportError
from regrow.model.models import Candidate, ModelsSeen
from regrow.observe.base import Now, Poller, Post

EVERY = 60.0
WITHIN = 20.0


class Line(Protocol):
    """The open line to the gateway, if there is one."""

    @property
    def client(self) -> object | None:
        """Its client while it is up."""

    async def call(self, method: str, params: Any = None, timeout: float = ...) -> Any:  # noqa: ASYNC109
        """Call a method."""


class Models:
    """Asks once a minute, and whenever the configuration or the catalogue changed."""

    def __init__(self, post: Post, clock: Now, line: Line, *, every: float = EVERY) -> None:
        self._post = post
        self._clock = clock
        self._line = line
        self._told: dict[str, ModelsSeen] = {}
        self._poller = Poller("models", self.look, every)

    async def run(self) -> None:
        """Look until cancelled."""
        await self._poller.run()

    def hear(self, event: GatewayEvent) -> None:
        """Look again when something changed."""
        if event.name in ("config.changed", "models.snapshot", "chat.metadata.changed"):
            self._poller.nudge()

    def nudge(self) -> None:
        """Look now: a connection was made."""
        self._poller.nudge()

    async def look(self) -> None:
        """Look once; only what changed is told."""
        if self._line.client is None:
            return
        try:
            answer = await self._line.call("agents.list", {}, WITHIN)
            agents = answer.get("agents") if isinstance(answer, Mapping) else None
            for agent in agents if isinstance(agents, list) else []:
                if isinstance(agent, Mapping) and isinstance(agent.get("id"), str):
                    await self._look(agent["id"], agent.get("model"))
        except (GatewayError, TransportError):
            return  # it starts, it goes, or this version cannot be asked: what is not known is not told

    async def _look(self, agent: str, own: Any) -> None:
        answer = await self._line.call("models.list", {"agentId": agent, "view": "configured"}, WITHIN)
        rows = answer.get("models") if isinstance(answer, Mapping) else None
        if not isinstance(rows, list):
            return
        found = [row for row in rows if isinstance(row, Mapping) and row.get("provider") and row.get("id")]
        models = tuple(Candidate(f"{row['provider']}/{row['id']}", _bool(row.get("available"))) for row in found)
        seen = ModelsSeen(at=self._clock.now(), agent=agent, order=_order(own, found), models=models)
        before = self._told.get(agent)
        if before is None or (before.order, before.models) != (seen.order, seen.models):
            self._told[agent] = seen
            self._post(seen)


def _order(own: Any, rows: list[Mapping[str, Any]]) -> tuple[str, ...]:
    """An agent's primary and fallbacks; where it has none of its own, those the catalogue marks as default."""
    if isinstance(own, str):
        return (own,)
    if isinstance(own, Mapping) and isinstance(own.get("primary"), str):
        rest = own.get("fallbacks")
        return (own["primary"], *(x for x in (rest if isinstance(rest, list) else ()) if isinstance(x, str)))
    marked = []
    for row in rows:
        tags = [str(tag) for tag in row.get("tags") or ()]
        rank = min((0 if t == "default" else int(t[9:] or 0) for t in tags if _ranked(t)), default=None)
        if rank is not None:
            marked.append((rank, f"{row['provider']}/{row['id']}"))
    return tuple(name for _, name in sorted(marked))


def _ranked(tag: str) -> bool:
    return tag == "default" or (tag.startswith("fallback#") and tag[9:].isdigit())


def _bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
