"""One file per healing domain; importing this registers the built-in ones."""

from regrow.decide.domains import liveness, models, resources, settings

__all__ = ["liveness", "models", "resources", "settings"]
