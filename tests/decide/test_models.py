"""Models that refuse: cooldowns, rescues of running turns, what is lent and taken back, what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from regrow.decide.cooldowns import Cooldowns, answered, cooling, hit, is_cooling
from regrow.decide.domains.models import ModelsConfig
from regrow.decide.engine import first_state, step
from regrow.decide.profiles import CLASSIC, DEFAULT
from regrow.decide.view import View
from regrow.model.actions import Undo
from regrow.model.changes import Change
from regrow.model.cooling import Cooling
from regrow.model.facts import ChangesKept, Ended, Intended, LinkDown, Started, Tick
from regrow.model.gateway import Phase, Process
from regrow.model.models import (
    Candidate,
    ModelFailed,
    ModelsSeen,
    SwitchModel,
    TurnEnded,
    TurnRetrying,
    TurnWentOn,
)
from regrow.model.verdicts import Verdict
from regrow.testing.fates import setup

SEEN = ModelsSeen(
    at=0.0, agent="main", order=("a/m", "b/m", "c/m"),
    models=(Candidate("a/m", True), Candidate("b/m", True), Candidate("c/m")),
)  # fmt: skip
KEY = "agent:main:x"


def retrying(attempt, cause="rate", provider="a", run="r1", session=KEY):
    return TurnRetrying(
        at=0.0, run=run, session=session, agent="main", provider=provider, model="m", attempt=attempt, cause=cause
    )


def failed(cause, retry_after=None, provider="a"):
    return ModelFailed(
        at=0.0, run="r1", session=KEY, agent="main", provider=provider, model="m", cause=cause, retry_after=retry_after
    )


def over(ok=True, provider="b", run="r1"):
    return TurnEnded(at=0.0, run=run, session=KEY, ok=ok, provider=provider, model="m")


class Gateway:
    """A gateway that serves; only the models domain decides."""

    def __init__(self, *, policy=DEFAULT, seen=SEEN, **config):
        made = setup(policy, models=ModelsConfig(**config))
        self.setup = replace(made, domains=tuple(d for d in made.domains if d.name == "models"))
        view = View(
            phase=Phase.RUNNING, ready=True, owner="ours", adopted=True, process=Process(7, 1), link="up", boot_id="b"
        )
        self.state = replace(first_state(self.setup), view=view)
        self.now = 1000.0
        self.plans, self.notes, self.offers = [], [], []
        if seen is not None:
            self.tell(seen)

    def tell(self, fact):
        outcome = step(self.state, replace(fact, at=self.now), self.setup)
        self.state = outcome.state
        self.plans += outcome.plan
        self.notes += outcome.notes
        self.offers += outcome.proposals
        return outcome

    def wait(self, seconds):
        for _ in range(round(seconds)):
            self.now += 1.0
            self.tell(Tick(at=0.0))
        return self

    def does(self, action, result="done", **more):
        if result != "refused":
            self.tell(Intended(at=0.0, action=action))
        return self.tell(Ended(at=0.0, action=action, verdict=Verdict(result, **more)))

    def told(self, type_):
        return [note.data for note in self.notes if note.type == type_]


def lent(action, name="c1"):
    return Change(
        id=name, kind="session-pin", subject=action.subject, before="", after=action.model, at=1.0, domain="models"
    )


# ── a turn that is being retried ──


def test_a_turn_on_its_third_attempt_is_given_another_model_and_gets_its_own_back():
    gateway = Gateway()
    gateway.tell(retrying(2))
    assert gateway.plans == [], "one failure is a hiccup"
    gateway.wait(2).tell(retrying(3))
    (switch,) = gateway.plans
    assert (switch.kind, switch.subject, switch.model) == ("switch-model", KEY, "b/m")
    gateway.does(switch, changes=(lent(switch),))
    assert gateway.told("self-heal:session-patched") == [
        {"sessionKey": KEY, "oldModel": None, "newModel": "b/m", "trigger": switch.reason, "dryRun": False}
    ]
    gateway.wait(5)
    assert len(gateway.plans) == 1, "nothing is taken back while the turn runs"
    gateway.tell(over())
    back = gateway.plans[1]
    assert isinstance(back, Undo)
    assert back.changes == (lent(switch),)
    gateway.does(back, undone=("c1",))
    gateway.wait(60)
    assert len(gateway.plans) == 2


def test_six_seconds_of_retrying_are_enough():
    gateway = Gateway()
    gateway.tell(retrying(2, "transport"))
    gateway.wait(5)
    assert gateway.plans == []
    gateway.wait(2)
    assert [a.model for a in gateway.plans] == ["b/m"]


def test_it_is_tried_once_per_turn_whatever_becomes_of_it():
    gateway = Gateway()
    gateway.tell(retrying(3))
    gateway.does(gateway.plans[0], "refused", by="human", detail="a person chose a/m")
    gateway.wait(60)
    gateway.tell(retrying(4))
    assert len(gateway.plans) == 1
    gateway.tell(over(ok=False))
    gateway.tell(retrying(3, run="r2", provider="b"))
    assert [a.model for a in gateway.plans] == ["b/m", "a/m"], "a is no longer left alone"


def test_what_is_cooling_or_not_available_is_no_rescue():
    away = ModelsSeen(at=0.0, agent="main", order=SEEN.order, models=(Candidate("a/m"), Candidate("b/m", False)))
    gateway = Gateway(seen=away)
    gateway.tell(retrying(3))
    assert gateway.plans == []
    gateway = Gateway()
    gateway.tell(failed("money", provider="b"))
    gateway.tell(retrying(3))
    assert [a.model for a in gateway.plans] == ["c/m"]
    assert Gateway(seen=None).tell(retrying(3)).plan == (), "what this agent may use is not known"


def test_the_order_a_person_wrote_comes_first():
    gateway = Gateway(order=("c/m", "a/m"))
    gateway.tell(retrying(3))
    assert [a.model for a in gateway.plans] == ["c/m"]
    problems = ModelsConfig(order=("opus", "a/m")).problems()
    assert len(problems) == 1
    assert "'opus'" in problems[0]


@pytest.mark.parametrize("rescue", ["off", "observe"])
def test_a_rescue_that_is_not_wanted_does_not_happen(rescue):
    gateway = Gateway(rescue=rescue)
    gateway.tell(retrying(3))
    assert gateway.plans == gateway.offers == []


def test_a_person_may_be_asked():
    gateway = Gateway(rescue="ask")
    gateway.tell(retrying(3))
    assert [o.remedy for o in gateway.offers] == ["rescue"]


def test_nothing_is_switched_while_the_gateway_cannot_be_asked():
    gateway = Gateway()
    gateway.state = replace(gateway.state, view=replace(gateway.state.view, link="down"))
    gateway.tell(retrying(3))
    assert gateway.plans == []


def test_what_an_earlier_life_lent_is_taken_back_now_and_then_until_it_is():
    gateway = Gateway()
    change = lent(SwitchModel(reason="x", subject=KEY, model="b/m"))
    human = Change(id="c2", kind="cron", subject="j", before="true", after="false", at=1.0, domain="crons")
    gateway.tell(ChangesKept(at=0.0, changes=(change, human)))
    (back,) = gateway.plans = [*gateway.plans, *gateway.tell(Tick(at=0.0)).plan][:1]
    gateway.does(back, "failed", detail="its turn is not over yet")
    assert [a.kind for a in gateway.wait(10).plans] == ["undo"]
    gateway.wait(10)
    assert [a.kind for a in gateway.plans] == ["undo", "undo"]


def test_a_turn_nobody_heard_of_for_an_hour_is_forgotten_and_their_number_is_bounded():
    gateway = Gateway(rescue="off")
    for number in range(510):
        gateway.tell(retrying(2, run=f"r{number}"))
    assert len(gateway.state.domains["models"].turns) == 500
    gateway.now += 3700.0
    gateway.wait(1)
    assert gateway.state.domains["models"].turns == {}


def test_other_sessions_of_the_same_model_are_rescued_too():
    gateway = Gateway()
    gateway.tell(retrying(3, run="r1", session="agent:main:x"))
    gateway.tell(retrying(3, run="r2", session="agent:main:y"))
    assert [a.subject for a in gateway.plans] == ["agent:main:x", "agent:main:y"]
    gateway.does(gateway.plans[0], changes=(lent(gateway.plans[0]),))
    assert gateway.state.domains["models"].turns["r2"].tried == ()


def test_a_turn_that_goes_on_after_one_refusal_is_left_alone():
    gateway = Gateway()
    gateway.tell(retrying(2))
    gateway.tell(TurnWentOn(at=0.0, run="r1"))
    gateway.wait(60)
    assert gateway.plans == []
    gateway.tell(TurnWentOn(at=0.0, run="never heard of"))


def test_a_rescued_turn_that_goes_on_keeps_what_it_was_lent_to_its_end():
    gateway = Gateway()
    gateway.tell(retrying(3))
    switch = gateway.plans[0]
    gateway.does(switch, changes=(lent(switch),))
    gateway.tell(TurnWentOn(at=0.0, run="r1"))
    gateway.wait(30)
    assert len(gateway.plans) == 1


@pytest.mark.parametrize("lost", [LinkDown(at=0.0, code=1006), Started(at=0.0)])
@pytest.mark.parametrize("mode", ["auto", "observe"])
def test_what_was_lent_comes_back_when_nobody_tells_of_the_turn_any_more(lost, mode):
    gateway = Gateway(mode="auto")
    gateway.tell(retrying(3))
    switch = gateway.plans[0]
    gateway.does(switch, changes=(lent(switch),))
    gateway.setup = replace(gateway.setup, configs={**gateway.setup.configs, "models": ModelsConfig(mode=mode)})
    gateway.tell(lost)
    gateway.state = replace(gateway.state, view=replace(gateway.state.view, link="up", ready=True))
    gateway.wait(20)
    assert [a.kind for a in gateway.plans[1:]][:1] == ["undo"]


# ── cooldowns ──


def test_one_refusal_that_the_gateway_got_over_is_no_cooldown():
    gateway = Gateway()
    gateway.tell(retrying(2))
    gateway.tell(over(provider="a"))
    gateway.wait(30)
    assert (gateway.state.view.cooling, gateway.plans, gateway.state.episodes.open) == ((), [], {})


def test_a_cooldown_is_told_once_and_ends_with_an_answer():
    gateway = Gateway()
    gateway.tell(failed("rate", retry_after=600.0))
    gateway.wait(5)
    (told,) = gateway.told("self-heal:model-cooldown")
    assert told == {"model": "a/m", "reason": "rate", "cooldownSec": 600, "nextAvailableAt": 1600, "trigger": "rate",
                    "dryRun": False}  # fmt: skip
    assert [c.model for c in gateway.state.view.cooling] == ["m"]
    gateway.tell(over(provider="a"))
    assert gateway.told("self-heal:model-recovered") == [{"model": "a/m", "isPreferred": True, "dryRun": False}]
    assert gateway.state.view.cooling == ()
    assert gateway.state.episodes.open == {}
    gateway.tell(over(provider="a"))
    gateway.tell(over(ok=False))
    assert len(gateway.told("self-heal:model-recovered")) == 1


def test_money_and_keys_are_the_accounts_and_need_a_person():
    gateway = Gateway()
    gateway.tell(failed("money"))
    (episode,) = gateway.state.episodes.open.values()
    assert (episode.subject, episode.state) == ("a/*", "human")
    assert "top it up" in episode.evidence[0]
    assert is_cooling(gateway.state.view.cooling, "a/other")


@pytest.mark.parametrize(
    ("policy", "minutes", "cause", "seconds"),
    [(DEFAULT, None, "rate", 5), (CLASSIC, None, "rate", 18_000), (DEFAULT, 60.0, "money", 3600),
     (CLASSIC, None, "auth", 61_200), (DEFAULT, 60.0, "overload", 5)],
)  # fmt: skip
def test_the_length_is_the_profiles_or_what_a_person_set(policy, minutes, cause, seconds):
    gateway = Gateway(policy=policy, cooldown_minutes=minutes)
    gateway.tell(failed(cause))
    assert [c.until - gateway.now for c in gateway.state.view.cooling] == [seconds]


def test_a_callers_own_fault_is_nobodys():
    c = Cooldowns()
    assert hit(c, "a", "m", "caller", 1.0, hint=None, minutes=None) is c


def test_an_unpaid_account_that_is_then_called_a_failed_login_stays_unpaid():
    c = hit(Cooldowns(), "a", "m", "money", 0.0, hint=None, minutes=None)
    assert hit(c, "a", "m", "auth", 10.0, hint=None, minutes=None) is c


def test_each_failure_after_a_deadline_makes_the_next_one_longer_up_to_a_limit():
    c, at, lengths = Cooldowns(), 0.0, []
    for _ in range(8):
        c = hit(c, "a", "m", "rate", at, hint=None, minutes=None)
        (block,) = cooling(c, at)
        lengths.append(block.until - at)
        at = block.until
    assert lengths == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


def test_failures_of_the_network_count_when_they_last():
    c = Cooldowns()
    for at in (0.0, 1.0, 2.0):
        c = hit(c, "a", "m", "transport", at, hint=None, minutes=None)
    assert cooling(c, 2.0) == ()
    c = hit(c, "a", "m", "transport", 6.0, hint=None, minutes=None)
    assert [b.cause for b in cooling(c, 6.0)] == ["transport"]


def test_a_block_covers_what_it_is_for():
    block = Cooling(provider="a", model="m", cause="rate", until=9.0, since=1.0)
    assert is_cooling((block,), "a/m")
    assert not is_cooling((block,), "a/n")
    assert not is_cooling((block,), "b/m")


CAUSES = st.sampled_from(["rate", "money", "auth", "missing", "overload", "transport", "caller"])


@given(
    st.lists(st.tuples(CAUSES, st.floats(0, 1000), st.none() | st.floats(0, 1e6)), max_size=30),
    st.none() | st.just(300.0),
)
def test_deadlines_only_grow_until_an_answer(history, minutes):
    c, at = Cooldowns(), 0.0
    for cause, gap, hint in history:
        at += gap
        before = {(b.provider, b.model): b.until for b in cooling(c, at)}
        c = hit(c, "a", "m", cause, at, hint=hint, minutes=minutes)
        after = {(b.provider, b.model): b.until for b in cooling(c, at)}
        assert all(after.get(key, 0.0) >= until for key, until in before.items())
        assert all(until - at <= 86_400.0 + 61_200.0 for until in after.values())
    c, _ = answered(c, "a", "m")
    assert cooling(c, at) == ()
