"""A simulated gateway on virtual time: tell what befalls it, see what regrow decides."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from regrow.decide.domains.base import Note, Reply
from regrow.decide.engine import Outcome, Setup, State, first_state, step
from regrow.decide.guards import changes
from regrow.model.actions import (
    AnyAction,
    Continue,
    Dial,
    HangUp,
    Kill,
    LookConfig,
    LookOwner,
    RestartInPlace,
    RestoreConfig,
    Revive,
    Start,
    Terminate,
    Verify,
)
from regrow.model.facts import (
    AnyFact,
    Asked,
    ChildExited,
    ChildStarted,
    ConfigKept,
    ConfigSeen,
    Ended,
    Heard,
    Intended,
    LinkDown,
    LinkRefused,
    LinkUp,
    OwnerSeen,
    PackageSeen,
    Probed,
    ProcessSeen,
    RestartAnnounced,
    Started,
    Tick,
    Verified,
)
from regrow.model.gateway import Process
from regrow.model.verdicts import Verdict, Withheld
from regrow.testing.fates import Fate, setup

__all__ = ["VERSION", "Fate", "Story", "setup"]

VERSION = "2026.9.6"


class Story:
    """A world with one gateway in it, and regrow beside it.

    Args:
        fate: Called for each spawn (with its number, from 1): what will become of it.
        make: Domains, settings and figures; the defaults if None.
        seed: For the little differences in timing.
        looking: Seconds between two looks at a serving gateway; larger is a faster simulation.

    Attributes:
        now: Virtual seconds.
        starts: When each process was spawned.
        plans: (time, action) of everything decided.
        alive, listening, serving, hung, stopped, busy: The gateway's true condition.
    """

    def __init__(
        self,
        fate: Callable[[int], Fate] = lambda _n: Fate(),
        make: Setup | None = None,
        *,
        seed: int = 0,
        looking: float = 5.0,
    ) -> None:
        self.setup = make or setup()
        self.state: State = first_state(self.setup)
        self.now = 1_000_000.0
        self.began = self.now
        self._fate = fate
        self._luck = random.Random(seed)  # noqa: S311  (a simulation)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._looking = looking
        self.starts: list[float] = []
        self.readies: list[float] = []
        self.kills: list[float] = []
        self.plans: list[tuple[float, AnyAction]] = []
        self.replies: list[tuple[float, Reply]] = []
        self.notes: list[tuple[float, Note]] = []
        self.withheld: list[tuple[float, Withheld]] = []
        self.outcomes: list[Outcome] = []
        self.process: Process | None = None
        self.pids = 100
        self.life = 0
        self.boot = ""
        self.boots = 0
        self.linked = False
        self.listening = self.serving = self.hung = self.stopped = self.busy = False
        self.ignores_term = False
        self.drain = 0.5
        self.refuses_in_place = False
        self.zombie_next = False
        self.booting = False
        self.listener = ""
        self.config_valid: bool | None = True
        self.digest = "c1"
        self.cpu = 0.0
        self.blocked_effects: set[str] = set()
        self._every(1.0, self._tick)
        self._later(0.0, self._look)

    # ── what a teller says ──

    def begin(self, *, want: str = "running", dry_run: bool = False) -> Story:
        """regrow starts, and sees its files."""
        self.feed(Started(at=self.now, want=want, dry_run=dry_run))  # type: ignore[arg-type]
        self.feed(PackageSeen(at=self.now, version=VERSION, stamp="p1"))
        self.feed(ConfigSeen(at=self.now, digest=self.digest, parsed=True))
        return self

    def run(self, seconds: float) -> Story:
        """Let time pass."""
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            at, _, call = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            call()
        self.now = end
        return self

    def until(self, condition: Callable[[], bool], within: float = 3600.0) -> float:
        """Let time pass until something is so; the seconds it took.

        Raises:
            AssertionError: It did not become so within the time.
        """
        began, end = self.now, self.now + within
        while not condition():
            if not self._queue or self._queue[0][0] > end:
                raise AssertionError(f"not within {within:.0f} s; phase {self.state.view.phase}")
            at, _, call = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            call()
        return self.now - began

    def ask(self, verb: str, *, by: str = "tester", **more: Any) -> str:
        """A person asks; the id of the request."""
        request = f"r{len(self.replies)}-{self._luck.randrange(10**6)}"
        self.feed(Asked(at=self.now, id=request, verb=verb, by=by, **more))  # type: ignore[arg-type]
        return request

    def die(self, code: int = -9, fingerprint: str = "") -> None:
        """The gateway process ends by itself."""
        self._exit(code, fingerprint)

    def edit(self, digest: str, *, valid: bool, parsed: bool = True) -> None:
        """Somebody writes openclaw.json."""
        self.digest, self.config_valid = digest, valid
        problems = () if valid else ("gateway: Unrecognized key",)
        self.feed(ConfigSeen(at=self.now, digest=digest, parsed=parsed, problems=problems if not parsed else ()))

    @property
    def ready(self) -> bool:
        """What regrow believes."""
        return self.state.view.ready and self.state.view.phase == "running"

    def done(self, kind: str) -> list[float]:
        """When actions of this kind were decided."""
        return [at for at, action in self.plans if action.kind == kind]

    # ── the machinery ──

    def feed(self, fact: AnyFact) -> Outcome:
        """One fact goes in, and what follows is carried out."""
        outcome = step(self.state, fact, self.setup)
        self.state = outcome.state
        self.replies.extend((self.now, r) for r in outcome.replies)
        self.notes.extend((self.now, n) for n in outcome.notes)
        self.withheld.extend((self.now, w) for w in outcome.withheld)
        for action in outcome.plan:
            self.plans.append((self.now, action))
            self._later(0.001, partial(self._do, action))
        return outcome

    def _later(self, seconds: float, call: Callable[[], Any]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + seconds, self._count, call))

    def _every(self, seconds: float, call: Callable[[], Any]) -> None:
        def again() -> None:
            call()
            self._later(seconds, again)

        self._later(seconds, again)

    def _tick(self) -> None:
        self.feed(Tick(at=self.now))
        if self.linked and not self._silent:
            self.feed(Heard(at=self.now))

    @property
    def _silent(self) -> bool:
        return self.hung or self.stopped or self.busy

    def _look(self) -> None:
        view = self.state.view
        suspect = view.probe is not None and view.probe.live is False
        wait = 1.0 if view.phase == "starting" else 2.0 if suspect else self._looking
        self._later(wait, self._look)
        if self.process is not None:
            self.cpu += (0.9 if self.busy or self.booting else 0.02) * wait * (not self.stopped)
            letter = "T" if self.stopped else "R" if self.busy else "S"
            self.feed(ProcessSeen(at=self.now, process=self.process, state=letter, cpu=self.cpu))
        if self.process is None:
            return
        if not self.listening:
            self.feed(Probed(at=self.now, tcp=False, live=None))
        elif self._silent:
            self.feed(Probed(at=self.now, tcp=True, live=False))
        else:
            self.feed(Probed(at=self.now, tcp=True, live=True, started=self.serving, version=VERSION))

    def _do(self, action: AnyAction) -> None:
        if self.state.view.dry_run and changes(action):
            self.feed(Ended(at=self.now, action=action, verdict=Verdict("would")))
            return
        self.feed(Intended(at=self.now, action=action))
        if action.kind in self.blocked_effects:
            verdict = Verdict("failed", detail="blocked by the teller")
        else:
            verdict = self._effect(action)
        self.feed(Ended(at=self.now, action=action, verdict=verdict))

    def _effect(self, action: AnyAction) -> Verdict:
        match action:
            case LookOwner():
                self._see_owner()
            case LookConfig():
                problems = () if self.config_valid else ("gateway: Unrecognized key",)
                self.feed(
                    ConfigSeen(at=self.now, digest=self.digest, parsed=True, valid=self.config_valid, problems=problems)
                )
            case Verify():
                ok = self.listening and not self._silent
                self._later(0.1 if ok else 5.0, lambda: self.feed(Verified(at=self.now, ok=ok)))
            case Dial():
                self._dial()
            case HangUp():
                self._hang_up(1000)
            case Start():
                return self._start()
            case Terminate() | Kill() | Continue() | Revive():
                return self._signal(action)
            case RestartInPlace():
                return self._in_place(force=action.force)
            case RestoreConfig():
                self._later(0.1, lambda: self.edit(action.digest, valid=True))
            case _:
                pass
        return Verdict("done")

    def _see_owner(self) -> None:
        if self.listener:
            self.feed(OwnerSeen(at=self.now, owner="listener", detail=self.listener, port=1))
        elif self.process is not None:
            self.feed(OwnerSeen(at=self.now, owner="ours", process=self.process, port=1))
        else:
            self.feed(OwnerSeen(at=self.now, owner="none", port=1))

    def _start(self) -> Verdict:
        if self.process is not None or self.listener:
            return Verdict("refused", by="owner", detail="something is there already")
        self.pids += 1
        self.starts.append(self.now)
        self.process = Process(pid=self.pids, started=self.pids)
        self.cpu = 0.0
        self.hung = self.stopped = self.busy = False
        fate = self._fate(len(self.starts))
        if not self.config_valid:
            fate = Fate(ready=None, dies=2.0, code=78, cpu=2.5)
        self.feed(ChildStarted(at=self.now, process=self.process, port=1, epoch=self.state.view.epoch))
        self._boot(fate)
        return Verdict("done")

    def _boot(self, fate: Fate) -> None:
        self.life += 1
        self.boots += 1
        self.booting = fate.ready is not None or fate.dies is not None
        life = self.life
        if fate.ready is not None:
            self._later(fate.ready * 0.8, lambda: self._if(life, self._listen))
            self._later(fate.ready, lambda: self._if(life, self._serve))
        if fate.dies is not None:
            self._later(fate.dies, lambda: self._if(life, lambda: self._exit(fate.code, fate.fingerprint, fate.cpu)))

    def _if(self, life: int, call: Callable[[], None]) -> None:
        if self.life == life and self.process is not None:
            call()

    def _listen(self) -> None:
        self.listening = True

    def _serve(self) -> None:
        self.listening = self.serving = True
        self.booting = False
        self.boot = f"b{self.boots}"
        self.readies.append(self.now)

    def _dial(self) -> None:
        if self.process is None or not self.listening:
            self.feed(LinkRefused(at=self.now, code="ECONNREFUSED"))
        elif self._silent:
            self.feed(LinkRefused(at=self.now, code="TIMEOUT"))
        elif not self.serving:
            self.feed(LinkRefused(at=self.now, code="UNAVAILABLE", retry_after=0.5))
        else:
            self.linked = True
            self.feed(LinkUp(at=self.now, version=VERSION, protocol=4, boot_id=self.boot, scopes=("operator.admin",)))
            if (self.digest, VERSION) not in self.state.view.kept and self.config_valid:
                self.feed(ConfigKept(at=self.now, digest=self.digest, version=VERSION))

    def _hang_up(self, code: int) -> None:
        if self.linked:
            self.linked = False
            self.feed(LinkDown(at=self.now, code=code))

    def _exit(self, code: int | None, fingerprint: str = "", cpu: float = 10.0) -> None:
        process = self.process
        if process is None:
            return
        self.process, self.listening, self.serving = None, False, False
        self.life += 1
        self._hang_up(1006)
        self.feed(ChildExited(at=self.now, process=process, code=code, fingerprint=fingerprint, cpu=cpu))

    def _signal(self, action: Terminate | Kill | Continue | Revive) -> Verdict:
        if self.process is None or action.process != self.process:
            return Verdict("refused", by="identity", detail="that process is gone")
        life = self.life
        match action:
            case Terminate():
                if not (self.hung or self.stopped or self.ignores_term):
                    self._later(self.drain, lambda: self._if(life, lambda: self._exit(0)))
            case Kill():
                self.kills.append(self.now)
                self._later(0.05, lambda: self._if(life, lambda: self._exit(-9)))
            case Continue():
                self.stopped = False
            case Revive():
                if self.config_valid and not self.listening:
                    self._boot(Fate())
        return Verdict("done")

    def _in_place(self, *, force: bool) -> Verdict:
        if not self.config_valid and not force:
            return Verdict("refused", by="config", detail="openclaw.json is not valid")
        if self.process is None or not self.serving or self.refuses_in_place:
            return Verdict("failed", detail="it does not take the request")
        life = self.life
        self._later(self.drain, lambda: self._if(life, self._go_down_in_place))
        return Verdict("done", detail="scheduled")

    def _go_down_in_place(self) -> None:
        self.feed(RestartAnnounced(at=self.now, restarting=True))
        self.listening = self.serving = False
        self._hang_up(1012)
        if self.zombie_next or not self.config_valid:
            self.zombie_next = False
            return
        self._boot(Fate(ready=4.6))
