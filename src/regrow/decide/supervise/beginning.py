"""A boot begins: what spoke against the life before is void, and its time is set by what boots took before."""

from __future__ import annotations

from msgspec.structs import replace

from regrow.decide.supervise import hang as hangs
from regrow.decide.supervise import reconnect as dialling
from regrow.decide.supervise.boots import Boot, budget
from regrow.decide.supervise.state import Scene, Supervision


def begin_boot(s: Supervision, scene: Scene, *, inner: bool) -> Supervision:
    """The state with a boot under way.

    Args:
        s: The state before.
        scene: The View, the settings, the time.
        inner: It happens inside a process that already ran.
    """
    known = s.took if s.took_version == scene.view.installed else ()
    least = budget(known, scene.config.start_budget, after_kill=s.killed)
    return replace(
        s,
        boot=Boot(began=scene.at, progress_at=scene.at, least=least, inner=inner),
        hang=replace(hangs.Hang(), sick_until=s.hang.sick_until, continued=s.hang.continued),
        deaf_since=None,
        grace_until=0.0,
        proved_at=None,
        reconnect=dialling.spoken_to(s.reconnect, scene.at),
    )


def slept(s: Supervision, seconds: float, at: float) -> Supervision:
    """The host (or we) stood still: no budget runs meanwhile, and nothing that was measured counts."""
    stopping, restart, boot = s.stopping, s.restart, s.boot
    if stopping is not None and stopping.told_at is not None:
        stopping = replace(stopping, told_at=stopping.told_at + seconds)
    if restart is not None:
        restart = replace(restart, since=restart.since + seconds)
    if boot is not None:
        boot = replace(boot, asleep=boot.asleep + seconds)
    return replace(
        s, stopping=stopping, restart=restart, boot=boot, hang=hangs.sickened(s.hang, at), deaf_since=None,
    )  # fmt: skip
