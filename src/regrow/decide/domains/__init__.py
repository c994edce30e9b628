"""One file per healing domain; importing this registers the built-in ones."""

from regrow.decide.domains import liveness, resources, settings

__all__ = ["liveness", "resources", "settings"]
