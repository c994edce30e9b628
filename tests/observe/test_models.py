"""Which models each agent may use, as a gateway lists them."""

from __future__ import annotations

from typing import Any

from observe.mailbox import Box, running
from regrow.link.events import GatewayEvent
from regrow.model.errors import GatewayError
from regrow.model.models import Candidate, ModelsSeen
from regrow.observe.models import Models

MAIN = {"id": "main", "model": {"primary": "a/m", "fallbacks": ["b/m", 7]}}
AGENTS = {"agents": [MAIN, {"id": "two", "model": "b/m"}, {"id": "three"}, "odd"]}
ROWS = [
    {"provider": "a", "id": "m", "available": True, "tags": ["default"]},
    {"provider": "b", "id": "m", "available": False, "unavailableReason": "cooldown", "tags": ["fallback#1"]},
    {"provider": "c", "id": "m", "tags": ["image"]},
    {"id": "nameless"},
]


class Link:
    """A line with answers; `client` None: it is down."""

    def __init__(self) -> None:
        self.client: object | None = object()
        self.asked: list[str] = []
        self.rows: Any = ROWS

    async def call(self, method: str, params: Any = None, timeout: float = 0.0) -> Any:
        self.asked.append(method)
        if isinstance(self.rows, Exception):
            raise self.rows
        return AGENTS if method == "agents.list" else {"models": self.rows}


async def test_each_agent_has_its_order_and_only_changes_are_told() -> None:
    box, link = Box(), Link()
    models = Models(box.post, box.clock, link)
    await models.look()
    seen = box.of(ModelsSeen)
    both = ("a/m", "b/m")
    assert [(s.agent, s.order) for s in seen] == [("main", both), ("two", ("b/m",)), ("three", both)]
    assert seen[0].models == (Candidate("a/m", True), Candidate("b/m", False), Candidate("c/m"))
    await models.look()
    assert len(box.of(ModelsSeen)) == 3
    link.rows = [{**ROWS[0], "available": False}]
    await models.look()
    assert len(box.of(ModelsSeen)) == 6


async def test_what_cannot_be_asked_is_not_told() -> None:
    box, link = Box(), Link()
    models = Models(box.post, box.clock, link)
    link.rows = GatewayError("UNAVAILABLE", "Model catalog is not ready")
    await models.look()
    link.rows = "nonsense"
    await models.look()
    link.client = None
    asked = len(link.asked)
    await models.look()
    assert (box.facts, len(link.asked)) == ([], asked)


async def test_a_change_of_the_configuration_is_looked_at_now() -> None:
    box, link = Box(), Link()
    models = Models(box.post, box.clock, link, every=3600.0)
    async with running(models):
        await box.wait(ModelsSeen)
        link.rows = [{**ROWS[0], "available": False}]
        models.hear(GatewayEvent("tick", {}))
        models.hear(GatewayEvent("config.changed", {}))
        await box.wait(ModelsSeen, lambda s: s.models == (Candidate("a/m", False),))
        link.rows = ROWS
        models.nudge()
        await box.wait(ModelsSeen, lambda s: s.agent == "three", after=2)
