"""One fact in; new state, plan and verdicts out."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide import arbiter, guards
from regrow.decide import episodes as records
from regrow.decide.domains.base import Context, Domain, Note, Reply, Step
from regrow.decide.episodes import Episodes
from regrow.decide.lifecycle import Impossible, Signal, advance
from regrow.decide.profiles import DEFAULT, Policy
from regrow.decide.view import View, fold
from regrow.model.actions import AnyAction, Start
from regrow.model.facts import AnyFact, Ended
from regrow.model.verdicts import Episode, Withheld

FORGOTTEN = 60.0  # an action whose outcome never came is no longer waited for after its limit and this
BREATH = 1.0  # what failed or was refused is not asked for again within this: nothing ever spins
SAID = 3600.0  # a dry run repeats what it would do once per hour


class Setup(Struct, frozen=True, kw_only=True):
    """What does not change with facts: the domains, their settings, the figures."""

    domains: tuple[Domain, ...]
    configs: dict[str, Any]
    policy: Policy = DEFAULT


class State(Struct, frozen=True, kw_only=True):
    """Everything the next decision depends on. JSON-able, so that the past can be replayed.

    Attributes:
        view: What is believed.
        domains: Each domain's own state.
        episodes: The open ones.
        pending: Planned actions whose end is awaited, with the time after which they are given up.
        withheld: Which guard holds which wish, to tell edges only.
        said: What a dry run said it would do, and when.
        faults: Impossible signals: our own errors, shown to people and asserted in tests.
    """

    view: View = View()
    domains: dict[str, Any] = {}
    episodes: Episodes = Episodes()
    pending: dict[str, float] = {}
    withheld: dict[str, str] = {}
    said: dict[str, float] = {}
    faults: tuple[str, ...] = ()


class Outcome(Struct, frozen=True, kw_only=True):
    """What one fact led to.

    Attributes:
        state: The next state.
        plan: Actions to carry out, in order.
        withheld: Wishes newly withheld, with the guard and what would change the answer.
        released: Keys that a guard no longer holds.
        replies: Answers to people.
        notes: Events.
        episodes: Episodes that opened, grew or closed.
    """

    state: State
    plan: tuple[AnyAction, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    released: tuple[str, ...] = ()
    replies: tuple[Reply, ...] = ()
    notes: tuple[Note, ...] = ()
    episodes: tuple[Episode, ...] = ()


def first_state(setup: Setup) -> State:
    """The state of a gateway nothing is known about."""
    return State(domains={d.name: d.state() for d in setup.domains})


def step(state: State, fact: AnyFact, setup: Setup) -> Outcome:
    """Take one fact into account.

    Args:
        state: Everything known before.
        fact: The news.
        setup: Domains, settings and figures.
    """
    before = state.view
    state = replace(state, view=fold(before, fact), pending=_pending(state, fact))
    episodes = state.episodes
    changed: list[Episode] = []
    if isinstance(fact, Ended):
        episodes, changed = records.tried(episodes, fact.action, fact.verdict)
    wishes: list[AnyAction] = []
    replies: list[Reply] = []
    notes: list[Note] = []
    domains = dict(state.domains)
    for domain in setup.domains:
        config = setup.configs[domain.name]
        context = Context(view=state.view, before=before, config=config, policy=setup.policy, at=state.view.at)
        out: Step = domain.step(domains[domain.name], fact, context)
        domains[domain.name] = out.state
        state = _advance(state, out.signals)
        wishes.extend(out.wishes)
        replies.extend(out.replies)
        notes.extend(out.notes)
        shown = () if config.mode == "off" else out.symptoms
        episodes, grown, told = records.update(episodes, domain.name, shown, state.view.at, well=state.view.ready)
        changed.extend(grown)
        notes.extend(told)
    state = replace(state, domains=domains, episodes=episodes)
    if state.view.phase is not before.phase or state.view.ready != before.ready:
        view = state.view
        status = {"phase": str(view.phase), "ready": view.ready, "want": view.want, "wantBy": view.want_by}
        notes.append(Note("status", status))
    return _plan(state, wishes, replies, notes, changed)


def _pending(state: State, fact: AnyFact) -> dict[str, float]:
    pending = {key: until for key, until in state.pending.items() if fact.at <= until}
    if isinstance(fact, Ended):
        pending.pop(fact.action.key, None)
        if fact.verdict.result in ("failed", "refused") and guards.changes(fact.action):
            pending[fact.action.key] = fact.at + BREATH
    return pending


def _advance(state: State, signals: tuple[Signal, ...]) -> State:
    view, faults = state.view, state.faults
    phase = view.phase
    for signal in signals:
        try:
            phase = advance(phase, signal)
        except Impossible as fault:
            faults = (*faults, str(fault))[-20:]
            continue
        if signal is Signal.READY:
            view = replace(view, ready=True, ready_at=view.at if not view.ready else view.ready_at)
        elif signal is not Signal.LOST:
            view = replace(view, ready=view.ready and signal is Signal.TOLD)
    if phase is not view.phase:
        view = replace(view, phase=phase, phase_since=view.at)
    return replace(state, view=view, faults=faults)


def _plan(
    state: State, wishes: list[AnyAction], replies: list[Reply], notes: list[Note], changed: list[Episode]
) -> Outcome:
    at = state.view.at
    plan: list[AnyAction] = []
    held: dict[str, str] = {}
    edges: list[Withheld] = []
    said = {key: when for key, when in state.said.items() if at - when < SAID}
    pending = dict(state.pending)
    for action in arbiter.arrange(wishes, frozenset(pending)):
        withheld = guards.check(action, state.view) or guards.mending(action, pending)
        if withheld is not None:
            held[action.key] = withheld.by
            if state.withheld.get(action.key) != withheld.by:
                edges.append(withheld)
            continue
        if state.view.dry_run and guards.changes(action):
            if f"{action.key} {action.reason}" in said and not action.human:
                continue
            said[f"{action.key} {action.reason}"] = at
        plan.append(action)
        pending[action.key] = at + action.limit + FORGOTTEN
    epoch = state.view.epoch + sum(1 for action in plan if isinstance(action, Start))
    state = replace(state, pending=pending, withheld=held, said=said, view=replace(state.view, epoch=epoch))
    wanted = {w.key for w in wishes}
    return Outcome(
        state=state,
        plan=tuple(plan),
        withheld=tuple(edges),
        released=tuple(k for k in state.withheld if k not in held and k in wanted),
        replies=tuple(replies),
        notes=tuple(notes),
        episodes=tuple({e.id: e for e in changed}.values()),
    )
