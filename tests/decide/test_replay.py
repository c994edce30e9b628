"""The past again under another configuration."""

from __future__ import annotations

from msgspec.structs import replace

from regrow.decide.engine import Setup
from regrow.decide.replay import compare, decisions
from regrow.model.actions import Dial, Reload
from regrow.model.facts import Ended, Intended, LinkUp, OutputSeen, OwnerSeen, Tick
from regrow.model.gateway import Process
from regrow.model.verdicts import Verdict
from regrow.testing.story import Story
from rig.ailing import DOMAIN, AilingConfig

ILL, WELL = OutputSeen(at=0.0, kind="trouble"), OutputSeen(at=0.0, kind="ready")
OURS = OwnerSeen(at=0.0, owner="ours", process=Process(7, 1), port=1)


def setup(**config):
    return Setup(domains=(DOMAIN,), configs={"ailing": AilingConfig(**config)})


def at(time, fact):
    return replace(fact, at=time)


PAST = [OURS, at(100.0, ILL), at(400.0, LinkUp(at=0.0, version="1", protocol=4)), at(500.0, WELL)]


def words(found):
    return [(d.what, d.action, d.by) for d in found]


def test_time_passes_between_facts_and_what_is_decided_is_told():
    found = words(decisions(PAST, setup(restart="ask")))
    assert found == [("do", "reload", ""), ("do", "reload", ""), ("ask", "restart-gateway", "restart")]


def test_a_domain_that_may_do_nothing_decides_nothing():
    assert words(decisions(PAST, setup(mode="observe"))) == []


def test_what_was_held_is_told_with_its_guard():
    found = words(decisions(PAST, setup(budget=1)))
    assert found[:2] == [("do", "reload", ""), ("hold", "reload", "budget")]


def test_ticks_of_the_past_and_long_absences_are_left_out():
    past = [at(1.0, ILL), Tick(at=2.0), at(5000.0, WELL)]
    assert words(decisions(past, setup())) == [("do", "reload", "")]


def test_what_was_done_then_counts_if_it_is_wanted_now():
    small = Reload(reason="small", subject="thing", domain="ailing")
    other = Reload(reason="x", subject="else", domain="nobody")
    past = [
        OURS,
        at(90.0, Intended(at=0.0, action=other)),
        at(91.0, Ended(at=0.0, action=other, verdict=Verdict("done"))),
        at(92.0, Intended(at=0.0, action=Dial(reason="a look"))),
        at(100.0, ILL),
        at(100.5, Intended(at=0.0, action=small)),
        at(101.0, Ended(at=0.0, action=small, verdict=Verdict("done"))),
        at(110.0, WELL),
    ]
    assert words(decisions(past, setup())) == [("do", "reload", "")]


def test_two_configurations_side_by_side():
    pairs = compare(PAST, setup(restart="ask"), setup(restart="auto"))
    alike = [p for p in pairs if p.was is not None and p.would is not None]
    assert [p.was.action for p in alike] == ["reload", "reload"]
    assert [(p.was.what if p.was else None, p.would.what if p.would else None) for p in pairs[2:]] == [
        ("ask", None), (None, "do"),
    ]  # fmt: skip


def test_a_real_history_is_decided_over_again():
    story = Story().begin().run(120)
    facts = [OURS, at(200.0, ILL), at(205.0, WELL)]
    assert story.plans
    assert words(decisions(facts, story.setup))[:1] in ([], [("do", "start", "")])
