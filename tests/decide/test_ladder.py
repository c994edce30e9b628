"""The ladder: what is due, when it is waited, when it ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regrow.decide.ladder import Climb, Rung, begun, ended, place
from regrow.model.actions import Reload, RestartGateway
from regrow.model.verdicts import Verdict

RUNGS = (Rung(action="reload", tries=2, gap=30.0, settles=20.0), Rung(action="restart-gateway", settles=60.0))
SMALL, LARGE = Reload(reason="x"), RestartGateway(reason="y")


def tried(climb, action, at, result="done", took=1.0, **more):
    return ended(begun(climb, action, at), action, Verdict(result, **more), at + took)


def test_the_smallest_comes_first():
    assert place(Climb(), RUNGS, 0.0).rung == 0


def test_what_is_under_way_is_waited_for_and_then_taken_as_done():
    climb = begun(Climb(), SMALL, 0.0)
    assert place(climb, RUNGS, 10.0).wait == 50.0
    assert place(climb, RUNGS, 50.0).rung == 0, "its end was never seen: once more"


def test_what_was_done_gets_its_time_then_its_gap():
    climb = tried(Climb(), SMALL, 0.0)
    assert place(climb, RUNGS, 20.0).wait == 21.0
    assert place(climb, RUNGS, 25.0).wait == 30.0
    assert place(climb, RUNGS, 30.0).rung == 0
    climb = tried(climb, SMALL, 30.0)
    assert place(climb, RUNGS, 60.0).rung == 1
    climb = tried(climb, LARGE, 60.0)
    assert not place(climb, RUNGS, 90.0).is_end
    assert place(climb, RUNGS, 130.0).is_end


def test_what_was_refused_is_tried_again_when_it_may_be():
    climb = ended(Climb(), SMALL, Verdict("refused", retry_at=100.0), 0.0)
    assert climb.attempts[0].ended == 0.0
    assert place(climb, RUNGS, 40.0).wait == 100.0
    assert place(climb, RUNGS, 100.0).rung == 0
    climb = tried(climb, SMALL, 100.0, "failed")
    assert place(climb, RUNGS, 102.0).rung == 1, "a failure needs no time to settle"


def test_an_end_finds_its_own_begin():
    climb = begun(begun(Climb(), SMALL, 0.0), LARGE, 5.0)
    climb = ended(climb, SMALL, Verdict("done"), 7.0)
    assert [(a.action, a.ended) for a in climb.attempts] == [("reload", 7.0), ("restart-gateway", None)]


@given(st.lists(st.tuples(st.sampled_from([SMALL, LARGE]), st.sampled_from(["done", "failed", "refused"]))))
def test_it_always_comes_to_an_end(history):
    climb, at = Climb(), 0.0
    for action, result in history:
        climb, at = tried(climb, action, at, result), at + 5.0
    for _ in range(40):
        due = place(climb, RUNGS, at)
        if due.is_end:
            return
        at = due.wait if due.wait is not None else at
        if due.rung is not None:
            climb = tried(climb, (SMALL, LARGE)[due.rung], at)
    raise AssertionError("it climbs for ever")
