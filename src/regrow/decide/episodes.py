"""One symptom of one subject from first sight to verified end, with everything that was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.domains.base import Note, Symptom
from regrow.model.actions import AnyAction
from regrow.model.verdicts import Effect, Episode, Held, Tried, Verdict, Withheld

MOST = 200  # lines kept per episode


class Episodes(Struct, frozen=True):
    """The open ones, by `domain:subject`."""

    open: dict[str, Episode] = {}


def update(
    episodes: Episodes, domain: str, symptoms: Iterable[Symptom], at: float, *, well: bool
) -> tuple[Episodes, list[Episode], list[Note]]:
    """Open what is new, go on with what stands, close what is gone.

    Args:
        episodes: The open ones.
        domain: Whose symptoms these are.
        symptoms: Everything that is wrong in that domain now.
        at: Now.
        well: The gateway is proven ready: what is gone and was treated counts as cured.

    Returns:
        The open episodes, those that changed (to be stored), and the events to tell.
    """
    now = dict(episodes.open)
    changed: list[Episode] = []
    notes: list[Note] = []
    named = {f"{domain}:{s.subject}": s for s in symptoms}
    for key, symptom in named.items():
        episode = now.get(key)
        if episode is None:
            episode = Episode(
                id=f"{key}:{at:.3f}", domain=domain, subject=symptom.subject, opened=at,
                state="human" if symptom.human else "open", evidence=(symptom.evidence,), rule=symptom.rule,
            )  # fmt: skip
            notes.append(_note("episode:opened", episode))
        else:
            grown = episode
            if symptom.evidence not in episode.evidence:
                grown = replace(episode, evidence=(*episode.evidence, symptom.evidence)[-MOST:])
            if symptom.human and episode.state != "human":
                grown = replace(grown, state="human")
                notes.append(_note("episode:escalated", grown))
            if grown == episode:
                continue
            episode = grown
        now[key] = episode
        changed.append(episode)
    for key in [k for k in now if k.startswith(f"{domain}:") and k not in named]:
        episode = now.pop(key)
        treated = any(t.verdict == "done" for t in episode.remedies)
        cured = well and treated
        remedies = _judged(episode.remedies, "cured" if cured else "inconclusive")
        episode = replace(episode, state="cured" if cured else "ended", closed=at, remedies=remedies)
        changed.append(episode)
        notes.append(_note("episode:closed", episode))
    return Episodes(now), changed, notes


def begun(episodes: Episodes, action: AnyAction, at: float) -> tuple[Episodes, list[Episode]]:
    """A remedy is about to be carried out; those before it did not help, or it would not be due."""

    def grow(episode: Episode) -> Episode:
        tried = Tried(action=action.kind, reason=action.reason, at=at, human=action.human)
        return replace(episode, remedies=(*_judged(episode.remedies, "ineffective"), tried)[-MOST:])

    return _in_each(episodes, action, grow)


def tried(episodes: Episodes, action: AnyAction, verdict: Verdict, at: float) -> tuple[Episodes, list[Episode]]:
    """Write into the episodes it was for how an action ended."""

    def grow(episode: Episode) -> Episode:
        remedies = list(episode.remedies)
        ids = tuple(change.id for change in verdict.changes)
        for number in range(len(remedies) - 1, -1, -1):
            if remedies[number].action == action.kind and remedies[number].ended is None:
                begun_at = remedies.pop(number).at
                break
        else:
            number, begun_at = len(remedies), at
        end = Tried(
            action=action.kind, reason=action.reason, at=begun_at, verdict=verdict.result, by=verdict.by,
            detail=verdict.detail, ended=at, human=action.human, changes=ids,
        )  # fmt: skip
        return replace(episode, remedies=(*remedies[:number], end, *remedies[number:])[-MOST:])

    return _in_each(episodes, action, grow)


def held_back(episodes: Episodes, action: AnyAction, withheld: Withheld, at: float) -> tuple[Episodes, list[Episode]]:
    """Write down that a guard withheld it."""
    held = Held(action.kind, withheld.by, withheld.detail, at)
    return _in_each(episodes, action, lambda episode: replace(episode, held=(*episode.held, held)[-MOST:]))


def _in_each(
    episodes: Episodes, action: AnyAction, grow: Callable[[Episode], Episode]
) -> tuple[Episodes, list[Episode]]:
    """The episodes an action is for: the one of its subject, else all of its domain, else (nobody's) all."""
    if action.risk == "look":
        return episodes, []
    exact = f"{action.domain}:{action.subject}"
    keys = [exact] if exact in episodes.open else [
        key for key, e in episodes.open.items() if not action.subject and action.domain in ("", e.domain)
    ]  # fmt: skip
    if not keys:
        return episodes, []
    grown = {key: grow(episodes.open[key]) for key in keys}
    return Episodes({**episodes.open, **grown}), list(grown.values())


def _judged(remedies: tuple[Tried, ...], effect: Effect) -> tuple[Tried, ...]:
    """The last remedy that was carried out and not judged gets this effect; earlier ones did not help."""
    judged = list(remedies)
    last = True
    for number in range(len(judged) - 1, -1, -1):
        one = judged[number]
        if one.verdict != "done" or one.effect:
            continue
        judged[number] = replace(one, effect=effect if last else "ineffective")
        last = False
    return tuple(judged)


def _note(type_: str, episode: Episode) -> Note:
    return Note(
        type_,
        {
            "id": episode.id, "domain": episode.domain, "subject": episode.subject, "state": episode.state,
            "evidence": episode.evidence[-1], "openedAt": episode.opened, "closedAt": episode.closed,
        },
    )  # fmt: skip
