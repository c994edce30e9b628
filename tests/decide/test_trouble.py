"""Stories in which two things go wrong at once, or one at a bad moment."""

import pytest

from regrow.decide.domains.liveness import LivenessConfig
from regrow.decide.domains.settings import SettingsConfig
from regrow.model.facts import (
    Asked,
    ChildStarted,
    Ended,
    HostSeen,
    LinkDown,
    LinkRefused,
    LinkUp,
    OutputSeen,
    OwnerSeen,
    PackageSeen,
    Probed,
    Quitting,
    RestartAnnounced,
    Tick,
    Verified,
)
from regrow.model.gateway import Mode, Process
from regrow.model.verdicts import Verdict
from regrow.testing.story import VERSION, Fate, Story, setup

FINAL = ("done", "refused", "failed")


def answers(s, request):
    return [r.state for _, r in s.replies if r.request == request]


def serving(**more):
    return Story(**more).begin().run(30)


def nap(s, seconds, *, told=True):
    """The host sleeps: everything that was to happen happens so much later."""
    s._queue = [(at + seconds, number, call) for at, number, call in s._queue]
    s.now += seconds
    if told:
        s.feed(Tick(at=s.now, slept=seconds))


# ── restarts inside the process ──


def test_a_line_lost_while_it_drains_does_not_make_the_restart_wait_for_ever():
    s = serving()
    s.drain = 100_000.0  # it never comes to it
    request = s.ask("restart")
    s.run(10)
    s._hang_up(1006)
    s.run(800)
    assert answers(s, request) == ["queued", "done"]
    assert len(s.starts) == 2


def test_a_drain_of_five_minutes_is_not_cut_short():
    s = serving()
    s.drain = 300.0
    request = s.ask("restart")
    s.run(299)
    assert s.done("terminate") == []
    s.run(60)
    assert answers(s, request) == ["queued", "done"]
    assert len(s.starts) == 1


def test_a_gateway_that_hangs_while_it_drains_is_replaced():
    s = serving()
    s.drain = 100_000.0
    request = s.ask("restart")
    s.run(10)
    s.hung = True
    s.until(lambda: len(s.starts) == 2, within=120)
    s.run(20)
    assert answers(s, request) == ["queued", "done"]


def test_a_restart_of_its_own_fulfils_the_wish_that_waits():
    s = serving()
    request = s.ask("restart", delay=2.0)
    s._later(1.0, s._go_down_in_place)
    s.run(30)
    assert answers(s, request) == ["queued", "done"]
    assert s.boots == 2
    assert s.done("restart-in-place") == []


def test_a_restart_inside_the_process_is_not_a_full_one():
    s = serving()
    request = s.ask("restart", delay=2.0, subject="full")
    s._later(1.0, s._go_down_in_place)
    s.run(60)
    assert answers(s, request)[-1] == "done"
    assert len(s.starts) == 2


def test_a_request_made_while_the_restarted_one_boots_is_a_restart_of_its_own():
    s = serving()
    first = s.ask("restart")
    s.until(lambda: s.boots == 2)
    s.run(1)
    second = s.ask("restart")
    s.run(40)
    assert answers(s, first)[-1] == answers(s, second)[-1] == "done"
    assert s.boots == 3


def test_a_crash_while_it_restarts_inside_does_not_make_a_person_wait_out_the_pauses():
    s = serving()
    for _ in range(4):
        s.die()
        s.until(lambda: s.ready)
    s.drain = 30.0
    request = s.ask("restart")
    s.run(5)
    s.die(1)
    assert s.until(lambda: s.ready) < 12
    assert answers(s, request)[-1] == "done"


def test_a_hang_that_ends_by_itself_before_its_turn_costs_no_restart():
    s = serving()
    for _ in range(6):  # the next automatic restart has to wait
        s.die()
        s.until(lambda: s.ready, within=300)
    starts = len(s.starts)
    s.hung = True
    s.until(lambda: s.state.domains["liveness"].restart is not None, within=200)
    s.hung = False
    s.run(300)
    assert len(s.starts) == starts
    assert s.state.domains["liveness"].restart is None


# ── sleep ──


@pytest.mark.parametrize("told", [True, False])
def test_a_laptop_that_sleeps_while_it_drains_cuts_nothing_short(told):
    s = serving()
    s.drain = 200.0
    s.ask("stop")
    s.run(20)
    nap(s, 4000.0, told=told)
    s.feed(Probed(at=s.now, tcp=True, live=True))
    s.run(100)
    assert s.kills == []
    s.run(120)
    assert s.state.view.phase == "stopped"


def test_a_laptop_that_sleeps_while_it_boots_ends_no_boot():
    s = Story(lambda _n: Fate(ready=100.0)).begin().run(20)
    nap(s, 4000.0, told=False)
    s.feed(Probed(at=s.now, tcp=False))
    s.run(120)
    assert s.ready
    assert len(s.starts) == 1


def test_a_laptop_that_sleeps_while_it_waits_for_a_restart_inside_gives_nothing_up():
    s = serving()
    s.drain = 200.0
    s.ask("restart")
    s.run(20)
    nap(s, 4000.0, told=False)
    s.run(220)
    assert s.done("terminate") == []
    assert s.boots == 2


# ── deaf, stopped, hung ──


def test_a_gateway_that_keeps_going_deaf_is_replaced_ever_more_rarely():
    s = serving()
    s.blocked_effects.add("revive")
    for _ in range(8):
        s.until(lambda: s.ready, within=300)
        s.listening = s.serving = False
        s._hang_up(1006)
        s.until(lambda: not s.state.view.ready, within=300)
    s.until(lambda: s.ready, within=300)
    assert s.state.domains["liveness"].governor.level >= 5
    assert s.starts[-1] - s.starts[-2] > s.starts[2] - s.starts[1] + 5


def test_a_process_stopped_while_it_boots_is_let_go_on():
    s = Story().begin()
    s.until(lambda: bool(s.starts))
    s.run(2)
    s.stopped = True
    assert s.until(lambda: not s.stopped) <= 15
    s.run(60)
    assert s.ready
    assert len(s.starts) == 1


def test_a_stop_of_a_stopped_process_lets_it_end_in_good_order():
    s = serving()
    s.stopped = True
    s.ask("stop")
    s.run(1)

    s.run(60)
    assert not s.stopped
    assert s.kills == []


def test_a_person_who_wants_a_deaf_gateway_with_an_invalid_file_restarted_is_answered():
    s = serving()
    s.edit("bad", valid=False, parsed=False)
    s.listening = s.serving = False
    s._hang_up(1006)
    s.run(60)
    assert s.state.view.phase == "held"
    request = s.ask("restart")
    s.run(5)
    assert answers(s, request)[-1] == "refused"
    request = s.ask("restart", force=True)
    s.run(60)
    assert len(s.starts) == 2
    s.edit("c2", valid=True)
    s.until(lambda: s.ready)


def test_a_deaf_gateway_of_an_old_version_is_ready_again_once_it_was_woken():
    s = serving()
    s.edit("bad", valid=False, parsed=False)
    s.listening = s.serving = False
    s._hang_up(1006)
    s.run(60)
    s.edit("c2", valid=True)
    assert s.until(lambda: s.ready, within=60) < 30
    assert s.state.view.phase == "running"


def test_words_of_a_failed_start_wake_nobody_who_listens():
    s = serving()
    s.feed(OutputSeen(at=s.now, kind="startup-failed", text="gateway startup failed"))
    s.run(60)
    assert s.done("revive") == []
    assert s.ready


def test_a_hung_gateway_with_an_invalid_file_is_left_and_a_person_is_told_once():
    s = serving()
    s.edit("bad", valid=False, parsed=False)
    s.hung = True
    s.run(200)
    assert s.done("terminate") == []
    assert s.state.episodes.open["liveness:process"].state == "human"
    level = s.state.domains["liveness"].governor.level
    s.run(200)
    assert s.state.domains["liveness"].governor.level == level
    request = s.ask("restart")
    s.run(5)
    assert answers(s, request)[-1] == "refused"
    s.hung = False
    s.run(60)
    assert s.ready
    assert len(s.starts) == 1


# ── what is only unknown ──


def old(s, **more):
    """An early-2026 gateway: no /startupz."""
    return Probed(at=s.now, tcp=True, live=True, started=None, version="2026.4.29", **more)


def mute(s):
    """The teller looks for itself."""
    s._look = lambda: s._later(5.0, s._look)


def test_an_old_gateway_that_does_not_let_us_in_is_never_ended_for_it():
    s = Story(lambda _n: Fate(ready=None)).begin()
    s.until(lambda: bool(s.starts))
    s.listening = True
    s._dial = lambda: s.feed(LinkRefused(at=s.now, code="AUTH_TOKEN_MISMATCH", blind=True))
    for _ in range(1200):
        s.run(1.0)
        s.feed(old(s))
    assert s.done("terminate") == []
    assert s.state.view.ready
    assert s.state.episodes.open["liveness:link"].state == "human"


def test_looks_that_fail_on_our_side_end_no_boot():
    s = Story(lambda _n: Fate(ready=None)).begin()
    s.until(lambda: bool(s.starts))
    feed = s.feed
    s.feed = lambda fact: feed(Probed(at=fact.at) if isinstance(fact, Probed) else fact)
    s.run(1200)
    assert s.done("terminate") == []
    assert s.state.episodes.open["liveness:process"].state == "human"


def test_a_route_that_becomes_unknown_is_not_there_again():
    s = serving()
    s.feed(HostSeen(at=s.now, route=False, pressed=True))
    s.feed(HostSeen(at=s.now))
    assert s.state.view.route is False
    assert s.state.view.pressed is True


def test_a_judge_who_never_answers_does_not_keep_it_down():
    s = Story()
    do = s._do
    s._do = lambda action: (
        s.feed(__import__("regrow.model.facts", fromlist=["Intended"]).Intended(at=s.now, action=action))
        if action.kind == "look-config"
        else do(action)
    )
    s.begin()
    assert s.until(lambda: s.ready, within=600) < 400


# ── whose it is ──


def test_another_healer_that_appears_is_left_everything_and_every_request_is_answered():
    s = serving()
    s.drain = 30.0
    s.blocked_effects.add("terminate")
    stop = s.ask("stop")
    s.run(1)
    s.feed(OwnerSeen(at=s.now, owner="healer", process=s.process, port=1, detail="regrow other"))
    s.run(60)
    assert answers(s, stop)[-1] in ("refused", "failed")
    before = len(s.plans)
    s.hung = True
    s.run(300)
    assert [a.kind for _, a in s.plans[before:] if a.kind in ("terminate", "kill", "start", "continue")] == []


def test_a_person_stops_and_restarts_our_own_gateway_although_another_supervisor_is_about():
    s = serving()
    s.feed(OwnerSeen(at=s.now, owner="ours", process=s.process, port=1, rivals=("a watchdog",)))
    full = s.ask("restart", subject="full")
    s.run(30)
    assert answers(s, full)[-1] == "done"
    s.feed(OwnerSeen(at=s.now, owner="ours", process=s.process, port=1, rivals=("a watchdog",)))
    stop = s.ask("stop")
    s.run(30)
    assert answers(s, stop)[-1] == "done"
    assert s.process is None


def test_a_gateway_that_somebody_put_in_its_place_is_only_watched():
    s = serving()
    s.pids += 1
    s.process = Process(pid=s.pids, started=s.pids)
    s.feed(OwnerSeen(at=s.now, owner="gateway", process=s.process, port=1, detail="by hand"))
    s.run(30)
    s.hung = True
    s.run(300)
    assert s.done("terminate") == s.done("kill") == []
    assert s.state.view.observed_only


def test_a_gateway_a_person_gave_us_stays_ours_when_its_process_is_replaced():
    s = Story()
    s.process = Process(pid=7, started=7)
    s.listening = s.serving = True
    s._see_owner = lambda: s.feed(OwnerSeen(at=s.now, owner="gateway", process=s.process, port=1))
    s.begin().run(60)
    assert s.ready
    s.ask("adopt")
    s.process = Process(pid=8, started=8)
    s._see_owner()
    s.run(30)
    assert not s.state.view.observed_only
    assert s.ready


def test_a_process_replaced_while_it_was_to_stop_is_stopped_if_it_is_ours():
    for owner, stopped in (("ours", True), ("gateway", False)):
        s = serving()
        s.drain = 50.0
        request = s.ask("stop")
        s.run(2)
        s.pids += 1
        s.process = Process(pid=s.pids, started=s.pids)
        s.life += 1
        s.feed(OwnerSeen(at=s.now, owner=owner, process=s.process, port=1))
        s.run(400)
        assert answers(s, request)[-1] in FINAL
        assert (s.process is None) == stopped
        assert s.state.view.phase != "stopping"


def test_a_process_replaced_while_it_was_to_be_restarted_is_the_restart():
    s = serving()
    s.drain = 50.0
    request = s.ask("restart", subject="full")
    s.run(2)
    s.pids += 1
    s.process = Process(pid=s.pids, started=s.pids)
    s.life += 1
    s.feed(OwnerSeen(at=s.now, owner="ours", process=s.process, port=1))
    s.run(100)
    assert answers(s, request) == ["queued", "done"]
    assert len(s.starts) == 1


def test_a_gateway_that_appears_after_a_stop_because_its_start_was_under_way_is_stopped():
    s = serving()
    s.ask("stop")
    s.run(5)
    assert s.process is None
    s.process = Process(pid=99, started=99)
    s.feed(ChildStarted(at=s.now, process=s.process, port=1, epoch=1))
    s.run(30)
    assert s.process is None
    assert s.state.view.phase == "stopped"


def test_a_service_that_was_only_watched_is_left_to_its_manager():
    s = Story()
    s.process = Process(pid=7, started=7)
    s.listening = s.serving = True

    def see():
        s.feed(OwnerSeen(at=s.now, owner="unit" if s.process else "none", process=s.process, port=1, mode=Mode.SERVICE))

    s._see_owner = see
    s.begin().run(60)
    s.die(0)
    s.run(300)
    assert s.starts == []
    s.process = Process(pid=8, started=8)
    s.listening = s.serving = True
    s.until(lambda: s.ready, within=60)
    s.die(0)
    s.run(5)
    request = s.ask("start")
    s.run(30)
    assert answers(s, request)[-1] == "done"


def test_an_attached_gateway_is_restarted_through_its_own_request_only():
    s = Story()
    s.process = Process(pid=7, started=7)
    s.listening = s.serving = True
    s.boot = "b0"
    s._see_owner = lambda: s.feed(OwnerSeen(at=s.now, owner="remote", mode=Mode.ATTACH, detail="wss://there"))
    s.begin().run(30)
    assert s.ready
    for verb in ("stop", "start"):
        assert answers(s, s.ask(verb))[-1] in ("refused", "done")
    request = s.ask("restart")
    s.run(30)
    assert answers(s, request) == ["queued", "done"]
    refused = s.ask("restart", subject="full")
    s.run(5)
    assert answers(s, refused)[-1] == "refused"
    s.hung = True
    s.run(300)
    assert {a.kind for _, a in s.plans} <= {
        "look-owner",
        "dial",
        "restart-in-place",
        "verify",
        "hang-up",
        "look-config",
    }


def test_adopting_what_cannot_be_ours_is_refused_with_the_reason():
    s = Story()
    s._see_owner = lambda: s.feed(OwnerSeen(at=s.now, owner="remote", mode=Mode.ATTACH, detail="wss://there"))
    s.begin().run(5)
    assert answers(s, s.ask("adopt")) == ["refused"]


# ── modes ──


@pytest.mark.parametrize("mode", ["off", "observe", "ask"])
def test_unless_its_mode_is_auto_nothing_is_done_by_itself_and_everything_on_request(mode):
    s = Story(make=setup(liveness=LivenessConfig(mode=mode))).begin().run(60)
    assert s.starts == []
    s.ask("start")
    s.until(lambda: s.ready)
    s.hung = True
    s.run(300)
    assert s.done("terminate") == s.done("kill") == []
    s.hung = False
    s.run(30)
    s.die()
    s.run(300)
    assert len(s.starts) == 1
    if mode != "off":
        assert any("regrow start" in line for line in s.state.episodes.open["liveness:process"].evidence)
    s.ask("start")
    s.until(lambda: s.ready)
    request = s.ask("restart")
    s.run(30)
    assert answers(s, request)[-1] == "done"
    request = s.ask("stop")
    s.run(10)
    assert answers(s, request)[-1] == "done"


@pytest.mark.parametrize("mode", ["observe", "auto"])
def test_quitting_ends_our_own_gateway_whatever_the_mode(mode):
    s = Story(make=setup(liveness=LivenessConfig(mode=mode))).begin()
    s.ask("start")
    s.until(lambda: s.ready)
    s.feed(Quitting(at=s.now))
    s.run(10)
    assert s.process is None
    s.run(600)
    assert len(s.starts) == 1


def test_quitting_with_leave_running_leaves_it():
    s = serving()
    s.feed(Quitting(at=s.now, leave_running=True))
    s.run(60)
    assert s.process is not None
    s.die()
    s.run(60)
    assert len(s.starts) == 1


def test_quitting_while_it_is_down_answers_who_waits():
    s = Story(lambda _n: Fate(ready=None, dies=2.0)).begin().run(100)
    s.feed(PackageSeen(at=s.now, version=VERSION, stamp="p2", quiet=False))
    request = s.ask("start")
    s.feed(Quitting(at=s.now))
    s.run(10)
    assert answers(s, request)[-1] in ("failed", "refused")


def test_ending_that_is_refused_is_not_tried_in_a_circle():
    for verb in ("quit", "stop"):
        s = serving()
        s.blocked_effects.add("terminate")
        if verb == "quit":
            s.feed(Quitting(at=s.now))
        else:
            request = s.ask("stop")
        s.run(60)
        assert len(s.done("terminate")) <= 6
        if verb == "stop":
            assert answers(s, request)[-1] in ("failed", "refused")
            s.blocked_effects.clear()
            s.run(60)
            assert s.process is None


def test_a_start_that_is_refused_again_and_again_is_not_tried_in_a_circle():
    s = Story()
    effect = s._effect
    s._effect = lambda a: Verdict("refused", by="port", detail="taken") if a.kind == "start" else effect(a)
    s.begin().run(60)
    assert len(s.done("start")) <= 13


# ── dry run ──


def test_a_stop_in_a_dry_run_changes_nothing_that_outlives_it():
    s = Story().begin(dry_run=True).run(5)
    request = s.ask("stop")
    s.run(5)
    assert s.state.view.want == "running"
    assert answers(s, request)[-1] == "done"
    assert "dry run" in next(r.text for _, r in s.replies if r.request == request)


def test_a_start_in_a_dry_run_of_what_a_person_stopped_is_answered():
    s = Story().begin(want="stopped", dry_run=True).run(5)
    request = s.ask("start")
    s.run(30)
    assert answers(s, request)[-1] == "done"
    assert s.state.view.want == "stopped"


def test_quitting_a_dry_run_does_not_say_the_same_over_and_over():
    s = Story()
    s.process = Process(pid=7, started=7)
    s.listening = s.serving = True
    s.begin(dry_run=True).run(30)
    s.feed(Quitting(at=s.now))
    s.run(30)
    assert len(s.done("terminate")) <= 1


# ── files ──


@pytest.mark.parametrize("pause", [0.0, 0.5])  # right when a start is decided, and while one waits for its turn
def test_the_doctor_is_never_let_at_a_file_beside_a_start(pause):
    s = Story(lambda _n: Fate(ready=None, dies=3.0)).begin()
    s.until(lambda: len(s.starts) == 3)
    s.until(lambda: s.process is None)
    s.run(pause)
    request = s.ask("doctor")
    s.run(60)
    assert answers(s, request)[-1] in FINAL
    assert [at for at in s.done("doctor") if any(abs(at - start) < 0.01 for start in s.done("start"))] == []


def test_a_file_that_broke_again_after_its_repair_is_a_person_s_to_mend():
    s = Story(make=setup(settings=SettingsConfig(restore="auto"))).begin().run(30)
    s.edit("bad", valid=False, parsed=False)
    s.die()
    s.until(lambda: s.ready, within=60)
    s.edit("bad", valid=False, parsed=False)
    s.die()
    s.run(60)
    assert s.state.episodes.open["settings:config"].state == "human"
    assert len(s.done("restore-config")) == 1


def test_a_person_restores_the_file_of_a_gateway_that_is_only_watched():
    s = serving()
    s.feed(OwnerSeen(at=s.now, owner="ours", process=s.process, port=1, rivals=("a watchdog",)))
    s.edit("bad", valid=False, parsed=False)
    request = s.ask("restore")
    s.run(5)
    assert answers(s, request)[-1] == "done"
    s.feed(OwnerSeen(at=s.now, owner="healer", process=s.process, port=1, detail="regrow other"))
    for verb in ("restore", "doctor"):
        assert answers(s, s.ask(verb))[-1] == "refused"


# ── versions ──


def test_a_gateway_first_seen_blind_is_ready_when_it_lets_us_in():
    s = serving()
    s.linked = False
    s.feed(LinkDown(at=s.now, code=1006))
    s.feed(LinkUp(at=s.now, version=VERSION, protocol=4, boot_id=""))
    s.feed(LinkUp(at=s.now, version=VERSION, protocol=4, boot_id="late"))
    s.run(30)
    assert s.state.view.ready
    assert s.state.view.phase == "running"


def test_an_old_version_is_ready_by_its_health_call_and_restarts_are_seen_by_their_closing_code():
    s = Story(lambda _n: Fate(ready=None)).begin()
    s.until(lambda: bool(s.starts))
    s.listening = True
    s._dial = lambda: s.feed(LinkUp(at=s.now, version="2026.4.29", protocol=3))
    feed = s.feed
    s.feed = lambda fact: feed(old(s) if isinstance(fact, Probed) else fact)
    s.until(lambda: s.state.view.ready, within=60)
    s.feed(LinkDown(at=s.now, code=1012, reason="service restart"))
    assert not s.state.view.ready
    s.until(lambda: s.state.view.ready, within=60)
    assert s.state.domains["liveness"].in_place == 1


def test_an_announced_end_for_good_is_no_restart():
    s = serving()
    s.feed(RestartAnnounced(at=s.now, restarting=False))
    assert s.state.view.phase == "running"
    s.feed(Verified(at=s.now, ok=None))
    s.feed(Ended(at=s.now, action=s.plans[0][1], verdict=Verdict("inconclusive")))
    assert s.ready


def test_a_request_of_another_kind_is_answered_by_its_own_domain():
    s = serving()
    s.feed(Asked(at=s.now, id="x", verb="restore"))
    s.run(5)
    assert answers(s, "x")[-1] == "refused"
