"""Channels that the gateway muted itself after unclean boots: named while they are mute; nothing is done here."""

from __future__ import annotations

from regrow.decide.domains.base import Symptom
from regrow.decide.view import View


def muted(view: View) -> tuple[Symptom, ...]:
    """What is wrong, in whichever domain looks after channels."""
    if not view.muted:
        return ()
    names = ", ".join(view.muted)
    text = f"the gateway muted {names} after unclean boots; it lets them speak again after some minutes without one"
    return (Symptom("channels", text),)
