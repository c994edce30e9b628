"""Reloads, repairs and the rarer remedies, told as stories."""

import pytest

from regrow.decide.domains.liveness import LivenessConfig
from regrow.decide.domains.settings import SettingsConfig
from regrow.decide.profiles import CLASSIC
from regrow.decide.supervise.restarts import Restart
from regrow.model.actions import RestartGateway
from regrow.model.facts import Asked, ConfigSeen, Ended, HostSeen, OwnerSeen, PongMissed, Probed, ProcessSeen, Tick
from regrow.model.verdicts import Verdict
from regrow.testing.story import Fate, Story, setup


def answers(s, request):
    return [r.state for _, r in s.replies if r.request == request]


def serving(**more):
    return Story(**more).begin().run(30)


def answering(s, kind, verdict):
    """Actions of this kind end like that."""
    effect = s._effect
    s._effect = lambda action: verdict if action.kind == kind else effect(action)


# ── reloads ──


@pytest.mark.parametrize(
    ("verdict", "ends", "boots"),
    [
        (Verdict("done", detail="applied"), ["done"], 1),
        (Verdict("refused", by="scope", detail="no"), ["refused"], 1),
        (Verdict("failed", detail="restart-needed"), ["queued", "done"], 2),
    ],
)
def test_a_reload_is_done_refused_or_becomes_a_restart(verdict, ends, boots):
    s = serving()
    answering(s, "reload", verdict)
    request = s.ask("reload", topics=("providers",))
    s.run(30)
    assert answers(s, request) == ends
    assert s.boots == boots
    assert len([n for _, n in s.notes if n.type == "runtime:changed"]) == 1


def test_reloads_asked_for_in_quick_succession_are_one():
    s = serving()
    asked = [s.ask("reload", delay=1.2) for _ in range(3)]
    s.run(10)
    assert len(s.done("reload")) == 1
    assert all(answers(s, request) == ["queued", "done"] for request in asked)


def test_a_reload_in_a_dry_run_says_so():
    s = Story()
    s.run(0.1)
    s.begin()
    s.run(30)
    s.state = _dry(s.state)
    request = s.ask("reload")
    s.run(5)
    assert answers(s, request) == ["done"]
    assert "dry run" in next(r.text for _, r in s.replies if r.request == request)


def _dry(state):
    from msgspec.structs import replace

    return replace(state, view=replace(state.view, dry_run=True))


def test_what_nobody_waits_for_any_more_is_not_answered():
    s = serving()
    s.ask("reload")
    s.ask("stop")
    s.run(10)
    assert s.process is None
    assert len(s.done("reload")) <= 1


def test_a_reload_follows_the_mode_of_the_file_and_the_state_of_the_gateway():
    s = serving()
    s.feed(ConfigSeen(at=s.now, digest="c1", parsed=True, reload_mode="restart"))
    s.ask("reload")
    s.run(20)
    assert s.boots == 2
    s.ask("stop")
    s.run(10)
    assert answers(s, s.ask("reload")) == ["refused"]


# ── ends ──


def test_a_gateway_that_ends_instead_of_restarting_inside_is_started_again():
    s = serving()
    s._in_place = lambda **_: s._later(0.5, lambda: s._exit(0)) or Verdict("done")
    request = s.ask("restart")
    s.run(30)
    assert answers(s, request) == ["queued", "done"]
    assert s.state.domains["liveness"].governor.level == 0


def test_a_kill_that_does_not_work_is_tried_again():
    s = serving()
    s.ignores_term = True
    s.blocked_effects.add("kill")
    s.ask("stop")
    s.run(360)
    s.blocked_effects.clear()
    s.run(60)
    assert s.process is None
    assert len(s.kills) == 1
    assert 2 <= len(s.done("kill")) <= 5


def test_a_late_refusal_of_a_restart_inside_changes_nothing_that_is_under_way():
    s = serving()
    s.drain = 60.0
    request = s.ask("restart", subject="full")
    s.run(5)
    from regrow.model.actions import RestartInPlace
    from regrow.model.facts import Ended

    s.feed(Ended(at=s.now, action=RestartInPlace(reason="x"), verdict=Verdict("failed")))
    s.run(90)
    assert answers(s, request) == ["queued", "done"]
    assert len(s.starts) == 2


def test_an_automatic_restart_that_an_invalid_file_prevents_is_only_reported():
    s = serving(make=setup(CLASSIC))
    s.edit("bad", valid=False, parsed=False)
    s.feed(PongMissed(at=s.now, misses=3))
    assert s.state.episodes.open["liveness:process"].state == "human"
    s.run(30)
    assert len(s.starts) == 1
    assert s.state.domains["liveness"].restart is None, "it answers again"


def test_an_automatic_restart_inside_is_put_off_while_the_gateway_finds_its_file_invalid():
    s = serving()
    refused = Verdict("refused", by="config", detail="openclaw.json is not valid")
    answering(s, "restart-in-place", refused)
    liveness = s.state.domains["liveness"]
    from msgspec.structs import replace

    wish = Restart(reason="memory", asked_at=s.now, due=s.now)
    s.state = replace(s.state, domains={**s.state.domains, "liveness": replace(liveness, restart=wish)})
    s.run(60)
    assert 4 <= len(s.done("restart-in-place")) <= 7
    assert s.done("terminate") == []


# ── the rarer causes ──


def test_a_long_stop_that_ends_is_given_time_to_answer():
    s = serving()
    s.blocked_effects.add("continue")
    s.stopped = True
    s.run(60)
    s.blocked_effects.clear()
    s.until(lambda: not s.stopped, within=40)
    s.busy = True
    s.run(15)
    s.busy = False
    s.run(60)
    assert s.done("terminate") == []
    assert s.ready


def states(s, letter):
    """The kernel says so, and it does not answer."""
    feed = s.feed

    def said(fact):
        if isinstance(fact, ProcessSeen):
            fact = ProcessSeen(at=fact.at, process=fact.process, state=letter, cpu=1.0)
        return feed(fact)

    s.feed = said
    s.hung = True


@pytest.mark.parametrize(("letter", "word"), [("t", "debugger"), ("D", "disks")])
def test_what_no_signal_can_help_is_only_reported(letter, word):
    s = serving()
    states(s, letter)
    s.run(300)
    assert s.done("terminate") == s.done("continue") == []
    assert word in s.state.episodes.open["liveness:process"].evidence[-1]


def test_somebody_who_keeps_stopping_it_is_left_to_a_person():
    s = serving()
    s.blocked_effects.add("continue")
    s.stopped = True
    s.run(400)
    assert len(s.done("continue")) == 3
    assert s.state.episodes.open["liveness:process"].state == "human"


def test_a_watched_gateway_gone_deaf_is_only_reported():
    s = serving(make=setup(liveness=LivenessConfig(mode="auto")))
    s.feed(OwnerSeen(at=s.now, owner="healer", process=s.process, port=1, detail="regrow other"))
    s.listening = s.serving = False
    s._hang_up(1006)
    s.run(60)
    assert s.done("revive") == []
    assert any("nothing listens" in line for line in s.state.episodes.open["liveness:process"].evidence)


def test_a_socket_that_went_silent_is_closed_and_opened_again():
    s = serving()
    feed = s.feed
    s.feed = lambda fact: feed(Tick(at=fact.at) if type(fact).__name__ in ("Heard", "Verified") else fact)
    s.run(200)
    assert s.done("hang-up")
    assert s.done("terminate") == []
    assert s.linked


def test_nothing_is_restarted_into_a_dead_network_but_what_is_down_is_started():
    s = serving()
    s.feed(HostSeen(at=s.now, route=False))
    s.die()
    s.until(lambda: s.ready, within=60)
    s.feed(HostSeen(at=s.now, route=True))
    assert s.ready


def test_a_boot_nobody_can_look_at_is_left_alone():
    s = Story(lambda _n: Fate(ready=None)).begin()
    s.until(lambda: bool(s.starts))
    feed = s.feed
    s.feed = lambda fact: feed(Tick(at=fact.at) if isinstance(fact, Probed | ProcessSeen) else fact)
    s.run(1200)
    assert s.done("terminate") == []
    assert s.state.episodes.open["liveness:process"].state == "human"


# ── the doctor ──


def test_the_doctor_is_let_at_the_same_bytes_once():
    s = serving(make=setup(settings=SettingsConfig(doctor="auto")))
    s.edit("bad", valid=False, parsed=False)
    s.die()
    s.run(600)
    assert len(s.done("doctor")) == 1
    s.edit("worse", valid=False, parsed=False)
    s.run(60)
    assert len(s.done("doctor")) == 2


def test_the_doctor_is_refused_while_it_runs_and_one_repair_at_a_time():
    s = serving()
    assert answers(s, s.ask("doctor")) == ["refused"]
    s.ask("stop")
    s.run(10)
    first = s.ask("doctor")
    second = s.ask("doctor")
    s.run(5)
    assert answers(s, second) == ["refused"]
    assert answers(s, first) == ["done"]
    assert answers(s, s.ask("restore", subject="zz")) == ["refused"]


@pytest.mark.parametrize("setting", ["off", "observe", "ask"])
def test_unless_told_so_neither_doctor_nor_copy_repairs_by_itself(setting):
    s = serving(make=setup(settings=SettingsConfig(restore=setting, doctor=setting)))
    s.edit("bad", valid=False, parsed=False)
    s.die()
    s.run(600)
    assert s.done("doctor") == s.done("restore-config") == []
    assert s.state.episodes.open["settings:config"].state == "human"


def test_a_repair_that_failed_is_not_tried_in_a_circle():
    s = serving(make=setup(settings=SettingsConfig(restore="auto")))
    answering(s, "restore-config", Verdict("refused", by="journal", detail="disk full"))
    s.edit("bad", valid=False, parsed=False)
    s.die()
    s.run(600)
    assert len(s.done("restore-config")) == 1
    assert s.state.episodes.open["settings:config"].state == "human"


def test_a_restore_waits_for_a_person_who_may_approve_it():
    s = serving(make=setup(settings=SettingsConfig(restore="ask")))
    s.edit("bad", valid=False, parsed=False)
    s.die()
    s.run(30)
    assert s.done("restore-config") == []
    (offer,) = s.state.desk.proposals.open.values()
    assert (offer.proposal.remedy, offer.proposal.risk, offer.proposal.subject) == ("restore", "destructive", "config")
    s.feed(Asked(at=s.now, id="r1", verb="approve", subject=offer.proposal.id, by="anna"))
    s.run(60)
    assert len(s.done("restore-config")) == 1
    assert [reply.state for _, reply in s.replies if reply.request == "r1"] == ["queued", "done"]


def test_a_restart_that_a_domain_wishes_is_supervisions_to_carry_out():
    s = serving()
    wish = RestartGateway(reason="memory runs out", subject="memory", domain="resources", full=True)
    s.feed(Ended(at=s.now, action=wish, verdict=Verdict("done")))
    s.run(90)
    assert len(s.done("terminate")) == 1
    assert s.state.view.ready, "it was started anew and proven"


def test_a_file_that_is_gone_is_no_copy_that_was_put_back():
    s = serving()
    s.feed(ConfigSeen(at=s.now, digest="", parsed=False))
    s.run(5)
    assert s.done("restore-config") == []
