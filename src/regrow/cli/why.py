"""`regrow why`: the reasons behind an episode, an action or a proposal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from regrow.cli.listing import state, when
from regrow.cli.narrate import subject
from regrow.cli.place import Place, json_option, placed
from regrow.cli.words import complain, say, show_json, span

if TYPE_CHECKING:
    from regrow.record.history import History

MOST = 10_000
FACTS = 12  # shown to a person; a program gets them all
BEFORE = 30.0  # seconds of facts before the first sight


@click.command("why")
@placed
@click.argument("wanted", metavar="ID", default="last")
@json_option
def command(place: Place, *, wanted: str, as_json: bool) -> int:
    """Why regrow did something, or did not: what was seen, by which rule, what was tried, which guard said no.

    ID is that of an episode (or its beginning), an action (`a12`) or a proposal; without one, the last episode.

    Exit code: 0, 1 there is nothing of that name, 69 if there is no journal.
    """
    from regrow.record.history import History

    with History(place.journal) as history:
        found = _found(history, wanted)
        if found is None:
            complain(f"there is no episode, action or proposal {wanted!r}; `regrow episodes` lists them")
            return 1
        facts = _facts(history, found)
    if as_json:
        show_json({**found, "facts": facts})
        return 0
    for line in [*_told(found), *_seen(facts)]:
        say(line)
    return 0


def _found(history: History, wanted: str) -> dict[str, Any] | None:
    """The episode that is meant, with the proposals that were made for it."""
    from regrow.record import shapes

    episodes = [shapes.episode(e) for e in history.episodes(limit=MOST)]
    proposals = [shapes.proposal(p) for p in history.proposals(limit=MOST)]
    actions = history.actions(MOST) if wanted.startswith("a") else []
    if wanted == "last":
        chosen = episodes[0] if episodes else None
    else:
        chosen = next((e for e in episodes if e["id"] == wanted or e["id"].startswith(wanted)), None)
    about = next((x for x in (*proposals, *actions) if x["id"] == wanted), None)
    if chosen is None and about is not None:
        at = int(about.get("at") or about.get("createdAt") or 0)
        chosen = next((e for e in episodes if _belongs(about, e, at)), None)
        if chosen is None:
            return {"asked": about, "proposals": []}
    if chosen is None:
        return None
    mine = [p for p in proposals if _belongs(p, chosen, p["createdAt"])]
    return {**chosen, "proposals": mine, **({"asked": about} if about is not None else {})}


def _belongs(thing: dict[str, Any], episode: dict[str, Any], at: int) -> bool:
    within = episode["openedAt"] <= at and (episode["closedAt"] is None or at <= episode["closedAt"] + 1000)
    return (
        within and thing.get("domain") == episode["domain"] and thing.get("subject") in (episode["subject"], None, "")
    )


def _facts(history: History, found: dict[str, Any]) -> list[dict[str, Any]]:
    """What was seen from shortly before the first sight on, as far as it names the subject."""
    import json

    name, opened = str(found.get("subject") or ""), found.get("openedAt")
    if not opened:
        return []
    seen = []
    for at, data in history.facts(opened / 1000 - BEFORE):
        if found["closedAt"] is not None and at > found["closedAt"] / 1000:
            break
        fact = json.loads(data)
        if fact.get("fact") in ("intended", "ended"):
            continue  # remedies are told as such
        if name in ("process", "link", "config") or name in data or name.rpartition(":")[2] in data:
            seen.append({**fact, "at": round(at * 1000)})
        if len(seen) >= MOST:
            break
    return seen


def _told(found: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    asked = found.get("asked")
    if asked:
        lines += [f"{asked['id']}: {asked['action']} {asked.get('subject') or ''}", f"  because  {asked['reason']}"]
        verdict = asked.get("verdict") or asked.get("state")
        lines.append(f"  ended    {state(str(verdict))} {asked.get('detail') or asked.get('why') or ''}".rstrip())
    if "domain" not in found or "evidence" not in found:
        return lines
    lasted = f", {span((found['closedAt'] - found['openedAt']) / 1000)}" if found["closedAt"] else ", still"
    lines.append(f"{subject(found)}: {state(found['state'])}, since {when(found['openedAt'])}{lasted}")
    lines += [f"  seen     {line}" for line in found["evidence"]]
    lines.append(f"  rule     {found['rule'] or 'what the domain ' + found['domain'] + ' calls ill, see its page'}")
    for r in found["remedies"]:
        whose = " (asked for)" if r["human"] else ""
        result = " → ".join(state(x) for x in (r["verdict"] or "under way", r["effect"]) if x)
        lines.append(
            f"  tried    {when(r['at'])} {r['action']}{whose}: {r['reason']} → {result} {r['detail']}".rstrip()
        )
    lines += [f"  held     {when(h['at'])} {h['action']} by {h['by']}: {h['detail']}" for h in found["held"]]
    for p in found["proposals"]:
        lines.append(f"  asked    {p['id']} {p['action']}: {state(p['state'])} {p['why']}".rstrip())
    if found["closedAt"] is None:
        lines.append(f"  next     {_next(found)}")
    return lines


def _next(found: dict[str, Any]) -> str:
    """What would change the answer."""
    waiting = [p for p in found["proposals"] if p["state"] == "waiting"]
    if waiting:
        return f"`regrow approve {waiting[0]['id']}` has it done"
    if found["held"]:
        return f"it goes on when this changes: {found['held'][-1]['detail']}"
    if found["state"] == "human":
        return "nothing is left that regrow may do by itself; a person is needed"
    return "it is looked at again; the next remedy comes when this one is seen not to help"


def _seen(facts: list[dict[str, Any]]) -> list[str]:
    if not facts:
        return []
    lines = [f"  facts    {len(facts)}, the first and last of them (--json prints all):"]
    shown = facts if len(facts) <= FACTS else [*facts[: FACTS // 2], *facts[-FACTS // 2 :]]
    for fact in shown:
        rest = ", ".join(
            f"{k}={_short(v)}" for k, v in fact.items() if k not in ("fact", "at") and v not in (None, "", [])
        )
        lines.append(f"           {when(fact['at'])} {fact.get('fact')} {rest}")
    return lines


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
