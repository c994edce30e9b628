"""The gateway process is kept alive: ended, hung, silent or deaf to its port, it is brought back and proven."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from regrow.decide.domains.base import Context, DomainConfig, Setting, Step, Symptom, domain
from regrow.decide.lifecycle import DOWN, Signal
from regrow.decide.muted import muted
from regrow.decide.supervise.down import down
from regrow.decide.supervise.ended import given_up
from regrow.decide.supervise.ending import ending, still_due
from regrow.decide.supervise.noted import note
from regrow.decide.supervise.restarting import Up
from regrow.decide.supervise.state import Folded, Scene, Supervision, answer
from regrow.decide.supervise.up import up
from regrow.model.facts import AnyFact


class LivenessConfig(DomainConfig, frozen=True):
    """`[heal.liveness]`."""

    auto_start: Annotated[bool, Meta(description="start the gateway when regrow starts, unless a stop holds")] = True
    kill: Annotated[Setting, Meta(description="SIGKILL after a stop budget ran out, identity proven")] = "auto"
    start_budget: Annotated[
        float, Meta(ge=1, le=900, description="seconds a silent boot may take before it is ended, at least")
    ] = 120.0


@domain("liveness", state=Supervision, config=LivenessConfig)
def step(s: Supervision, fact: AnyFact, cx: Context) -> Step:
    """Note the fact, then decide from the whole state: what is due now follows from what stands, not from the news."""
    scene = Scene(view=cx.view, config=cx.config, policy=cx.policy, at=cx.at)
    noted = note(s, fact, cx.before, scene)
    out = _decided(noted, cx, scene)
    out = replace(out, symptoms=(*out.symptoms, *muted(cx.view)))
    if any(told.type == "runtime:changed" for told in out.notes):
        return out
    return replace(out, notes=(*out.notes, *given_up(s, out.state, out.replies, cx.at)))


def _decided(noted: Folded, cx: Context, scene: Scene) -> Step:
    s = noted.state
    if cx.view.process is None and cx.view.owner != "remote":
        vanished = answer(s.stopping.requests, "done", "it is gone") if s.stopping is not None else ()
        d = down(replace(s, stopping=None, boot=None), scene)
        return Step(
            state=d.state, wishes=d.wishes, symptoms=d.symptoms, replies=(*noted.replies, *vanished, *d.replies),
            notes=noted.notes, signals=(Signal.GONE, d.signal),
        )  # fmt: skip
    held = still_due(s, s.stopping, scene) if s.stopping is not None else Folded(s)
    u = Up(state=held.state) if held.state.stopping is not None else up(held.state, scene)
    wishes, symptoms, signals = u.wishes, u.symptoms, u.signals
    if u.state.stopping is not None:
        due, obstacles = ending(u.state, u.state.stopping, scene)
        wishes = (*wishes, *due)
        trouble = (Symptom("process", u.state.trouble),) if u.state.trouble else ()
        symptoms = tuple(obstacles) or trouble
        # one that is to end from its first moment was never seen booting
        signals = (*signals, Signal.FOUND) if cx.view.phase in DOWN else signals
        signals = (*signals, Signal.TOLD) if u.state.stopping.told_at is not None else signals
    return Step(
        state=u.state, wishes=wishes, symptoms=symptoms, replies=(*noted.replies, *held.replies, *u.replies),
        notes=(*noted.notes, *u.notes), signals=signals,
    )  # fmt: skip
