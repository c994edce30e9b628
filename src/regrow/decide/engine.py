"""One fact in; new state, plan and verdicts out."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide import arbiter, guards, people
from regrow.decide import episodes as records
from regrow.decide import proposals as offers
from regrow.decide.domains.base import Context, Domain, Note, Remedy, Reply, Step, effective
from regrow.decide.episodes import Episodes
from regrow.decide.healing import HealingConfig, Spent
from regrow.decide.healing import withheld as bounded
from regrow.decide.lifecycle import Impossible, Signal, advance
from regrow.decide.people import Desk
from regrow.decide.profiles import DEFAULT, Policy
from regrow.decide.view import View, fold
from regrow.model.actions import AnyAction, Start
from regrow.model.facts import AnyFact, Ended, Intended
from regrow.model.verdicts import Episode, Proposal, Withheld

FORGOTTEN = 60.0  # an action whose outcome never came is no longer waited for after its limit and this
BREATH = 1.0  # what failed or was refused is not asked for again within this: nothing ever spins
SAID = 3600.0  # a dry run repeats what it would do once per hour


class Setup(Struct, frozen=True, kw_only=True):
    """What does not change with facts: the domains, their settings, the figures."""

    domains: tuple[Domain, ...]
    configs: dict[str, Any]
    policy: Policy = DEFAULT
    healing: HealingConfig = HealingConfig()


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
        spent: Remedies of the last hour, for the budgets.
        desk: What people have to decide, and what they wait for.
    """

    view: View = View()
    domains: dict[str, Any] = {}
    episodes: Episodes = Episodes()
    pending: dict[str, float] = {}
    withheld: dict[str, str] = {}
    said: dict[str, float] = {}
    faults: tuple[str, ...] = ()
    spent: Spent = Spent()
    desk: Desk = Desk()


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
        proposals: Proposals that were made or decided.
    """

    state: State
    plan: tuple[AnyAction, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    released: tuple[str, ...] = ()
    replies: tuple[Reply, ...] = ()
    notes: tuple[Note, ...] = ()
    episodes: tuple[Episode, ...] = ()
    proposals: tuple[Proposal, ...] = ()


class Draft:
    """What one fact has led to so far, while the domains are asked one after the other."""

    def __init__(self) -> None:
        self.wishes: list[AnyAction] = []
        self.bound: dict[str, int] = {}  # keys of remedies, with the budget of the domain that wishes them
        self.replies: list[Reply] = []
        self.notes: list[Note] = []
        self.episodes: list[Episode] = []
        self.proposals: list[Proposal] = []
        self.silent: set[str] = set()  # domains that were not asked: what they wished before still holds

    def take(self, turn: offers.Turn) -> None:
        """Add what became of proposals."""
        self.proposals.extend(turn.changed)
        self.notes.extend(turn.notes)
        self.replies.extend(turn.replies)


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
    before, draft, hours = state.view, Draft(), setup.healing.proposal_hours
    state = replace(state, view=fold(before, fact), pending=_pending(state, fact))
    state = _noted(state, fact, draft)
    desk, view, turn = people.heard(state.desk, state.view, fact, hours=hours)
    draft.take(turn)
    state = replace(state, desk=desk, view=view)
    domains = dict(state.domains)
    for domain in setup.domains:
        if not domain.is_asked(fact):
            draft.silent.add(domain.name)
            continue
        config = setup.configs[domain.name]
        context = Context(
            view=state.view, before=before, config=config, policy=setup.policy, at=state.view.at,
            episodes=state.episodes.open,
        )  # fmt: skip
        out: Step = domain.step(domains[domain.name], fact, context)
        domains[domain.name] = out.state
        state = _advance(state, out.signals)
        state = _taken(state, domain, out, setup, draft)
    state = replace(state, domains=domains)
    if state.view.phase is not before.phase or state.view.ready != before.ready:
        view = state.view
        status = {"phase": str(view.phase), "ready": view.ready, "want": view.want, "wantBy": view.want_by}
        draft.notes.append(Note("status", status))
    return _plan(state, setup, draft)


def _noted(state: State, fact: AnyFact, draft: Draft) -> State:
    """Write what is being done, and how it ended, into the episodes it is for; and what it costs."""
    episodes, grown = state.episodes, list[Episode]()
    match fact:
        case Intended():
            episodes, grown = records.begun(episodes, fact.action, state.view.at)
        case Ended():
            episodes, grown = records.tried(episodes, fact.action, fact.verdict, state.view.at)
        case _:
            return state
    draft.episodes.extend(grown)
    return replace(state, episodes=episodes)


def _taken(state: State, domain: Domain, out: Step, setup: Setup, draft: Draft) -> State:
    """What one domain wishes and names goes where its modes say."""
    name, config, hours = domain.name, setup.configs[domain.name], setup.healing.proposal_hours
    asked: list[Remedy] = []
    for wish in out.wishes:
        if not isinstance(wish, Remedy):
            draft.wishes.append(wish if wish.domain else replace(wish, domain=name))
            continue
        setting = effective(config.mode, wish.setting)
        if setting == "ask":
            asked.append(wish)
        elif setting == "auto":
            draft.bound[wish.action.key] = config.budget
            draft.wishes.append(replace(wish.action, domain=name))
    turn = offers.offer(state.desk.proposals, name, asked, state.view.at, hours=hours)
    draft.take(turn)
    draft.replies.extend(out.replies)
    draft.notes.extend(out.notes)
    shown = () if config.mode == "off" else out.symptoms
    episodes, grown, told = records.update(state.episodes, name, shown, state.view.at, well=state.view.ready)
    draft.episodes.extend(grown)
    draft.notes.extend(told)
    if out.cooling is not None and out.cooling != state.view.cooling:
        state = replace(state, view=replace(state.view, cooling=out.cooling))
    return replace(state, episodes=episodes, desk=replace(state.desk, proposals=turn.proposals))


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


def _plan(state: State, setup: Setup, draft: Draft) -> Outcome:
    at = state.view.at
    plan: list[AnyAction] = []
    # what a domain that was not asked about this fact wished before is still held
    held = {key: by for key, by in state.withheld.items() if by.partition(" ")[2] in draft.silent}
    edges: list[Withheld] = []
    said = {key: when for key, when in state.said.items() if at - when < SAID}
    pending = dict(state.pending)
    spent, episodes, before_held = state.spent, state.episodes, state.withheld
    approved = offers.due(state.desk.proposals)
    wishes = [*approved, *state.desk.undoing.values(), *draft.wishes]
    for action in arbiter.arrange(wishes, frozenset(pending)):
        budget = draft.bound.get(action.key)
        withheld = (
            guards.check(action, state.view)
            or guards.mending(action, pending)
            or bounded(action, state.view, setup.healing, spent, domain_budget=budget)
        )
        if withheld is not None:
            held[action.key] = f"{withheld.by} {action.domain}"
            if state.withheld.get(action.key) != held[action.key]:
                edges.append(withheld)
                episodes, grown = records.held_back(episodes, action, withheld, at)
                draft.episodes.extend(grown)
            turn = offers.stopped(state.desk.proposals, action.key, withheld.detail, at)
            draft.take(turn)
            state = replace(state, desk=replace(state.desk, proposals=turn.proposals))
            continue
        if state.view.dry_run and guards.changes(action):
            if f"{action.key} {action.reason}" in said and not action.human:
                continue
            said[f"{action.key} {action.reason}"] = at
        plan.append(action)
        pending[action.key] = at + action.limit + FORGOTTEN
        if budget is not None and not action.human and guards.changes(action):
            spent = spent.book(action.domain, at)
    epoch = state.view.epoch + sum(1 for action in plan if isinstance(action, Start))
    state = replace(
        state, pending=pending, withheld=held, said=said, spent=spent, episodes=episodes,
        view=replace(state.view, epoch=epoch),
    )  # fmt: skip
    wanted = {w.key for w in wishes}
    return Outcome(
        state=state,
        plan=tuple(plan),
        withheld=tuple(edges),
        released=tuple(k for k in before_held if k not in held and k in wanted),
        replies=tuple(draft.replies),
        notes=tuple(draft.notes),
        episodes=tuple({e.id: e for e in draft.episodes}.values()),
        proposals=tuple({p.id: p for p in draft.proposals}.values()),
    )
