"""The laws of supervision, held against everything that may happen, in any order."""

import random

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from regrow.decide.engine import first_state, step
from regrow.decide.guards import changes
from regrow.decide.supervise.budget import KILL_GAP
from regrow.model.facts import AnyFact, HostSeen, OwnerSeen, PackageSeen, Probed, Tick
from regrow.testing.story import VERSION, Fate, Story, setup

pytestmark = pytest.mark.timeout(300)  # a hundred thousand steps, under coverage

FINAL = ("done", "refused", "failed")


class Recorded(Story):
    """A story that can be replayed, and that checks each decision as it is made."""

    def __init__(self, *args, **more):
        self.facts: list[AnyFact] = []
        self.stop_holds = False
        self.asked: set[str] = set()
        self.auto_starts: list[float] = []
        super().__init__(*args, **more)

    def feed(self, fact):
        self.facts.append(fact)
        outcome = super().feed(fact)
        for action in outcome.plan:
            self.check(action)
        return outcome

    def check(self, action):
        view = self.state.view
        if action.kind == "start":
            assert view.process is None, "a second gateway would be started"
            assert not self.stop_holds, "a gateway a person stopped would be started"
            if not action.human:
                self.auto_starts.append(self.now)
        if action.kind == "kill" and not action.human:
            s = self.state.domains["liveness"]
            recent = [t for t in s.kills if self.now - t < KILL_GAP]
            assert not recent or s.stopping.dead_anyway, "the kill budget is overdrawn"
        if changes(action) and view.observed_only:
            assert action.human, f"{action.kind} on a gateway we only observe"
        assert action.reason

    def ask(self, verb, **more):
        if verb == "stop" and self.state.view.may_stop:
            self.stop_holds = True
        if verb in ("start", "restart"):
            self.stop_holds = False
        request = super().ask(verb, **more)
        self.asked.add(request)
        return request

    @property
    def open_requests(self):
        return self.asked - {r.request for _, r in self.replies if r.state in FINAL}


FATES = [
    Fate(),
    Fate(ready=3.0),
    Fate(ready=60.0),
    Fate(ready=None),
    Fate(ready=None, dies=2.0, code=78, cpu=2.5),
    Fate(ready=None, dies=10.0, code=1, fingerprint="f"),
    Fate(ready=6.0, dies=9.0, code=134, fingerprint="heap"),
    Fate(ready=6.0, dies=200.0, code=1),
    Fate(ready=None, dies=6.5, code=0),
]


class Supervising(RuleBasedStateMachine):
    """Anything may happen to the gateway; the laws hold all the time."""

    def __init__(self):
        super().__init__()
        self.fate = Fate()
        self.story = None

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed):
        self.story = Recorded(lambda _n: self.fate, seed=seed, looking=5.0).begin()

    @rule(seconds=st.sampled_from([0.5, 3.0, 12.0, 40.0, 130.0]))
    def time_passes(self, seconds):
        self.story.run(seconds)

    @rule(fate=st.sampled_from(FATES))
    def boots_will_go(self, fate):
        self.fate = fate

    @rule(code=st.sampled_from([0, 1, 78, 134, -9, -15, None]), fingerprint=st.sampled_from(["", "f1"]))
    def it_dies(self, code, fingerprint):
        self.story.die(code, fingerprint)

    @rule(verb=st.sampled_from(["start", "stop", "restart", "reload", "restore", "adopt"]), force=st.booleans())
    def a_person_asks(self, verb, force):
        self.story.ask(verb, force=force)

    @rule(kind=st.sampled_from(["hung", "stopped", "busy"]), on=st.booleans())
    def it_freezes(self, kind, on):
        if self.story.process is not None:
            setattr(self.story, kind, on)

    @rule(digest=st.sampled_from(["c1", "c2", "bad", "worse"]))
    def somebody_edits(self, digest):
        self.story.edit(digest, valid=digest.startswith("c"), parsed=digest != "worse")

    @rule(kind=st.sampled_from(["ignores_term", "refuses_in_place", "zombie_next"]), on=st.booleans())
    def it_turns_stubborn(self, kind, on):
        setattr(self.story, kind, on)

    @rule(kind=st.sampled_from(["revive", "restart-in-place", "terminate", "start"]), on=st.booleans())
    def an_effect_fails(self, kind, on):
        (self.story.blocked_effects.add if on else self.story.blocked_effects.discard)(kind)

    @rule(on=st.booleans())
    def a_stranger_takes_the_port(self, on):
        if self.story.process is None:
            self.story.listener = "somebody (pid 7)" if on else ""

    @rule(quiet=st.booleans())
    def the_package_changes(self, quiet):
        self.story.feed(PackageSeen(at=self.story.now, version=VERSION, stamp=str(self.story.now), quiet=quiet))

    @rule(code=st.sampled_from([1006, 1012]))
    def the_line_is_lost(self, code):
        self.story._hang_up(code)

    @rule(seconds=st.sampled_from([20.0, 4000.0]), told=st.booleans())
    def the_host_sleeps(self, seconds, told):
        s = self.story
        s._queue = [(at + seconds, number, call) for at, number, call in s._queue]
        s.now += seconds
        s.feed(Tick(at=s.now, slept=seconds if told else 0.0))

    @rule(owner=st.sampled_from(["healer", "ours"]), rivals=st.sampled_from([(), ("a watchdog",)]))
    def whose_it_is_changes(self, owner, rivals):
        s = self.story
        if s.process is not None:
            s.feed(OwnerSeen(at=s.now, owner=owner, process=s.process, port=1, detail=owner, rivals=rivals))

    @rule()
    def nothing_can_be_looked_at(self):
        self.story.feed(Probed(at=self.story.now))

    @rule(route=st.sampled_from([True, False, None]))
    def the_network_changes(self, route):
        self.story.feed(HostSeen(at=self.story.now, route=route))

    @invariant()
    def reasons_are_sound(self):
        if self.story is None:
            return
        assert self.story.state.faults == ()
        recent = [t for t in self.story.auto_starts if self.story.now - t < 600]
        assert len(recent) <= 24, "it spins"

    def teardown(self):
        """Once faults stop, it comes back, and everybody who asked has been answered."""
        s = self.story
        if s is None:
            return
        self.fate = Fate()
        s.blocked_effects.clear()
        s.hung = s.stopped = s.busy = s.ignores_term = s.refuses_in_place = s.zombie_next = False
        s.listener = ""
        s.feed(PackageSeen(at=s.now, version=VERSION, stamp="end"))
        s.feed(HostSeen(at=s.now, route=True, pressed=False))
        s._see_owner()
        s.edit("c9", valid=True)
        if s.state.view.want == "running":
            s.until(lambda: s.ready, within=2400)
        s.run(400)
        assert s.open_requests == set(), [f for f in s.facts if getattr(f, "id", "") in s.open_requests]
        assert s.state.faults == ()
        self.replayed()

    def replayed(self):
        """Same facts, same answers; and the state survives JSON."""
        s, state = self.story, first_state(self.story.setup)
        plans = []
        for fact in s.facts:
            outcome = step(state, fact, s.setup)
            state = outcome.state
            plans.extend(outcome.plan)
        assert plans == [action for _, action in s.plans]
        for domain in s.setup.domains:
            kept = state.domains[domain.name]
            assert msgspec.json.decode(msgspec.json.encode(kept), type=domain.state) == kept


TestSupervising = Supervising.TestCase
TestSupervising.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_a_hundred_thousand_random_steps_keep_the_laws():
    luck = random.Random(20261121)
    steps = 0
    while steps < 100_000:
        machine = Supervising()
        machine.begin(luck.randrange(2**16))
        for _ in range(60):
            match luck.randrange(17):
                case 0:
                    machine.boots_will_go(luck.choice(FATES))
                case 1:
                    machine.it_dies(luck.choice([0, 1, 78, 134, -9, None]), luck.choice(["", "f1"]))
                case 2 | 3:
                    verbs = ["start", "stop", "restart", "reload", "restore", "adopt"]
                    machine.a_person_asks(luck.choice(verbs), luck.random() < 0.2)
                case 4:
                    machine.it_freezes(luck.choice(["hung", "stopped", "busy"]), luck.random() < 0.5)
                case 5:
                    machine.somebody_edits(luck.choice(["c1", "c2", "bad", "worse"]))
                case 6:
                    machine.it_turns_stubborn(
                        luck.choice(["ignores_term", "refuses_in_place", "zombie_next"]), luck.random() < 0.5
                    )
                case 7:
                    machine.an_effect_fails(luck.choice(["revive", "restart-in-place", "start"]), luck.random() < 0.3)
                case 8:
                    machine.a_stranger_takes_the_port(luck.random() < 0.3)
                case 9:
                    machine.the_line_is_lost(luck.choice([1006, 1012]))
                case 10:
                    machine.the_host_sleeps(luck.choice([20.0, 4000.0]), luck.random() < 0.5)
                case 11:
                    machine.whose_it_is_changes(luck.choice(["healer", "ours"]), luck.choice([(), ("a watchdog",)]))
                case 12:
                    machine.nothing_can_be_looked_at()
                case _:
                    machine.time_passes(luck.choice([0.5, 3.0, 12.0, 40.0, 130.0]))
            machine.reasons_are_sound()
        steps += len(machine.story.facts)
        machine.teardown()


def test_whatever_is_observed_in_a_dry_run_nothing_is_done():
    s = Story(make=setup()).begin(dry_run=True)
    s.ask("start")
    s.run(30)
    s.edit("bad", valid=False)
    s.ask("restart")
    s.run(600)
    assert s.starts == []
    assert s.kills == []
    assert [r.state for _, r in s.replies if r.state in FINAL]
