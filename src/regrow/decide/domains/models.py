"""Models that refuse or fail are left alone for a while; a turn that hangs on one is answered by another."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from regrow.decide.cooldowns import Cooldowns, answered, cooling, hit, is_cooling
from regrow.decide.domains.base import Context, DomainConfig, Note, Remedy, Setting, Step, Symptom, domain
from regrow.model.actions import AnyAction, Undo
from regrow.model.changes import Change
from regrow.model.cooling import Cooling
from regrow.model.facts import AnyFact, Ended, Intended, LinkDown, Started
from regrow.model.models import ModelFailed, ModelsSeen, SwitchModel, TurnEnded, TurnRetrying, TurnWentOn

PIN = "session-pin"
FORGOTTEN = 3600.0  # a turn that was not heard of for so long is not waited for
BACK_EVERY = 15.0  # between two tries to take a switch back
TURNS = 500
CLASSIC_MINUTES = 300.0


Minutes = Annotated[float, Meta(ge=1, le=10_080)]


class ModelsConfig(DomainConfig, frozen=True):
    """`[heal.models]`."""

    order: Annotated[
        tuple[str, ...],
        Meta(description="models to fall back to, best first, as provider/model; default: each agent's own"),
    ] = ()
    cooldown_minutes: Annotated[
        Minutes | None, Meta(description="a flat cooldown; default: short, then longer; 300 in the classic profile")
    ] = None
    rescue: Annotated[
        Setting, Meta(description="giving a turn that is being retried another model, for that turn only")
    ] = "auto"
    rescue_attempt: Annotated[int, Meta(ge=2, le=20, description="from which attempt")] = 3
    rescue_after: Annotated[float, Meta(ge=1, le=600, description="or after so many seconds of retrying")] = 6.0

    def problems(self) -> list[str]:
        """Names without a provider."""
        return [
            f"heal.models.order: {name!r} is no model; names are like anthropic/claude-opus-4-6"
            for name in self.order
            if not all(name.partition("/"))
        ]


class Turn(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A turn that is being retried, and what was tried for it."""

    session: str
    agent: str
    provider: str
    model: str
    cause: str
    since: float
    attempt: int
    heard: float
    tried: tuple[str, ...] = ()


class Models(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered.

    Attributes:
        cooldowns: Of all models.
        told: Until when each block was announced.
        turns: Those being retried, by run.
        agents: Each agent's order and what it may use.
        back_at: When a switch of a session was last to be taken back.
    """

    cooldowns: Cooldowns = Cooldowns()
    told: dict[str, float] = {}
    turns: dict[str, Turn] = {}
    agents: dict[str, ModelsSeen] = {}
    back_at: dict[str, float] = {}


@domain(
    "models",
    state=Models,
    config=ModelsConfig,
    sees=(TurnRetrying, TurnWentOn, ModelFailed, TurnEnded, ModelsSeen, LinkDown),
    keeps=True,
)
def step(s: Models, fact: AnyFact, cx: Context) -> Step:
    """Count what failed, rescue what is being retried, take back what was lent."""
    notes: list[Note] = []
    match fact:
        case TurnRetrying():
            s = _retrying(s, fact, cx)
        case ModelFailed():
            s = _failed(s, fact.provider, fact.model, fact, cx)
        case TurnWentOn() if fact.run in s.turns and not s.turns[fact.run].tried:
            s = replace(s, turns={run: turn for run, turn in s.turns.items() if run != fact.run})
        case TurnEnded():
            s, notes = _ended(s, fact, cx)
        case Started() | LinkDown():
            s = replace(s, turns={})  # what becomes of them is not told any more
        case ModelsSeen():
            s = replace(s, agents={**s.agents, fact.agent: fact})
        case Intended(action=SwitchModel() as switch) if switch.domain == "models":
            s = replace(s, turns={run: _tried(turn, switch) for run, turn in s.turns.items()})
        case Intended(action=Undo() as undo) if undo.domain == "models":
            s = replace(s, back_at={**s.back_at, undo.subject: cx.at})
        case Ended(action=SwitchModel() as switch) if switch.domain == "models":
            if fact.verdict.result in ("done", "would"):
                notes.append(_patched(switch, fact.verdict.changes, cx))
            s = replace(s, turns={run: _tried(turn, switch) for run, turn in s.turns.items()})
        case _:
            if any(cx.at - turn.heard > FORGOTTEN for turn in s.turns.values()):
                s = replace(s, turns={run: t for run, t in s.turns.items() if cx.at - t.heard <= FORGOTTEN})
    blocks = cooling(s.cooldowns, cx.at)
    s, announced = _announced(s, blocks, cx)
    symptoms = [_symptom(block, cx) for block in blocks]
    symptoms += [Symptom(t.session, _trouble(t), rule="the gateway retries a turn") for t in s.turns.values()]
    wishes: tuple[AnyAction | Remedy, ...] = (*_rescues(s, blocks, cx), *_returns(s, cx))
    return Step(
        state=s, symptoms=tuple({x.subject: x for x in symptoms}.values()), wishes=wishes,
        notes=(*notes, *announced), cooling=blocks,
    )  # fmt: skip


# ── what was seen ──


def _retrying(s: Models, fact: TurnRetrying, cx: Context) -> Models:
    known = s.turns.get(fact.run)
    same = known is not None and (known.provider, known.model) == (fact.provider, fact.model)
    turn = Turn(
        session=fact.session, agent=fact.agent, provider=fact.provider, model=fact.model, cause=fact.cause,
        since=known.since if known is not None and same else cx.at, attempt=fact.attempt, heard=cx.at,
        tried=known.tried if known is not None else (),
    )  # fmt: skip
    turns = {**s.turns, fact.run: turn}
    if len(turns) > TURNS:
        del turns[next(iter(turns))]
    s = replace(s, turns=turns)
    if fact.attempt == cx.config.rescue_attempt:  # once per turn: it is more than a hiccup
        return _failed(s, fact.provider, fact.model, fact, cx)
    return s


def _failed(s: Models, provider: str, model: str, fact: TurnRetrying | ModelFailed, cx: Context) -> Models:
    minutes = cx.config.cooldown_minutes
    if minutes is None and cx.policy.name == "classic":
        minutes = CLASSIC_MINUTES
    hint = fact.retry_after if isinstance(fact, ModelFailed) else None
    cooldowns = hit(s.cooldowns, provider, model, fact.cause, cx.at, hint=hint, minutes=minutes)
    return replace(s, cooldowns=cooldowns)


def _ended(s: Models, fact: TurnEnded, cx: Context) -> tuple[Models, list[Note]]:
    s = replace(s, turns={run: turn for run, turn in s.turns.items() if run != fact.run})
    if fact.ok is not True or not fact.provider:
        return s, []
    cooldowns, was = answered(s.cooldowns, fact.provider, fact.model)
    if not was:
        return replace(s, cooldowns=cooldowns), []
    name = f"{fact.provider}/{fact.model}"
    preferred = any(seen.order[:1] == (name,) for seen in s.agents.values()) or cx.config.order[:1] == (name,)
    data = {"model": name, "isPreferred": preferred, "dryRun": cx.view.dry_run}
    return replace(s, cooldowns=cooldowns), [Note("self-heal:model-recovered", data)]


def _tried(turn: Turn, switch: SwitchModel) -> Turn:
    if turn.session != switch.subject or switch.model in turn.tried:
        return turn
    return replace(turn, tried=(*turn.tried, switch.model))


def _patched(switch: SwitchModel, changes: tuple[Change, ...], cx: Context) -> Note:
    before = changes[0].before if changes else ""
    data = {"sessionKey": switch.subject, "oldModel": before or None, "newModel": switch.model}
    return Note("self-heal:session-patched", {**data, "trigger": switch.reason, "dryRun": cx.view.dry_run})


def _announced(s: Models, blocks: tuple[Cooling, ...], cx: Context) -> tuple[Models, list[Note]]:
    """Tell of blocks that are new or last longer than was told."""
    told = {f"{b.provider}/{b.model}": b.until for b in blocks}
    if told == s.told:
        return s, []
    notes = []
    for block in blocks:
        name = f"{block.provider}/{block.model}"
        if block.until <= s.told.get(name, 0.0):
            continue
        data = {"model": name, "reason": block.cause, "cooldownSec": round(block.until - cx.at)}
        data |= {"nextAvailableAt": round(block.until), "trigger": block.cause, "dryRun": cx.view.dry_run}
        notes.append(Note("self-heal:model-cooldown", data))
    return replace(s, told=told), notes


def _symptom(block: Cooling, cx: Context) -> Symptom:
    wide = f"all models of {block.provider}" if block.model == "*" else f"{block.provider}/{block.model}"
    words = _WORDS.get(block.cause, block.cause)
    human = block.cause in ("money", "auth", "missing")
    evidence = f"{wide}: {words}; left alone for a while"
    return Symptom(f"{block.provider}/{block.model}", evidence, human=human and cx.view.ready, rule="failed turns")


_WORDS = {
    "rate": "the provider limits its rate", "money": "the account has no credit left, top it up or use another",
    "auth": "the provider does not accept the key, renew it", "overload": "the provider is overloaded",
    "missing": "the provider does not know this model, check its name", "transport": "it does not answer",
}  # fmt: skip


def _trouble(turn: Turn) -> str:
    words = _WORDS.get(turn.cause, turn.cause)
    return f"a turn is being retried on {turn.provider}/{turn.model}: {words}"


# ── what is wished ──


def _rescues(s: Models, blocks: tuple[Cooling, ...], cx: Context) -> list[Remedy]:
    if not cx.view.ready or cx.view.link != "up":
        return []
    found = []
    for turn in s.turns.values():
        late = turn.attempt >= cx.config.rescue_attempt or cx.at - turn.since >= cx.config.rescue_after
        name = _fallback(s, turn, blocks, cx) if late and not turn.tried else ""
        if not name:
            continue
        reason = f"{_trouble(turn)}, attempt {turn.attempt}"
        action = SwitchModel(reason=reason, subject=turn.session, model=name)
        undo = "taken back by itself when the turn is over"
        found.append(Remedy(action=action, name="rescue", setting=cx.config.rescue, evidence=_trouble(turn), undo=undo))
    return found


def _fallback(s: Models, turn: Turn, blocks: tuple[Cooling, ...], cx: Context) -> str:
    """The best model of the order that is there, available and not cooling; "" if there is none."""
    seen = s.agents.get(turn.agent)
    if seen is None:
        return ""  # what this agent may use is not known
    usable = {c.name for c in seen.models if c.available is not False}
    own = f"{turn.provider}/{turn.model}"
    order = cx.config.order or seen.order
    return next((n for n in order if n != own and n in usable and not is_cooling(blocks, n)), "")


def _returns(s: Models, cx: Context) -> list[Undo]:
    """Take back what was lent to a turn that is over, also by an earlier life of ours; no mode or budget holds that."""
    if not cx.view.ready or cx.view.link != "up" or not cx.view.changes:
        return []
    busy = {turn.session for turn in s.turns.values()}
    found = []
    for change in cx.view.changes.values():
        if change.kind != PIN or change.domain != "models" or change.subject in busy:
            continue
        if cx.at - s.back_at.get(change.subject, 0.0) < BACK_EVERY:
            continue
        found.append(Undo(changes=(change,), reason="the turn is over", subject=change.subject))
    return found
