"""What outlives a keeper: that a person handed a gateway over, and what is told of restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from regrow.config.redaction import redact
from regrow.config.schema import Config, Secret
from regrow.daemon.memory import memory_of, recalled
from regrow.daemon.place import place_of
from regrow.daemon.tally import Tally
from regrow.decide.domains.base import Note, registry
from regrow.decide.engine import Outcome, Setup, State, first_state, step
from regrow.decide.profiles import DEFAULT
from regrow.model.actions import RestartInPlace
from regrow.model.facts import AnyFact, Asked, ChildExited, Ended, Intended, OwnerSeen, Started
from regrow.model.gateway import Mode, Process
from regrow.model.verdicts import Verdict
from regrow.testing.story import Story

BEFORE, AFTER = Process(pid=10, started=1), Process(pid=20, started=2)


def setup() -> Setup:
    domains = registry()
    configs = {name: domain.config() for name, domain in domains.items()}
    return Setup(domains=tuple(domains.values()), configs=configs)


def seen(at: float, process: Process, mode: Mode) -> OwnerSeen:
    owner = "unit" if mode is Mode.SERVICE else "gateway"
    return OwnerSeen(at=at, owner=owner, process=process, port=1, mode=mode)


def lived(*facts: AnyFact) -> State:
    state = first_state(setup())
    for fact in facts:
        state = step(state, fact, setup()).state
    return state


def next_life(state: State, path: Path, *facts: AnyFact) -> State:
    """The state of the keeper that follows, after these facts."""
    path.write_bytes(msgspec.json.encode(memory_of(state)))
    state, problem = recalled(first_state(setup()), path, 100.0)
    assert problem == ""
    for fact in facts:
        state = step(state, fact, setup()).state
    return state


def asked(at: float, verb: str) -> Asked:
    return Asked(at=at, id=f"r{at}", verb=verb, by="a person")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [Mode.SERVICE, Mode.OWN])
def test_what_a_person_handed_over_stays_so_when_both_were_started_anew(tmp_path: Path, mode: Mode) -> None:
    state = lived(Started(at=1.0), seen(2.0, BEFORE, mode))
    assert state.view.observed_only, "it ran before we met it"
    later = next_life(state, tmp_path / "m", Started(at=101.0), seen(102.0, AFTER, mode))
    assert later.view.observed_only, "nobody handed it over"
    state = step(state, asked(3.0, "adopt"), setup()).state
    later = next_life(state, tmp_path / "m", Started(at=101.0), seen(102.0, AFTER, mode))
    assert later.view.observed_only == ""
    # when the host goes down the gateway often ends before its keeper does
    state = step(state, ChildExited(at=4.0, process=BEFORE), setup()).state
    later = next_life(state, tmp_path / "m", Started(at=101.0), seen(102.0, AFTER, mode))
    assert later.view.observed_only == ""


def test_after_a_stop_what_somebody_else_starts_is_only_watched(tmp_path: Path) -> None:
    state = lived(Started(at=1.0), seen(2.0, BEFORE, Mode.SERVICE), asked(3.0, "adopt"), asked(4.0, "stop"))
    later = next_life(state, tmp_path / "m", Started(at=101.0, want="stopped"), seen(102.0, AFTER, Mode.SERVICE))
    assert later.view.observed_only


class Told(Story):
    """A story whose restarts are counted."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.readied: list[Note] = []
        self.tally = Tally(lambda type_, _data: self.said.append(type_), DEFAULT)
        super().__init__()

    def feed(self, fact: AnyFact) -> Outcome:
        outcome = super().feed(fact)
        self.tally.follow(fact, outcome)
        self.readied += [note for note in outcome.notes if note.type == "gateway:ready"]
        return outcome


@pytest.mark.parametrize(("result", "told"), [("refused", 0), ("done", 1)])
def test_what_was_refused_is_not_told_as_a_restart_when_the_gateway_restarts_by_itself(result: Any, told: int) -> None:
    story = Told()
    story.begin()
    story.until(lambda: story.ready)
    wish = RestartInPlace(reason="a person wants it")
    story.feed(Intended(at=story.now, action=wish))
    story.feed(Ended(at=story.now, action=wish, verdict=Verdict(result=result, by="config")))
    story._hang_up(1012)
    story.until(lambda: len(story.readied) == 2)
    assert story.said.count("gateway:restarted") == told


def test_a_place_hides_its_token_from_the_moment_it_is_known(tmp_path: Path) -> None:
    base = Config()
    gateway = replace(base.gateway, state_dir=tmp_path / "theirs", token=Secret("plainwordtoken"))
    place_of(replace(base, gateway=gateway, regrow=replace(base.regrow, state_dir=tmp_path / "ours")))
    assert redact("it said plainwordtoken twice") == "it said *** twice"
