"""One file per healing domain; importing this registers the built-in ones."""

from regrow.decide.domains import liveness, settings

__all__ = ["liveness", "settings"]
