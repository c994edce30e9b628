"""What regrow decides when things happen to a gateway, told as incident reports on virtual time."""

from msgspec.structs import replace

from regrow.decide.domains.liveness import LivenessConfig
from regrow.decide.domains.settings import SettingsConfig
from regrow.decide.profiles import CLASSIC
from regrow.model.facts import ChildExited, ConfigKept, ConfigSeen, OwnerSeen, Quitting
from regrow.model.gateway import Mode
from regrow.testing.story import VERSION, Fate, Story, setup


def test_a_first_start_judges_the_configuration_and_then_proves_readiness():
    s = Story().begin().run(20)
    assert s.ready
    assert [a.kind for _, a in s.plans][:3] == ["look-owner", "look-config", "start"]
    assert len(s.starts) == 1


def test_a_killed_gateway_is_replaced_at_once_and_the_second_time_after_a_gap():
    s = Story().begin().run(700)
    s.die()
    assert s.until(lambda: len(s.starts) == 2) < 0.1
    s.until(lambda: s.ready)
    s.die()
    took = s.until(lambda: len(s.starts) == 3)
    assert s.starts[2] - s.starts[1] >= 2.5
    assert took < 2.5
    assert s.until(lambda: s.ready) < 30


def test_a_gateway_that_cannot_boot_is_tried_ever_more_rarely_but_for_ever():
    s = Story(lambda _n: Fate(ready=None, dies=2.0, cpu=2.5)).begin().run(3600)
    assert 10 < len(s.starts) <= 60
    assert s.state.view.phase == "quarantine"
    first_hour = len(s.starts)
    s.run(3600)
    assert len(s.starts) > first_hour
    assert any(n.type == "episode:escalated" for _, n in s.notes)


def test_it_comes_back_one_boot_after_the_cause_is_gone():
    broken = True

    def fate(_n: int) -> Fate:
        return Fate(ready=None, dies=2.0) if broken else Fate()

    s = Story(fate).begin().run(1800)
    broken = False
    s.edit("c2", valid=True)
    assert s.until(lambda: s.ready) < 15


def test_an_invalid_configuration_is_not_started_into_and_wakes_up_when_mended():
    s = Story()
    s.config_valid = False
    s.begin().run(3000)
    assert s.starts == []
    assert s.state.view.phase == "held"
    s.edit("c2", valid=True)
    assert s.until(lambda: s.ready) < 15


def test_a_person_is_told_at_once_that_an_invalid_configuration_refuses_a_restart_and_force_overrides():
    s = Story().begin().run(20)
    s.edit("bad", valid=False, parsed=False)
    request = s.ask("restart")
    s.run(5)
    assert [r.state for _, r in s.replies if r.request == request][-1] == "refused"
    assert s.ready
    s.ask("restart", force=True)
    s.run(2)
    assert s.done("restart-in-place")


def test_a_change_under_a_running_gateway_is_judged_at_once_and_an_undecided_judge_is_asked_again_rarely():
    s = Story().begin().run(20)
    s.edit("bad", valid=False)
    assert s.until(lambda: s.state.view.config_ok is False) < 5
    assert [n.data["subject"] for _, n in s.notes if n.type == "episode:opened"] == ["config"]
    s.edit("c1", valid=True)
    s.run(5)
    assert [n.data["subject"] for _, n in s.notes if n.type == "episode:closed"] == ["config"]
    looked = len(s.done("look-config"))
    s.edit("c3", valid=True)
    s.config_valid = None
    s.run(600)
    assert 8 <= len(s.done("look-config")) - looked <= 11
    assert s.ready


def test_a_restart_that_the_gateway_refuses_for_its_file_does_not_end_what_serves():
    s = Story().begin().run(20)
    s.blocked_effects.add("look-config")
    s.edit("bad", valid=False)
    request = s.ask("restart")
    s.run(600)
    assert [r.state for _, r in s.replies if r.request == request] == ["queued", "refused"]
    assert s.ready
    assert s.done("terminate") == []


def test_a_full_restart_right_after_an_edit_waits_for_the_judge():
    s = Story().begin().run(20)
    s.edit("bad", valid=False)
    request = s.ask("restart", subject="full")
    s.run(30)
    assert [r.state for _, r in s.replies if r.request == request] == ["queued", "refused"]
    assert s.ready
    s.edit("c2", valid=True)
    request = s.ask("restart", subject="full")
    s.run(30)
    assert [r.state for _, r in s.replies if r.request == request] == ["queued", "done"]
    assert len(s.starts) == 2


def test_a_stop_is_held_until_start_whatever_happens():
    s = Story().begin().run(20)
    request = s.ask("stop")
    s.run(10)
    assert [r.state for _, r in s.replies if r.request == request] == ["queued", "done"]
    s.edit("c2", valid=True)
    s.run(7200)
    assert len(s.starts) == 1
    assert s.state.view.phase == "stopped"
    s.ask("start")
    assert s.until(lambda: s.ready) < 15


def test_a_stop_of_an_earlier_life_of_regrow_still_holds():
    s = Story().begin(want="stopped").run(600)
    assert s.starts == []


def test_a_restart_happens_inside_the_process_and_is_proven():
    s = Story().begin().run(20)
    request = s.ask("restart")
    assert s.until(lambda: any(r.request == request and r.state == "done" for _, r in s.replies)) < 15
    assert len(s.starts) == 1
    assert s.boots == 2


def test_a_gateway_that_will_not_restart_in_place_is_ended_in_good_order_and_started():
    s = Story().begin().run(20)
    s.refuses_in_place = True
    request = s.ask("restart")
    assert s.until(lambda: any(r.request == request and r.state == "done" for _, r in s.replies)) < 30
    assert len(s.starts) == 2
    assert s.kills == []


def test_restarts_asked_for_together_are_one():
    s = Story().begin().run(20)
    asked = [s.ask("restart"), s.ask("restart"), s.ask("restart")]
    s.run(30)
    done = {r.request for _, r in s.replies if r.state == "done"}
    assert set(asked) <= done
    assert s.boots == 2


def test_a_restart_asked_for_while_starting_waits_and_is_not_dropped():
    s = Story().begin()
    s.until(lambda: bool(s.starts))
    request = s.ask("restart")
    assert [r.state for _, r in s.replies if r.request == request] == ["queued"]
    s.run(40)
    assert [r.state for _, r in s.replies if r.request == request][-1] == "done"


def test_a_stopped_process_is_continued_within_fifteen_seconds_and_nothing_else_is_done():
    s = Story().begin().run(60)
    s.stopped = True
    assert s.until(lambda: not s.stopped) <= 15
    s.run(60)
    assert s.ready
    assert len(s.starts) == 1
    assert s.done("terminate") == []
    assert [n.data["state"] for _, n in s.notes if n.type == "episode:closed"] == ["cured"]


def test_a_hung_gateway_is_verified_captured_ended_and_replaced():
    s = Story().begin().run(60)
    s.hung = True
    took = s.until(lambda: len(s.starts) == 2, within=120)
    assert 20 <= took <= 60
    kinds = [a.kind for _, a in s.plans]
    assert kinds.index("verify") < kinds.index("capture") < kinds.index("terminate") < kinds.index("kill")
    assert s.until(lambda: s.ready) < 30


def test_a_gateway_busy_for_eight_seconds_is_left_alone():
    s = Story().begin().run(60)
    s.busy = True
    s.run(8)
    s.busy = False
    s.run(120)
    assert len(s.starts) == 1
    assert s.done("terminate") == []


def test_even_twenty_three_busy_seconds_are_left_alone():
    s = Story().begin().run(60)
    s.busy = True
    s.run(23)
    s.busy = False
    s.run(120)
    assert s.done("terminate") == []


def test_a_zombie_without_a_listener_is_woken_up():
    s = Story().begin().run(20)
    s.zombie_next = True
    s.ask("restart")
    s.until(lambda: bool(s.done("revive")), within=120)
    assert s.until(lambda: s.ready) < 30
    assert len(s.starts) == 1


def test_a_zombie_that_cannot_be_woken_is_ended_and_started_again():
    s = Story().begin().run(20)
    s.blocked_effects.add("revive")
    s.zombie_next = True
    s.ask("restart")
    s.until(lambda: len(s.starts) == 2, within=240)
    s.until(lambda: s.ready)


def test_a_foreign_listener_is_reported_and_never_touched():
    s = Story()
    s.listener = "python -m http.server (pid 7)"
    s.begin().run(600)
    assert s.starts == []
    assert s.state.view.phase == "foreign"
    assert s.done("kill") == s.done("terminate") == []
    s.listener = ""
    assert s.until(lambda: s.ready) < 40


def test_a_boot_without_progress_is_ended_and_tried_again():
    fates = [Fate(ready=None), Fate()]
    s = Story(lambda n: fates[min(n, 2) - 1]).begin()
    s.until(lambda: len(s.starts) == 2, within=1200)
    s.until(lambda: s.ready)


def test_dry_run_starts_nothing_and_says_so_once():
    s = Story().begin(dry_run=True).run(300)
    assert s.starts == []
    assert len(s.done("start")) == 1


def test_the_same_crash_three_times_is_not_restarted_blindly():
    s = Story(lambda _n: Fate(ready=5.0, dies=10.0, fingerprint="f1")).begin()
    s.until(lambda: len(s.starts) == 3)
    third = s.starts[2]
    s.until(lambda: len(s.starts) == 4)
    assert s.starts[3] - third >= 40
    assert s.state.domains["liveness"].governor.quarantined


def test_exit_78_with_a_valid_file_is_looked_into_and_then_tried_rarely():
    s = Story(lambda _n: Fate(ready=None, dies=2.0, code=78)).begin().run(1800)
    assert len(s.starts) <= 30
    assert len(s.done("look-config")) >= 1
    assert s.state.view.phase == "quarantine"


def test_a_broken_file_under_a_running_gateway_is_only_reported():
    s = Story().begin().run(30)
    s.edit("bad", valid=False, parsed=False)
    s.run(600)
    assert s.ready
    assert s.done("restore-config") == []
    assert "settings:config" in s.state.episodes.open


def test_a_proven_copy_comes_back_when_restoring_is_automatic_and_the_gateway_is_down():
    s = Story(make=setup(settings=SettingsConfig(restore="auto"))).begin().run(30)
    s.edit("bad", valid=False, parsed=False)
    s.die()
    s.until(lambda: s.ready, within=60)
    assert len(s.done("restore-config")) == 1
    assert s.digest == "c1"


def test_restoring_is_only_offered_by_default_and_done_when_asked():
    s = Story().begin().run(30)
    s.edit("bad", valid=False, parsed=False)
    s.die()
    s.run(300)
    assert s.done("restore-config") == []
    assert s.state.view.phase == "held"
    request = s.ask("restore")
    s.until(lambda: s.ready, within=60)
    assert [r.state for _, r in s.replies if r.request == request] == ["done"]


def test_a_gateway_that_ignores_sigterm_is_killed_after_its_budget():
    s = Story().begin().run(30)
    s.ignores_term = True
    s.ask("stop")
    s.run(329)
    assert s.kills == []
    s.run(20)
    assert len(s.kills) == 1
    assert s.state.view.phase == "stopped"


def test_start_asked_for_during_a_stop_follows_it():
    s = Story().begin().run(30)
    s.drain = 20.0
    s.ask("stop")
    s.run(3)
    request = s.ask("start")
    s.run(60)
    assert s.ready
    assert [r.state for _, r in s.replies if r.request == request][-1] == "done"
    assert len(s.starts) == 2


def test_the_classic_profile_restarts_on_missed_heartbeats():
    from regrow.model.facts import PongMissed

    for policy, starts in ((CLASSIC, 2), (None, 1)):
        s = (Story(make=setup(policy)) if policy else Story()).begin().run(30)
        s.feed(PongMissed(at=s.now, misses=3))
        s.run(40)
        assert len(s.starts) == starts


def test_auto_start_off_waits_for_a_person():
    s = Story(make=setup(liveness=LivenessConfig(auto_start=False))).begin().run(600)
    assert s.starts == []
    s.ask("start")
    assert s.until(lambda: s.ready) < 20


def test_an_update_under_way_holds_starts_until_the_tree_is_quiet():
    from regrow.model.facts import PackageSeen

    s = Story().begin().run(30)
    s.feed(PackageSeen(at=s.now, version="2026.9.6", stamp="p2", quiet=False))
    s.die()
    s.run(300)
    assert len(s.starts) == 1
    s.feed(PackageSeen(at=s.now, version="2026.9.7", stamp="p3", quiet=True))
    assert s.until(lambda: s.ready) < 20


def test_what_another_keeper_tends_is_neither_adopted_nor_started_again():
    s = Story().begin().run(20)
    s.feed(OwnerSeen(at=s.now, owner="healer", process=s.process, port=1, detail="regrow other (pid 7)"))
    request = s.ask("adopt")
    assert [r.state for _, r in s.replies if r.request == request] == ["refused"]
    s.blocked_effects.add("look-owner")
    s.die()
    s.run(600)
    assert len(s.starts) == 1
    s.blocked_effects.clear()
    s.run(30)
    assert len(s.starts) == 2


def test_what_was_proven_in_an_earlier_life_needs_no_judge():
    s = Story()
    s.feed(ConfigKept(at=s.now, digest=s.digest, version=VERSION))
    s.begin().run(20)
    assert s.ready
    assert s.done("look-config") == []


def test_a_crash_into_an_invalid_file_is_one_incident():
    s = Story().begin().run(20)
    s.digest, s.config_valid = "bad", False  # written a moment before the crash: nobody has looked at it yet
    s.die()
    s.run(1)
    s.edit("bad", valid=False)
    s.run(60)
    told = [(n.type, n.data["domain"]) for _, n in s.notes if n.type.startswith("episode:")]
    assert told.count(("episode:opened", "liveness")) == 1
    assert ("episode:closed", "liveness") not in told
    assert s.state.view.phase == "held"


def test_a_gateway_that_hands_over_is_started_again_at_once_and_that_is_no_failure():
    s = Story().begin().run(30)
    for _ in range(4):
        process = s.process
        s.process, s.listening, s.serving = None, False, False
        s.feed(ChildExited(at=s.now, process=process, code=0, handed_over=True))
        count = len(s.starts)
        assert s.until(lambda count=count: len(s.starts) == count + 1) < 0.1
        s.until(lambda: s.ready)
    assert s.state.domains["liveness"].governor.level == 0


def test_a_start_tells_who_asked_for_it_and_a_stop_who_wants_it():
    s = Story().begin().run(20)
    s.ask("stop", by="anna")
    s.run(20)
    [stopped] = [n.data for _, n in s.notes if n.type == "status" and n.data["phase"] == "stopped"]
    assert (stopped["want"], stopped["wantBy"]) == ("stopped", "anna")
    s.ask("start", by="ben", reason="new disk")
    s.run(20)
    reasons = [a.reason for _, a in s.plans if a.kind == "start"]
    assert reasons == ["it does not run", "asked for by ben: new disk"]


def test_what_ends_with_regrow_is_not_told_as_stopped_by_a_person():
    s = Story().begin().run(20)
    s.feed(Quitting(at=s.now))
    s.run(20)
    [stopped] = [n.data for _, n in s.notes if n.type == "status" and n.data["phase"] == "stopped"]
    assert stopped["want"] == "running"


def test_a_taken_port_stays_one_trouble_while_a_person_asks_for_a_start():
    s = Story()
    s.listener = "another program"
    s.begin().run(30)
    request = s.ask("start")
    s.run(30)
    assert [r.state for _, r in s.replies if r.request == request] == ["queued", "refused"]
    told = [n.type for _, n in s.notes if n.type.startswith("episode:")]
    assert told == ["episode:opened"]
    assert s.state.view.phase == "foreign"


def test_a_held_gateway_stays_held_while_a_person_asks_in_vain():
    s = Story()
    s.config_valid = False
    s.begin().run(30)
    assert s.state.view.phase == "held"
    before = len(s.notes)
    request = s.ask("start")
    s.run(30)
    assert [r.state for _, r in s.replies if r.request == request] == ["queued", "refused"]
    assert [n.data for _, n in s.notes[before:] if n.type == "status"] == []


def test_what_is_wrong_is_not_told_as_over_because_regrow_ends():
    s = Story()
    s.listener = "another program"
    s.begin().run(30)
    s.feed(Quitting(at=s.now))
    s.run(5)
    assert [n.type for _, n in s.notes if n.type.startswith("episode:")] == ["episode:opened"]


def test_a_service_that_a_person_stopped_through_its_manager_stays_stopped_until_start():
    for stopped, starts in ((True, 0), (False, 1)):
        s = Story().begin().run(30)
        s.feed(OwnerSeen(at=s.now, owner="unit", process=s.process, mode=Mode.SERVICE, port=1))
        s.ask("adopt")
        s.run(5)
        look = OwnerSeen(
            at=s.now, owner="unit" if stopped else "none", mode=Mode.SERVICE, port=1, detail="claw.service"
        )
        s._see_owner = lambda s=s, look=look: s.feed(replace(look, at=s.now))
        before = len(s.done("start"))
        s.die(0 if stopped else 1)
        s.run(300)
        assert len(s.done("start")) - before >= starts if starts else len(s.done("start")) == before
        s.ask("start")
        s.run(2)
        assert len(s.done("start")) > before


def test_changes_that_nobody_carries_any_further_are_told_with_the_reason():
    s = Story().begin().run(20)
    s.ask("restart", delay=30.0, topics=("agents",))
    s.run(2)
    s.ask("stop")
    s.run(5)
    [told] = [n.data for _, n in s.notes if n.type == "runtime:changed"]
    assert told["topics"] == ["agents"]
    assert "a stop by tester came in between" in told["warnings"][0]


def test_a_composed_configuration_is_known_to_be_good_and_never_put_back():
    s = Story(make=setup(settings=SettingsConfig(restore="auto")))
    s.feed(ConfigKept(at=s.now, digest="whole", version=VERSION, composed=True))
    s.digest = "whole"
    s.begin().run(20)
    assert s.done("look-config") == [], "it has been served before"
    s.edit("broken", valid=False, parsed=False)
    s.die()
    s.run(60)
    assert s.state.view.phase == "held"
    assert s.done("restore-config") == []
    request = s.ask("restore", subject="whole")
    [answer] = [r for _, r in s.replies if r.request == request]
    assert (answer.state, "configuration whole is composed of several files" in answer.text) == ("refused", True)


def test_a_part_of_a_composed_file_is_not_replaced_by_an_older_whole_one():
    s = Story(make=setup(settings=SettingsConfig(restore="auto"))).begin().run(20)
    s.feed(ConfigSeen(at=s.now, digest="broken", parsed=False, problems=("it is not JSON5",), composed=True))
    s.digest, s.config_valid = "broken", False
    s.die()
    s.run(60)
    assert s.done("restore-config") == []
    [episode] = [e for e in s.state.episodes.open.values() if e.domain == "settings"]
    assert episode.state == "human"
    assert "it is composed of several files" in episode.evidence[-1]
    request = s.ask("restore")
    [answer] = [r for _, r in s.replies if r.request == request]
    assert (answer.state, answer.text.startswith("openclaw.json is composed")) == ("refused", True)


def restored(**how: object) -> Story:
    """A gateway that is down because of its file, and whose file was put back a moment ago."""
    s = Story(make=setup(settings=SettingsConfig(restore="auto")), **how).begin().run(20)
    s.edit("broken", valid=False, parsed=False)
    s.die()
    s.until(lambda: s.done("restore-config") != [])
    return s


def reverts(s: Story) -> list[dict[str, object]]:
    return [n.data for _, n in s.notes if n.type == "config:reverted"]


def test_a_copy_that_was_put_back_is_looked_at_again_when_the_gateway_has_booted_with_it():
    s = restored()
    before = len(s.done("look-config"))
    s.until(lambda: s.ready)
    s.run(120)
    assert len(s.done("look-config")) == before + 1, "once"
    assert (reverts(s), s.state.episodes.open) == ([], {})


def test_a_gateway_that_prefers_its_own_backup_is_told_of():
    s = restored()
    s.until(lambda: len(s.starts) == 2)
    s.digest = "its own"  # nobody has seen it yet when it is ready
    s.until(lambda: s.ready)
    s.run(60)
    assert reverts(s) == [{"restored": "c1", "found": "its own", "aside": ""}]
    [episode] = s.state.episodes.open.values()
    assert (episode.domain, episode.state) == ("settings", "human")
    assert "not what was put back any more" in episode.evidence[-1]
    s.run(600)
    assert len(reverts(s)) == 1
    s.edit("a person's", valid=True)
    s.run(5)
    assert s.state.episodes.open == {}


def test_the_copy_that_the_gateway_put_aside_is_named():
    s = restored()
    s.until(lambda: len(s.starts) == 2)
    s.digest = "its own"
    name = "openclaw.json.clobbered.2026"
    s.feed(ConfigSeen(at=s.now, digest="its own", parsed=True, clobbered=("openclaw.json.rejected.1", name)))
    see = s.feed

    def seen(fact):
        aside = ("openclaw.json.rejected.1", name)
        return see(replace(fact, clobbered=aside) if isinstance(fact, ConfigSeen) else fact)

    s.feed = seen
    s.until(lambda: s.ready)
    s.run(60)
    assert [told["aside"] for told in reverts(s)] == [name]
    [episode] = s.state.episodes.open.values()
    assert name in episode.evidence[-1]


def test_what_a_person_writes_instead_of_what_was_put_back_is_no_revert():
    s = Story(make=setup(settings=SettingsConfig(restore="auto"))).begin().run(20)
    s.edit("other", valid=True)
    s.run(30)
    s.ask("restore", subject="c1")
    s.run(5)
    s.edit("a person's", valid=True)
    s.run(5)
    s.ask("restart")
    s.run(60)
    assert s.ready
    assert reverts(s) == []


def test_a_domain_that_is_off_does_not_look_again():
    s = Story(make=setup(settings=SettingsConfig(mode="off"))).begin().run(20)
    s.ask("restore", subject="c1")
    s.run(5)
    looks = len(s.done("look-config"))
    s.ask("restart")
    s.run(60)
    assert s.ready
    assert len(s.done("look-config")) == looks


def test_channels_that_the_gateway_muted_itself_are_an_episode_until_it_lets_them_speak():
    s = Story().begin().run(20)
    probe = s.state.view.probe
    assert probe is not None
    s.feed(replace(probe, at=s.now, ready=True, suppressed=("telegram", "whatsapp")))
    s.feed(replace(probe, at=s.now, ready=None))  # nobody asked about traffic: no news
    [episode] = s.state.episodes.open.values()
    assert (episode.subject, episode.state) == ("channels", "open")
    assert "muted telegram, whatsapp" in episode.evidence[0]
    plans = len(s.plans)
    s.feed(replace(probe, at=s.now, ready=True))
    assert s.state.episodes.open == {}
    assert len(s.plans) == plans, "nothing is done about it here"
    s.feed(replace(probe, at=s.now, ready=True, suppressed=("telegram",)))
    s.die()
    assert "liveness:channels" not in s.state.episodes.open, "who is mute in its next life is not known yet"
