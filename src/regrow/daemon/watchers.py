"""What looks at the gateway: outside at its process and probes, inside at models, sessions, channels and the like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from regrow.act.world import Effect
from regrow.link.events import GatewayEvent
from regrow.model.action import Action
from regrow.model.actions import LookConfig, Verify
from regrow.observe.health import Health
from regrow.observe.models import Models
from regrow.observe.package import Package
from regrow.observe.resources import Resources
from regrow.observe.settings import Settings
from regrow.observe.ticks import Ticks
from regrow.observe.turns import Turns
from regrow.observe.vitals import Vitals

if TYPE_CHECKING:
    from regrow.daemon.wiring import Daemon


class Watchers:
    """The observers of one keeper.

    Attributes:
        parts: Those that run, by name.
        ears: Who hears what the gateway pushes.
        looks: Actions that are looks, and who answers them.
    """

    def __init__(self, daemon: Daemon) -> None:
        post, clock, view = daemon.mind.post, daemon.clock, daemon.mind.view
        self.health = Health(
            post, clock, view, daemon.url, daemon.policy, lambda: daemon.world.child, line=daemon.line,
            dial=daemon.dial,
        )  # fmt: skip
        self.settings = Settings(post, clock, daemon.place.config_path, daemon.line, daemon.cli)
        found = daemon.world.known_installation
        # what we install ourselves is put in place whole; any other tree may still be being written
        settled = 0.0 if found is not None and found.managed else daemon.policy.update_settled
        package = Package(post, clock, daemon.entry, settled=settled)
        self.parts: list[tuple[str, Any]] = [
            ("ticks", Ticks(post, clock)), ("health", self.health), ("vitals", Vitals(post, clock)),
        ]  # fmt: skip
        if not daemon.place.url:
            places = (daemon.place.state_dir, daemon.place.folder)
            resources = Resources(post, clock, lambda: view().process, places)
            self.parts += [("settings", self.settings), ("package", package), ("resources", resources)]
        self._models = Models(post, clock, daemon.line)
        self.parts.append(("models", self._models))
        self.ears: list[Callable[[GatewayEvent], None]] = [Turns(post, clock).hear, self._models.hear]
        self.looks: Mapping[type[Action], Effect] = {
            LookConfig: lambda _action: self.settings.judge(),
            Verify: lambda _action: self.health.verify(),
        }

    def linked(self) -> None:
        """A connection was made: what could not be asked before is asked now."""
        self._models.nudge()

    def hear(self, event: GatewayEvent) -> None:
        """Something the gateway pushed."""
        for ear in self.ears:
            ear(event)
