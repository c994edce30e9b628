"""A domain for tests: one thing that is ill or well, and a ladder of two remedies."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.domains.base import Context, Domain, DomainConfig, Remedy, Setting, Step, Symptom
from regrow.decide.engine import Outcome, Setup, State, first_state, step
from regrow.decide.healing import HealingConfig
from regrow.decide.ladder import Climb, Rung, begun, ended, place
from regrow.decide.view import View
from regrow.model.actions import AnyAction, Reload, RestartGateway
from regrow.model.facts import AnyFact, Ended, Intended, OutputSeen, Tick
from regrow.model.gateway import Phase
from regrow.model.verdicts import Verdict

RUNGS = (Rung(action="reload", tries=2, gap=30.0, settles=20.0), Rung(action="restart-gateway", settles=60.0))


class AilingConfig(DomainConfig, frozen=True):
    """Its settings."""

    restart: Setting | None = "ask"


class Ailing(Struct, frozen=True):
    """Whether it is ill, and what was tried."""

    ill: bool = False
    climb: Climb = Climb()


def decide(s: Ailing, fact: AnyFact, cx: Context) -> Step:
    """A line of trouble makes it ill, one that says ready makes it well."""
    match fact:
        case OutputSeen(kind="trouble"):
            s = replace(s, ill=True)
        case OutputSeen(kind="ready"):
            s = Ailing()
        case Intended() if fact.action.domain == "ailing":
            s = replace(s, climb=begun(s.climb, fact.action, fact.at))
        case Ended() if fact.action.domain == "ailing":
            s = replace(s, climb=ended(s.climb, fact.action, fact.verdict, fact.at))
        case _:
            pass
    if not s.ill:
        return Step(state=s)
    due = place(s.climb, RUNGS, cx.at)
    symptom = Symptom("thing", "it is ill", human=due.is_end, rule="one line")
    if due.rung is None:
        return Step(state=s, symptoms=(symptom,))
    action: AnyAction = Reload(reason="small", subject="thing")
    name, setting = "reload", None
    if due.rung == 1:
        action, name, setting = RestartGateway(reason="large", subject="thing"), "restart", cx.config.restart
    remedy = Remedy(action=action, name=name, setting=setting, evidence="it is ill", undo="nothing to undo")
    return Step(state=s, symptoms=(symptom,), wishes=(remedy,))


DOMAIN = Domain("ailing", AilingConfig, Ailing, decide, frozenset({OutputSeen}))


class Patient:
    """A gateway with only this domain: tell what is seen, see what follows."""

    beginning: ClassVar[float] = 1_000_000.0

    def __init__(self, healing: HealingConfig | None = None, *, dry_run: bool = False, **config: object) -> None:
        self.setup = Setup(
            domains=(DOMAIN,), configs={"ailing": AilingConfig(**config)}, healing=healing or HealingConfig()
        )
        view = View(phase=Phase.RUNNING, ready=True, owner="ours", adopted=True, dry_run=dry_run)
        self.state: State = replace(first_state(self.setup), view=view)
        self.now = self.beginning
        self.outcome = Outcome(state=self.state)
        self.plans: list[AnyAction] = []
        self.notes: list[str] = []

    def tell(self, fact: AnyFact) -> Outcome:
        """One fact, at the present time."""
        self.outcome = step(self.state, replace(fact, at=self.now), self.setup)
        self.state = self.outcome.state
        self.plans += self.outcome.plan
        self.notes += [note.type for note in self.outcome.notes]
        return self.outcome

    def pass_time(self, seconds: float) -> list[AnyAction]:
        """Time passes, a tick every second; gives what was planned meanwhile."""
        before = len(self.plans)
        for _ in range(round(seconds)):
            self.now += 1.0
            self.tell(Tick(at=self.now))
        return self.plans[before:]

    def falls_ill(self) -> Outcome:
        """It is seen to be ill."""
        return self.tell(OutputSeen(at=self.now, kind="trouble"))

    def recovers(self) -> Outcome:
        """It is seen to be well."""
        return self.tell(OutputSeen(at=self.now, kind="ready"))

    def carries_out(self, action: AnyAction, result: str = "done", **more: object) -> Outcome:
        """The action is begun, and ends like this."""
        if result not in ("refused", "would"):
            self.tell(Intended(at=self.now, action=action))
        return self.tell(Ended(at=self.now, action=action, verdict=Verdict(result, **more)))  # type: ignore[arg-type]
