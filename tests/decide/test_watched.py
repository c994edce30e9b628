"""A gateway that somebody else started, and that ends while regrow only watches it."""

from regrow.model.facts import OwnerSeen
from regrow.model.gateway import Process
from regrow.testing.story import Fate, Story


def watched() -> Story:
    """A gateway that somebody else started, only watched."""
    s = Story()
    see = s._see_owner

    def stranger() -> None:
        if s.process is not None and not s.starts:
            s.feed(OwnerSeen(at=s.now, owner="gateway", process=s.process, port=1))
        else:
            see()

    s._see_owner = stranger
    s.process = Process(pid=7, started=7)
    s._boot(Fate())
    s.begin().run(30)
    assert s.ready
    assert s.state.view.observed_only
    return s


def test_whoever_started_a_gateway_has_twenty_seconds_to_bring_it_back():
    s = watched()
    s.die()
    s.run(19)
    assert s.starts == []
    assert s.state.view.phase == "backoff"
    [episode] = s.state.episodes.open.values()
    assert "has 20 s to bring it back" in episode.evidence[-1]
    assert len(s.done("look-owner")) >= 5
    s.run(2)
    assert len(s.starts) == 1
    s.until(lambda: s.ready)
    s.run(700)
    s.die()
    s.run(1)
    assert len(s.starts) == 2, "what regrow started is its own to replace at once"


def test_a_gateway_that_its_owner_brings_back_is_watched_on():
    s = watched()
    for pid in (8, 9):
        s.die()
        s.run(10)
        s.process = Process(pid=pid, started=pid)
        s._boot(Fate())
        s.run(60)
        assert s.ready
    assert s.starts == []
    assert s.state.view.observed_only


def test_a_person_need_not_wait_for_a_gateways_owner():
    for verb in ("start", "adopt"):
        s = watched()
        s.die()
        s.run(2)
        s.ask(verb)
        s.run(3)
        assert len(s.starts) == 1


def test_a_watched_gateway_whose_end_nobody_saw_is_given_the_same_time():
    s = watched()
    s.process, s.listening, s.serving = None, False, False
    s.feed(OwnerSeen(at=s.now, owner="none", port=1))
    s.run(19)
    assert s.starts == []
    assert "is gone" in next(iter(s.state.episodes.open.values())).evidence[0]
    s.run(5)
    assert len(s.starts) == 1
