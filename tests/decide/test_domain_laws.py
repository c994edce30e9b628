"""The laws every domain keeps, whatever is seen: over all that are registered, with generated facts."""

import typing

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from regrow.decide import domains as _built_in  # noqa: F401  (importing registers them)
from regrow.decide.domains.base import Context, Step, registry
from regrow.decide.engine import Setup, first_state, step
from regrow.decide.guards import changes
from regrow.decide.profiles import CLASSIC, DEFAULT
from regrow.decide.view import View, fold
from regrow.model.actions import AnyAction
from regrow.model.facts import (
    AnyFact,
    Asked,
    ConfigSeen,
    Ended,
    Heard,
    Intended,
    LinkUp,
    OwnerSeen,
    Probed,
    ProcessSeen,
    Tick,
)
from regrow.model.gateway import Mode, Process
from regrow.testing.story import VERSION, Story

DOMAINS = registry()
ODD = st.one_of(st.text(max_size=6), st.sampled_from(["", "none", "c1", VERSION, "\x00", "ü" * 40]))
PROCESSES = st.sampled_from([Process(pid=1, started=1), Process(pid=2, started=9), Process(pid=2**31, started=-1)])
st.register_type_strategy(Process, PROCESSES)
st.register_type_strategy(str, ODD)
st.register_type_strategy(float, st.floats(0, 2e9, allow_nan=False))
st.register_type_strategy(int, st.integers(-(2**40), 2**40))


def generated(kind, **more):
    """Records of one type, each field with any value of its type."""
    hints = typing.get_type_hints(kind)
    fields = {name: st.from_type(hints[name]) for name in kind.__struct_fields__}
    return st.builds(kind, **{**fields, **more})


ACTIONS = st.one_of([generated(kind) for kind in AnyAction.__args__])
FACTS = st.one_of(
    [generated(kind, **({"action": ACTIONS} if kind in (Intended, Ended) else {})) for kind in AnyFact.__args__]
)
GAPS = st.sampled_from([0.0, 0.001, 0.5, 1.0, 4.0, 20.0, 400.0, 4000.0])
HISTORIES = st.lists(st.tuples(GAPS, FACTS), max_size=25)
MODES = st.sampled_from(["off", "observe", "ask", "auto"])
LIMITS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def timed(history, at=1000.0):
    """The facts with times that grow."""
    for gap, fact in history:
        at += gap
        yield msgspec.structs.replace(fact, at=at)


def walk(setup, history):
    """Every outcome, one after the other."""
    state = first_state(setup)
    for fact in timed(history):
        outcome = step(state, fact, setup)
        state = outcome.state
        yield fact, outcome


def made(mode, policy, dry_run=False):
    return Setup(
        domains=tuple(DOMAINS.values()),
        configs={name: msgspec.convert({"mode": mode}, domain.config) for name, domain in DOMAINS.items()},
        policy=policy,
    )


@LIMITS
@given(HISTORIES, MODES, st.sampled_from([DEFAULT, CLASSIC]))
def test_whatever_is_seen_it_decides_the_same_again_and_its_state_survives_json(history, mode, policy):
    first = list(walk(made(mode, policy), history))
    again = list(walk(made(mode, policy), history))
    assert [o.plan for _, o in first] == [o.plan for _, o in again]
    assert [o.replies for _, o in first] == [o.replies for _, o in again]
    for _, outcome in first[-1:]:
        for name, domain in DOMAINS.items():
            state = outcome.state.domains[name]
            assert msgspec.json.decode(msgspec.json.encode(state), type=domain.state) == state
        assert msgspec.json.decode(msgspec.json.encode(outcome.state.view), type=View) == outcome.state.view


@LIMITS
@given(HISTORIES, MODES)
def test_every_action_has_a_reason_and_a_key_of_its_own(history, mode):
    for _, outcome in walk(made(mode, DEFAULT), history):
        keys = [action.key for action in outcome.plan]
        assert len(keys) == len(set(keys))
        assert all(action.reason.strip() for action in outcome.plan)
        assert all(reply.text or reply.state == "done" for reply in outcome.replies if reply.state != "failed")


@LIMITS
@given(HISTORIES)
def test_what_is_not_ours_is_only_acted_on_for_a_person(history):
    for _, outcome in walk(made("auto", DEFAULT), history):
        view = outcome.state.view
        for action in outcome.plan:
            if changes(action) and view.observed_only:
                assert action.human
            if changes(action) and view.owner == "healer":
                assert action.kind in ("restart-in-place", "reload")


@LIMITS
@given(HISTORIES, st.sampled_from(["off", "observe", "ask"]))
def test_unless_its_mode_is_auto_no_domain_changes_anything_unasked(history, mode):
    asked = quitting = stopped = False  # an end that a person asked for is carried out, whatever comes after
    for fact, outcome in walk(made(mode, DEFAULT), history):
        asked = asked or isinstance(fact, Asked)
        quitting = quitting or fact.__class__.__name__ == "Quitting"
        stopped = stopped or outcome.state.view.want == "stopped"
        for action in outcome.plan:
            assert not changes(action) or asked or quitting or stopped, action


@LIMITS
@given(HISTORIES)
def test_after_a_stop_nothing_starts_it(history):
    stopped = False
    for fact, outcome in walk(made("auto", DEFAULT), history):
        view = outcome.state.view
        stopped = view.want == "stopped"
        assert not (stopped and any(action.kind == "start" for action in outcome.plan)), fact


@LIMITS
@given(FACTS, HISTORIES)
def test_the_same_fact_twice_adds_no_second_wish(fact, history):
    state = first_state(make := made("auto", DEFAULT))
    for known in timed(history):
        state = step(state, known, make).state
    fact = msgspec.structs.replace(fact, at=state.view.at + 1.0)
    first = step(state, fact, make)
    second = step(first.state, fact, make)
    if not isinstance(fact, Ended | Asked):  # an end allows the next try, and two requests are two
        assert {a.key for a in first.plan} & {a.key for a in second.plan} == set()


@pytest.mark.parametrize("name", DOMAINS)
def test_a_domain_alone_is_at_peace_with_a_healthy_gateway(name):
    domain = DOMAINS[name]
    process, view, state = Process(pid=5, started=5), View(), domain.state()
    steps = [
        OwnerSeen(at=1.0, owner="ours", process=process, port=1),
        ConfigSeen(at=2.0, digest="c1", parsed=True, valid=True),
        LinkUp(at=3.0, version=VERSION, protocol=4, boot_id="b1"),
        *(
            fact
            for at in range(4, 900, 5)
            for fact in (
                Tick(at=float(at)),
                Probed(at=at + 0.1, tcp=True, live=True, started=True, ready=True, version=VERSION),
                ProcessSeen(at=at + 0.2, process=process, state="S", cpu=at * 0.02),
                Heard(at=at + 0.3),
            )
        ),
    ]
    for fact in steps:
        before, view = view, fold(view, fact)
        view = msgspec.structs.replace(view, phase="running", ready=fact.at > 5) if fact.at > 5 else view
        out: Step = domain.step(
            state, fact, Context(view=view, before=before, config=domain.config(), policy=DEFAULT, at=view.at)
        )
        state = out.state
        if fact.at > 10:
            assert [wish for wish in out.wishes if wish.kind != "dial"] == []
            assert out.symptoms == ()


@pytest.mark.parametrize("mode", list(Mode))
def test_a_dry_run_performs_nothing_and_says_each_thing_once(mode):
    s = Story().begin(dry_run=True)
    s.feed(OwnerSeen(at=s.now, owner="none", port=1, mode=mode))
    for verb in ("start", "restart", "reload", "stop", "doctor", "restore"):
        s.ask(verb)
        s.run(30)
    assert s.starts == s.kills == []
    assert s.process is None
    automatic = [f"{a.kind}: {a.reason}" for _, a in s.plans if changes(a) and not a.human]
    assert len(automatic) == len(set(automatic))


@pytest.mark.parametrize("verb", ["start", "restart", "stop"])
def test_a_person_is_never_kept_waiting_by_budget_quarantine_or_pause(verb):
    from regrow.testing.story import Fate

    s = Story(lambda _n: Fate(ready=None, dies=2.0)).begin().run(1800)
    assert s.state.view.phase == "quarantine"
    s.until(lambda: s.process is None)
    before = len(s.starts)
    request = s.ask(verb)
    s.run(1.5)
    if verb == "stop":
        assert [r.state for _, r in s.replies if r.request == request] == ["done"]
    else:
        assert len(s.starts) == before + 1
