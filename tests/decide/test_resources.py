"""Memory, descriptors and disks: what is ill, what is offered, what is left alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from regrow.decide.domains.resources import ResourcesConfig
from regrow.decide.engine import first_state, step
from regrow.decide.view import View
from regrow.model.facts import Ended, Intended, Tick
from regrow.model.gateway import Phase, Process
from regrow.model.resources import ResourcesSeen, Volume
from regrow.model.verdicts import Verdict
from regrow.testing.fates import setup

GIB = 2**30
GATEWAY = Process(7, 1)


class Watch:
    """Looks at one gateway every half minute."""

    def __init__(self, **config):
        self.setup = setup(resources=ResourcesConfig(**config))
        self.setup = replace(self.setup, domains=tuple(d for d in self.setup.domains if d.name == "resources"))
        view = View(phase=Phase.RUNNING, ready=True, owner="ours", adopted=True, process=GATEWAY, boot_id="b1")
        self.state = replace(first_state(self.setup), view=view)
        self.now = 1000.0
        self.plans = []
        self.offers = []

    def tell(self, fact):
        outcome = step(self.state, replace(fact, at=self.now), self.setup)
        self.state = outcome.state
        self.plans += outcome.plan
        self.offers += outcome.proposals
        return outcome

    def look(self, times=1, **seen):
        for _ in range(times):
            self.now += 30.0
            usual = {"process": GATEWAY, "limit": 8 * GIB, "descriptor_limit": 1024, "rss": GIB, "descriptors": 90}
            outcome = self.tell(ResourcesSeen(at=0.0, **(usual | seen)))
        return outcome

    def ill(self):
        return {e.subject: e.state for e in self.state.episodes.open.values()}


def test_a_gateway_that_takes_little_is_left_alone():
    watch = Watch()
    watch.look(500)
    assert (watch.ill(), watch.plans, watch.offers) == ({}, [], [])


def test_one_peak_is_nothing_and_three_in_a_row_are_offered_a_restart():
    watch = Watch()
    watch.look(2, rss=int(7.5 * GIB))
    watch.look()
    watch.look(2, rss=int(7.5 * GIB))
    assert watch.ill() == {}
    watch.look(1, rss=int(7.5 * GIB))
    assert watch.ill() == {"memory": "open"}
    (offer,) = watch.offers
    assert (offer.action, offer.remedy, offer.subject) == ("restart-gateway", "restart", "memory")
    assert "7.5 GiB of 8.0 GiB" in offer.evidence
    watch.look()
    assert watch.ill() == {}


def test_memory_that_could_not_be_seen_neither_counts_nor_clears():
    watch = Watch()
    watch.look(2, rss=int(7.5 * GIB))
    watch.look(5, rss=None)
    assert watch.ill() == {}
    watch.look(1, rss=int(7.5 * GIB))
    assert watch.ill() == {"memory": "open"}
    watch.tell(ResourcesSeen(at=0.0))
    assert watch.ill() == {}, "no process holds anything"


def test_a_restart_that_may_be_done_is_tried_once_then_a_person_is_needed():
    watch = Watch(restart="auto")
    watch.look(3, descriptors=1000)
    (action,) = watch.plans
    assert (action.kind, action.full, action.subject) == ("restart-gateway", True, "descriptors")
    watch.tell(Intended(at=0.0, action=action))
    watch.tell(Ended(at=0.0, action=action, verdict=Verdict("done")))
    watch.look(3, descriptors=1000)
    assert len(watch.plans) == 1
    watch.look(10, descriptors=1000)
    assert (len(watch.plans), watch.ill()) == (1, {"descriptors": "human"})
    watch.look(1)
    assert watch.ill() == {}


@pytest.mark.parametrize("believed", [{"ready": False}, {"phase": Phase.STARTING}])
def test_nothing_is_offered_while_it_boots(believed):
    watch = Watch(restart="auto")
    watch.state = replace(watch.state, view=replace(watch.state.view, **believed))
    watch.look(5, rss=int(7.9 * GIB))
    assert watch.plans == []


def test_memory_that_only_rises_is_told_before_it_is_full():
    watch = Watch()
    for number in range(200):
        watch.look(1, rss=GIB + number * 40 * 2**20)
        if watch.ill():
            break
    assert watch.ill() == {"memory": "open"}
    assert "memory only rises" in watch.offers[0].evidence


def test_memory_that_falls_now_and_then_is_no_leak():
    watch = Watch()
    for number in range(400):
        watch.look(1, rss=GIB + (number % 45) * 100 * 2**20)
    assert watch.ill() == {}


def test_a_new_boot_begins_anew_and_a_slow_rise_is_far_away():
    watch = Watch()
    for number in range(150):
        watch.look(1, rss=GIB + number * 2**18)
    assert watch.ill() == {}
    watch.state = replace(watch.state, view=replace(watch.state.view, boot_id="b2"))
    watch.look(1)
    assert watch.state.domains["resources"].leak.minima == ()


def test_a_full_disk_is_a_persons_and_named_once_per_volume():
    watch = Watch()
    full = Volume("/state", 100 * GIB, 10 * GIB, 1000, 900)
    few = Volume("/ours", 100 * GIB, 90 * GIB, 1000, 50)
    odd = Volume("/odd", 0, 0)
    outcome = watch.look(1, volumes=(full, few, odd))
    assert watch.ill() == {"disk:/state": "human", "disk:/ours": "human"}
    texts = [e.evidence[0] for e in outcome.episodes]
    assert "90 % of the space" in texts[0]
    assert "95 % of the inodes" in texts[1]
    watch.look(1, volumes=(replace(full, free=50 * GIB),))
    assert watch.ill() == {}


def test_before_the_first_look_nothing_is_known():
    watch = Watch()
    watch.tell(Tick(at=0.0))
    assert watch.ill() == {}
