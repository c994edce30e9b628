"""For people and programs: how a running keeper answers."""
