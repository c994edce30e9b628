"""A gateway to test against, for this project and for authors of plugins."""

from regrow.testing.gateway import FakeGateway
from regrow.testing.world import SILENCE, Answer, State

__all__ = ["SILENCE", "Answer", "FakeGateway", "State"]
