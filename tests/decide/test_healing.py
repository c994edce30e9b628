"""What holds for every healing domain: modes, proposals, pauses, quiet hours, budgets, verification."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from regrow.decide.domains.base import effective
from regrow.decide.healing import HealingConfig, Spent, quiet_until
from regrow.decide.people import is_paused
from regrow.decide.proposals import stopped
from regrow.decide.view import View
from regrow.model.actions import RestartGateway, Undo
from regrow.model.changes import Change
from regrow.model.facts import Asked, ChangesKept, Ended
from regrow.model.verdicts import Verdict
from rig.ailing import Patient

CHANGE = Change(id="c1", kind="cron", subject="job", before="true", after="false", at=1.0, domain="ailing")


def asked(verb, subject="", **more):
    return Asked(at=0.0, id=f"r-{verb}", verb=verb, by="anna", subject=subject, **more)


def said(outcome):
    return [(reply.state, reply.text) for reply in outcome.replies]


@pytest.mark.parametrize(
    ("mode", "remedy", "is_what"),
    [("auto", None, "auto"), ("auto", "ask", "ask"), ("observe", "auto", "observe"), ("ask", "auto", "ask"),
     ("off", "auto", "off"), ("auto", "off", "off")],
)  # fmt: skip
def test_a_remedy_is_as_careful_as_the_more_careful_setting(mode, remedy, is_what):
    assert effective(mode, remedy) == is_what


def test_the_smallest_remedy_is_verified_before_the_next_one_and_the_end_is_a_person():
    patient = Patient(restart="auto")
    patient.falls_ill()
    (small,) = patient.plans
    assert (small.kind, small.domain, small.subject) == ("reload", "ailing", "thing")
    patient.carries_out(small)
    assert patient.pass_time(15) == [], "it is given time to help"
    (again,) = patient.pass_time(30)
    patient.carries_out(again)
    (large,) = patient.pass_time(60)
    assert large.kind == "restart-gateway"
    patient.carries_out(large)
    assert patient.pass_time(200) == []
    (episode,) = patient.state.episodes.open.values()
    assert episode.state == "human"
    assert [t.effect for t in episode.remedies] == ["ineffective", "ineffective", ""]
    assert episode.rule == "one line"
    closed = patient.recovers().episodes[0]
    assert (closed.state, closed.remedies[-1].effect) == ("cured", "cured")


def test_what_is_only_observed_is_named_and_never_done():
    patient = Patient(mode="observe")
    patient.falls_ill()
    assert patient.pass_time(300) == []
    assert [e.subject for e in patient.state.episodes.open.values()] == ["thing"]
    silent = Patient(mode="off")
    silent.falls_ill()
    assert silent.pass_time(300) == []
    assert silent.state.episodes.open == {}


def test_a_proposal_is_made_once_approved_once_and_answered_when_done():
    patient = Patient(mode="ask")
    patient.falls_ill()
    (proposal,) = patient.outcome.proposals
    assert (proposal.state, proposal.remedy, proposal.evidence, proposal.undo) == (
        "waiting", "reload", "it is ill", "nothing to undo",
    )  # fmt: skip
    assert patient.pass_time(60) == []
    assert patient.notes.count("proposal:created") == 1
    wrong = patient.tell(asked("approve", "p-nothing"))
    assert said(wrong)[0][0] == "refused"
    assert proposal.id in said(wrong)[0][1]
    outcome = patient.tell(asked("approve", proposal.id))
    (action,) = outcome.plan
    assert (action.human, action.request) == (True, "r-approve")
    assert said(outcome)[0][0] == "queued"
    assert patient.tell(asked("approve", proposal.id)).plan == (), "it is decided once"
    outcome = patient.carries_out(action, detail="read again")
    assert said(outcome) == [("done", "read again")]
    assert outcome.proposals[0].state == "done"


def test_an_action_of_another_request_does_not_end_an_approval():
    patient = Patient(mode="ask")
    proposal = patient.falls_ill().proposals[0]
    (action,) = patient.tell(asked("approve", proposal.id)).plan
    other = replace(action, request="somebody else")
    assert patient.tell(Ended(at=0.0, action=other, verdict=Verdict("done"))).proposals == ()


def test_a_rejected_proposal_is_not_made_again_for_a_while():
    patient = Patient(HealingConfig(proposal_hours=1.0), mode="ask")
    proposal = patient.falls_ill().proposals[0]
    outcome = patient.tell(asked("reject", proposal.id, reason="not tonight"))
    assert said(outcome)[0][0] == "done"
    assert (outcome.proposals[0].state, outcome.proposals[0].why) == ("rejected", "not tonight")
    patient.pass_time(3000)
    assert patient.notes.count("proposal:created") == 1
    patient.pass_time(700)
    assert patient.notes.count("proposal:created") == 2


def test_a_proposal_ends_when_nobody_decides_or_the_cause_is_gone():
    patient = Patient(HealingConfig(proposal_hours=0.5), mode="ask")
    patient.falls_ill()
    patient.pass_time(1801)
    assert patient.notes.count("proposal:expired") == 1
    assert patient.recovers().proposals[0].why == "no longer needed"
    assert said(patient.tell(asked("approve", "p")))[0][1].endswith("none is")


def test_an_approval_that_a_guard_stops_is_refused_at_once():
    patient = Patient(mode="ask")
    proposal = patient.falls_ill().proposals[0]
    patient.state = replace(patient.state, view=replace(patient.state.view, adopted=False, owner="healer"))
    outcome = patient.tell(asked("approve", proposal.id))
    assert outcome.replies[0].state == "queued"
    held = patient.state.desk.proposals
    (key,) = held.open
    turn = stopped(held, key, "another regrow looks after it", patient.now)
    assert [(r.state, r.text) for r in turn.replies] == [("refused", "another regrow looks after it")]
    assert turn.proposals.open == {}


def test_a_pause_binds_the_healer_and_not_a_person():
    patient = Patient()
    assert said(patient.tell(asked("pause", lasts=100.0)))[0][0] == "done"
    assert is_paused(patient.state.view) == (True, patient.now + 100.0)
    outcome = patient.falls_ill()
    assert outcome.plan == ()
    assert (outcome.withheld[0].by, outcome.withheld[0].until) == ("pause", patient.now + 100.0)
    assert patient.pass_time(98) == []
    assert [a.kind for a in patient.pass_time(3)] == ["reload"]
    assert "healing:resumed" in patient.notes
    assert is_paused(patient.state.view) == (False, None)


def test_a_pause_without_an_end_lasts_until_somebody_resumes():
    patient = Patient()
    patient.tell(asked("pause"))
    assert is_paused(patient.state.view) == (True, None)
    patient.falls_ill()
    assert patient.pass_time(3_000) == []
    outcome = patient.tell(asked("resume"))
    assert said(outcome) == [("done", "healing goes on")]
    assert [a.kind for a in outcome.plan] == ["reload"]
    assert said(patient.tell(asked("resume"))) == [("done", "it was not paused")]


def test_quiet_hours_hold_what_disturbs_and_let_the_rest_through():
    begin = datetime.fromtimestamp(Patient.beginning, UTC)
    healing = HealingConfig(quiet=f"{begin.minute} {begin.hour} * * *", quiet_for=2.0)
    patient = Patient(healing, restart="auto")
    patient.falls_ill()
    for _ in range(2):
        patient.carries_out(patient.plans[-1])
        patient.pass_time(60)
    assert [a.kind for a in patient.plans] == ["reload", "reload"]
    assert next(iter(patient.state.episodes.open.values())).held[-1].by == "quiet-hours"
    patient.pass_time(7200)
    assert patient.plans[-1].kind == "restart-gateway"


@pytest.mark.parametrize(
    ("zone", "time", "end"),
    [
        ("UTC", (2026, 3, 1, 23, 30), (2026, 3, 2, 7, 0)),
        ("UTC", (2026, 3, 1, 22, 59), None),
        ("UTC", (2026, 3, 2, 7, 0), None),
        ("Europe/Berlin", (2026, 7, 1, 21, 30), (2026, 7, 2, 5, 0)),
        ("Europe/Berlin", (2026, 3, 28, 23, 0), (2026, 3, 29, 6, 0)),  # the night that is an hour shorter
        ("Nowhere/AtAll", (2026, 3, 1, 23, 30), None),
    ],
)
def test_quiet_hours_follow_the_clock_on_the_wall(zone, time, end):
    config = HealingConfig(quiet="0 23 * * *", quiet_for=8.0, zone=zone)
    found = quiet_until(config, datetime(*time, tzinfo=UTC).timestamp())
    assert found == (datetime(*end, tzinfo=UTC).timestamp() if end else None)
    assert quiet_until(HealingConfig(), 1.0) is None


def test_times_that_are_none_are_named():
    assert HealingConfig(quiet="0 23 * * *").problems() == []
    problems = HealingConfig(quiet="at night", zone="Mars/Base").problems()
    assert [p.split(":")[0] for p in problems] == ["healing.zone", "healing.quiet"]


def test_budgets_stop_the_healer_and_say_when_it_goes_on():
    patient = Patient(budget=1, restart="auto")
    patient.falls_ill()
    begun = patient.now
    patient.carries_out(patient.plans[-1])
    patient.pass_time(60)
    assert len(patient.plans) == 1
    held = next(iter(patient.state.episodes.open.values())).held
    assert [h.by for h in held] == ["budget"], "told once"
    assert patient.pass_time(3550 - (patient.now - begun)) == []
    assert [a.kind for a in patient.pass_time(60)] == ["reload"]
    none_at_all = Patient(HealingConfig(budget=0))
    withheld = none_at_all.falls_ill().withheld
    assert (withheld[0].by, withheld[0].until) == ("budget", None)
    assert "[healing] budget" in withheld[0].detail


def test_what_was_spent_is_forgotten_after_an_hour():
    spent = Spent().book("a", 0.0).book("b", 10.0).book("a", 3601.0)
    assert spent.times["a"] == (3601.0,)
    assert spent.within(3602.0) == [10.0, 3601.0]


def test_a_change_is_undone_when_a_person_asks_and_only_then():
    patient = Patient()
    patient.tell(ChangesKept(at=0.0, changes=(CHANGE,)))
    assert said(patient.tell(asked("undo", "c9")))[0][0] == "refused"
    (action,) = patient.tell(asked("undo", "c1")).plan
    assert isinstance(action, Undo)
    assert (action.human, action.key, action.changes) == (True, "undo:c1", (CHANGE,))
    outcome = patient.carries_out(action, detail="1 put back", undone=("c1",))
    assert said(outcome) == [("done", "1 put back")]
    assert patient.state.view.changes == {}


@pytest.mark.parametrize(("result", "told"), [("refused", "refused"), ("failed", "failed"), ("would", "done")])
def test_the_end_of_an_undo_is_told_as_it_was(result, told):
    patient = Patient()
    patient.tell(ChangesKept(at=0.0, changes=(CHANGE,)))
    (action,) = patient.tell(asked("undo", "c1")).plan
    assert said(patient.carries_out(action, result, detail="so"))[-1] == (told, "so")
    assert Undo(changes=(), reason="x").key == "undo:"


def test_changes_are_known_from_the_moment_they_were_made():
    patient = Patient()
    action = RestartGateway(reason="x", domain="ailing", subject="thing")
    patient.falls_ill()
    patient.carries_out(action, changes=(CHANGE,))
    assert patient.state.view.changes == {"c1": CHANGE}
    episode = next(iter(patient.state.episodes.open.values()))
    assert episode.remedies[-1].changes == ("c1",)


def test_a_dry_run_says_what_it_would_do_and_goes_on_as_if():
    patient = Patient(dry_run=True)
    patient.falls_ill()
    (action,) = patient.plans
    patient.carries_out(action, "would")
    assert patient.pass_time(15) == []
    assert patient.pass_time(60) == [], "the same is not said again within the hour"
    assert View().changes == {}
