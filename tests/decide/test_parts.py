"""The parts of supervision one by one: budgets, judgements, delays, guards, phases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from regrow.decide import arbiter, guards
from regrow.decide import episodes as records
from regrow.decide.domains.base import Domain, DomainConfig, Note, Reply, Step, Symptom, registry
from regrow.decide.domains.liveness import LivenessConfig
from regrow.decide.domains.settings import SettingsConfig
from regrow.decide.engine import Setup, first_state, step
from regrow.decide.episodes import Episodes
from regrow.decide.lifecycle import Impossible, Signal, advance
from regrow.decide.profiles import CLASSIC, DEFAULT, policy
from regrow.decide.supervise import governor as g
from regrow.decide.supervise import hang as h
from regrow.decide.supervise import reconnect as r
from regrow.decide.supervise.boots import Boot, budget, learned, overdue_at, progressed
from regrow.decide.supervise.budget import KILL_GAP, KILL_HOUR, KILLS_PER_HOUR, kill_allowed_at
from regrow.decide.supervise.ending import ending
from regrow.decide.supervise.exits import Ending, classify, explain
from regrow.decide.supervise.restarts import Change, Restart, Stopping, joined, merged
from regrow.decide.supervise.state import Scene, Supervision
from regrow.decide.view import View
from regrow.model.actions import (
    Capture,
    Dial,
    Doctor,
    Kill,
    LookOwner,
    Reload,
    RestartInPlace,
    RestoreConfig,
    Start,
    Terminate,
)
from regrow.model.facts import ChildExited, ConfigSeen, PackageSeen, Tick
from regrow.model.gateway import Mode, Phase, Process
from regrow.model.verdicts import Verdict

P = Process(pid=5, started=5)


# ── the kill budget ──


@given(st.lists(st.floats(0, 10_000), max_size=40))
def test_no_hour_sees_more_kills_than_allowed_and_no_two_are_close(wishes):
    kills: tuple[float, ...] = ()
    for at in sorted(wishes):
        if kill_allowed_at(kills, at) <= at:
            kills = (*kills, at)
    for i, at in enumerate(kills):
        assert all(later - at >= KILL_GAP for later in kills[i + 1 :])
        assert sum(1 for later in kills[i:] if later - at < KILL_HOUR) <= KILLS_PER_HOUR


def test_the_second_kill_waits_ten_minutes_and_the_third_an_hour():
    assert kill_allowed_at((), 5.0) == 5.0
    assert kill_allowed_at((0.0,), 5.0) == KILL_GAP
    assert kill_allowed_at((0.0, 700.0), 800.0) == KILL_HOUR


def scene_with(at=1000.0, view=None, **config):
    return Scene(view=view or View(process=P), config=LivenessConfig(**config), policy=DEFAULT, at=at)


def told(at, **more):
    return Stopping(process=P, why="restart", budget=330.0, reason="asked by nobody", told_at=at, **more)


def test_an_automatic_kill_waits_for_its_budget_a_person_s_does_not():
    s = Supervision(kills=(900.0,))
    wishes, symptoms = ending(s, told(100.0), scene_with())
    assert wishes == []
    assert "budget" in symptoms[0].evidence
    assert not symptoms[0].human
    assert isinstance(ending(s, told(100.0, human=True), scene_with())[0][0], Kill)
    assert isinstance(ending(s, told(100.0, dead_anyway=True), scene_with())[0][0], Kill)


def test_a_kill_that_its_mode_forbids_is_a_person_s_to_decide():
    wishes, symptoms = ending(Supervision(), told(100.0), scene_with(kill="ask"))
    assert wishes == []
    assert symptoms[0].human


def test_the_ill_leave_evidence_before_they_are_ended():
    wishes, _ = ending(Supervision(), replace(told(None), why="hung"), scene_with())
    assert [type(w) for w in wishes] == [Capture]


# ── hung or not ──


def missed(times, **more):
    found = h.Hang(**more)
    for at in times:
        found = h.missed(found, at)
    return found


@pytest.mark.parametrize(
    ("state", "judgement"), [("t", h.Judgement.TRACED), ("D", h.Judgement.BLOCKED), ("S", h.Judgement.VERIFY)]
)
def test_the_state_of_the_process_names_the_cause(state, judgement):
    assert h.judge(missed((0.0, 10.0, 20.0, 25.0), state=state), 30.0, DEFAULT) is judgement


def test_what_could_not_be_asked_is_asked_again_and_convicts_nobody():
    asked = replace(missed((0.0, 10.0, 20.0)), verify_at=25.0)
    assert h.judge(asked, 26.0, DEFAULT) is h.Judgement.SUSPECT
    unknown = h.verified(asked, None)
    assert h.judge(unknown, 26.0, DEFAULT) is h.Judgement.VERIFY
    assert h.judge(h.verified(asked, False), 26.0, DEFAULT) is h.Judgement.HUNG
    assert h.judge(h.verified(asked, True), 26.0, DEFAULT) is h.Judgement.FINE


def test_a_sick_host_acquits():
    sick = h.sickened(missed((0.0, 10.0, 20.0)), 21.0)
    assert h.judge(sick, 22.0, DEFAULT) is h.Judgement.FINE
    assert h.missed(sick, 30.0) == sick
    assert h.missed(sick, 21.0 + h.SICK_FOR).misses == 1


def test_a_busy_one_gets_a_minute():
    busy = replace(missed((0.0, 10.0, 20.0)), busy_at=39.0)
    assert h.judge(busy, 40.0, DEFAULT) is h.Judgement.SUSPECT
    assert h.judge(replace(busy, busy_at=60.0), 61.0, DEFAULT) is h.Judgement.VERIFY


@given(st.lists(st.floats(0, 3000), max_size=30))
def test_somebody_who_keeps_stopping_it_is_resisted_three_times_in_ten_minutes(looks):
    found = h.Hang()
    for at in sorted(looks):
        if h.may_continue(found, at):
            found = replace(found, continued=(*found.continued, at))
    for at in found.continued:
        assert sum(1 for t in found.continued if at <= t < at + 600.0) <= h.CONTINUE_TRIES


# ── boots ──


def test_a_boot_gets_three_times_what_boots_took_and_more_after_a_kill():
    assert budget((), 120.0, after_kill=False) == 120.0
    assert budget((), 120.0, after_kill=True) == 360.0
    assert budget((10.0, 100.0), 120.0, after_kill=False) == 300.0
    assert budget((1000.0,), 120.0, after_kill=False) == 900.0
    assert learned((1.0,) * 30, 2.0)[-1] == 2.0


def test_only_a_sign_of_life_buys_a_boot_more_time():
    boot = Boot(began=0.0, progress_at=0.0)
    assert overdue_at(progressed(boot, 100.0)) == 160.0
    assert progressed(boot, 100.0, pending="").progress_at == 0.0
    assert progressed(boot, 100.0, pending="plugins").progress_at == 100.0
    assert progressed(boot, 100.0, cpu=0.5).progress_at == 0.0
    assert progressed(boot, 100.0, cpu=50.0).progress_at == 100.0
    assert overdue_at(progressed(boot, 899.0)) == 900.0
    assert overdue_at(replace(boot, asleep=1000.0)) == 1120.0


# ── the governor ──


@given(st.lists(st.tuples(st.floats(0.5, 900), st.floats(0, 12)), min_size=1, max_size=60))
def test_it_never_gives_up_and_never_waits_longer_than_six_minutes(lives):
    state, at = g.Governor(), 1e6
    for lived, cpu in lives:
        state = g.booked(state, at, "x")
        if lived > 8:
            state = g.became_ready(state, at + 8)
        at += lived
        state = g.failed(state, at, cpu=cpu)
        assert at <= state.not_before + 1e-6 <= at + 361
        at = max(at, state.not_before)


def test_ready_time_and_only_ready_time_forgives():
    state = g.became_ready(replace(g.Governor(), level=5), 0.0)
    assert g.became_ready(state, 50.0) is state
    assert g.decayed(state, 59.0).level == 5
    assert g.decayed(state, 130.0).level == 3
    assert g.decayed(state, 600.0).level == 0
    assert g.decayed(replace(state, ready_since=None), 9999.0).level == 5


def test_a_first_start_is_not_counted_and_a_person_s_makes_nobody_wait():
    assert g.booked(g.Governor(), 1.0, "x", again=False).executed == 0
    assert g.booked(g.Governor(), 1.0, "x", human=True).booked is None
    assert g.suppressed(g.Governor()).suppressed == 1


# ── dialling ──


def test_dialling_slows_down_and_never_stops():
    state = r.Reconnect()
    assert state.rate == 0.0
    for at in range(12):
        state = r.refused(r.dialled(state), float(at), DEFAULT)
    assert state.gave_up_at == 9.0
    assert 11.0 + 30.0 <= state.next_at <= 11.0 + 60.0
    assert r.refused(state, 20.0, DEFAULT, blind=True).next_at == 140.0
    hinted = r.refused(r.dialled(state), 20.0, DEFAULT, retry_after=0.0)
    assert (hinted.next_at, hinted.attempts) == (20.1, state.attempts)
    again = r.connected(state)
    assert (again.attempt, again.gave_up_at) == (0, None)
    assert again.rate == round(1 / 12, 4)


# ── exits ──


@pytest.mark.parametrize(
    ("code", "ending_"),
    [
        (0, Ending.CLEAN), (78, Ending.REFUSED), (1, Ending.CRASHED), (134, Ending.ABORTED), (-6, Ending.ABORTED),
        (137, Ending.KILLED), (-9, Ending.KILLED), (143, Ending.SIGNALLED), (-15, Ending.SIGNALLED),
        (None, Ending.UNKNOWN),
    ],
)  # fmt: skip
def test_exit_codes_fall_into_classes(code, ending_):
    assert classify(ChildExited(at=0.0, process=P, code=code)) is ending_
    assert explain(ChildExited(at=0.0, process=P, code=code, culprit="matrix")).endswith("the plugin matrix")


# ── wishes for a restart ──

WISHES = st.builds(
    Restart,
    reason=st.sampled_from(["a", "b"]),
    asked_at=st.floats(0, 100),
    due=st.floats(0, 100),
    human=st.booleans(),
    force=st.booleans(),
    full=st.booleans(),
    requests=st.lists(st.text(max_size=3), max_size=3).map(tuple),
)


@given(WISHES, WISHES)
def test_joining_drops_nobody_and_never_makes_a_person_wait_for_the_healer(a, b):
    both = joined(a, b)
    assert set(both.requests) == {*a.requests, *b.requests}
    assert both.human == (a.human or b.human)
    if a.human != b.human:
        assert both.due == (a if a.human else b).due
        assert both.reason == (a if a.human else b).reason
    assert joined(None, a) is a


def test_changes_are_united():
    one = Change(topics=("a", "b"), reason="x", warnings=("w",))
    two = Change(topics=("b", "c"), warnings=("w", "v"), channel_type="telegram")
    assert merged(one, two) == Change(topics=("a", "b", "c"), reason="x", warnings=("w", "v"), channel_type="telegram")


# ── guards and plan ──

BAD = ConfigSeen(at=0.0, digest="bad", parsed=False, problems=("line 3",))


def held_by(action, **view):
    withheld = guards.check(action, View(**view))
    return withheld.by if withheld is not None else None


@pytest.mark.parametrize("human", [True, False])
def test_an_invalid_file_holds_everybody_unless_forced(human):
    assert held_by(Start(reason="x", human=human), config=BAD) == "config"
    assert held_by(RestartInPlace(reason="x", human=human), config=BAD) == "config"
    assert held_by(RestartInPlace(reason="x", human=human, force=True), config=BAD) is None
    assert held_by(Terminate(reason="x", human=human, process=P), config=BAD) is None


@pytest.mark.parametrize(
    ("view", "by"),
    [
        ({"route": False}, "network"),
        ({"pressed": True}, "host"),
        ({"lag": 1.0}, "host"),
        ({"package": PackageSeen(at=0.0, version="1", stamp="1", quiet=False)}, "update"),
        ({"rivals": ("a watchdog",)}, "owner"),
    ],
)
def test_what_holds_the_healer_does_not_hold_a_person(view, by):
    assert held_by(RestartInPlace(reason="x"), process=P, adopted=True, **view) == by
    assert held_by(RestartInPlace(reason="x", human=True), process=P, adopted=True, **view) is None


def test_a_person_may_ask_what_is_not_ours_to_restart_itself_and_no_more():
    foreign = {"process": P, "owner": "gateway", "mode": Mode.OWN}
    assert held_by(Reload(reason="x", human=True), **foreign) is None
    assert held_by(RestoreConfig(reason="x", human=True, digest="c1"), **foreign) is None
    assert held_by(Start(reason="x", human=True), **foreign) is None
    assert held_by(Terminate(reason="x", human=True, process=P), **foreign) == "owner"
    assert held_by(Doctor(reason="x", human=True), process=P, owner="healer") == "owner"
    assert held_by(Dial(reason="x"), **foreign) is None
    assert held_by(LookOwner(reason="x"), **foreign) is None


def test_a_repair_and_a_start_never_meet():
    assert guards.mending(Doctor(reason="x"), {"start"}).by == "start"
    assert guards.mending(Start(reason="x", human=True), {"restore-config:abc"}).by == "repair"
    assert guards.mending(Terminate(reason="x", process=P), {"doctor"}) is None
    assert guards.mending(Start(reason="x"), {"dial"}) is None


def test_equal_wishes_are_one_and_a_person_s_goes_first():
    plan = arbiter.arrange(
        [Dial(reason="z"), Start(reason="a"), Start(reason="b", human=True), Start(reason="c", human=True)], frozenset()
    )
    assert [(a.kind, a.reason) for a in plan] == [("start", "b"), ("dial", "z")]
    assert arbiter.arrange([Start(reason="a")], frozenset({"start"})) == []


# ── phases, episodes, profiles ──


def test_a_signal_a_phase_does_not_know_is_our_own_fault_and_shown():
    with pytest.raises(Impossible, match="told cannot happen"):
        advance(Phase.STOPPED, Signal.TOLD)

    def confused(state, _fact, _context):
        return Step(state=state, signals=(Signal.TOLD,))

    known = registry()["liveness"]
    odd = Setup(
        domains=(Domain("odd", DomainConfig, known.state, confused),), configs={"odd": DomainConfig()}, policy=DEFAULT
    )
    outcome = step(first_state(odd), Tick(at=1.0), odd)
    assert outcome.state.faults == ("told cannot happen to a gateway that is stopped",)
    assert outcome.state.view.phase is Phase.STOPPED


def test_an_episode_opens_grows_escalates_and_closes_once():
    symptom = Symptom("process", "it crashed")
    episodes, changed, notes = records.update(Episodes(), "liveness", [symptom], 1.0, well=False)
    assert [n.type for n in notes] == ["episode:opened"]
    assert records.update(episodes, "liveness", [symptom], 2.0, well=False)[1:] == ([], [])
    worse = Symptom("process", "it crashed again", human=True)
    episodes, _, notes = records.update(episodes, "liveness", [worse], 3.0, well=False)
    assert [n.type for n in notes] == ["episode:escalated"]
    assert records.tried(episodes, Dial(reason="x"), Verdict("done"), 3.1) == (episodes, [])
    episodes, _ = records.tried(episodes, Start(reason="x"), Verdict("done"), 3.2)
    episodes, changed, notes = records.update(episodes, "liveness", [], 4.0, well=True)
    assert (changed[0].state, changed[0].closed, notes[0].type) == ("cured", 4.0, "episode:closed")
    assert changed[0].evidence == ("it crashed", "it crashed again")
    assert episodes.open == {}


def test_on_windows_missed_heartbeats_never_restart():
    assert policy("classic") is CLASSIC
    figures = policy("classic", windows=True)
    assert (figures.ping_every, figures.pong_within, figures.max_misses) == (60.0, 25.0, 5)
    assert not figures.misses_restart
    assert figures.doctor


def test_a_view_without_a_file_knows_nothing_of_it():
    assert View().config_ok is None
    assert View(config=BAD).config_ok is False
    assert not Note("x", {}).data
    assert Reply("r", "done", "x").until is None
    assert SettingsConfig().restore == "ask"
