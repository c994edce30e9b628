"""Scripted programs that stand in for a gateway process where a real one would be too slow."""
