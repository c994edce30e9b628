"""One symptom of one subject from first sight to verified end, with everything that was tried."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from regrow.decide.domains.base import Note, Symptom
from regrow.model.actions import AnyAction
from regrow.model.verdicts import Episode, Verdict

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
                state="human" if symptom.human else "open", evidence=(symptom.evidence,),
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
        state = "cured" if well and any(line.startswith("done ") for line in episode.tried) else "ended"
        episode = replace(episode, state=state, closed=at)
        changed.append(episode)
        notes.append(_note("episode:closed", episode))
    return Episodes(now), changed, notes


def tried(episodes: Episodes, action: AnyAction, verdict: Verdict) -> tuple[Episodes, list[Episode]]:
    """Write an action and how it ended into every open episode it may have been for."""
    if action.risk == "look":
        return episodes, []
    line = f"{verdict.result} {action.kind}: {verdict.detail or action.reason}"
    now = {key: replace(e, tried=(*e.tried, line)[-MOST:]) for key, e in episodes.open.items()}
    return Episodes(now), list(now.values())


def _note(type_: str, episode: Episode) -> Note:
    return Note(
        type_,
        {
            "id": episode.id, "domain": episode.domain, "subject": episode.subject, "state": episode.state,
            "evidence": episode.evidence[-1], "openedAt": episode.opened, "closedAt": episode.closed,
        },
    )  # fmt: skip
