"""`regrow simulate`: what another configuration would have done with the past."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from regrow.cli.pause import Duration
from regrow.cli.place import Place, json_option
from regrow.cli.words import clock, paint, remark, say, show_json

if TYPE_CHECKING:
    from regrow.config.schema import Config
    from regrow.decide.replay import Decision, Pair
    from regrow.model.facts import AnyFact
    from regrow.record.history import History


@click.command("simulate")
@click.option(
    "--config", "new", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The other configuration.",
)  # fmt: skip
@click.option(
    "--against", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="The present one; default: REGROW_CONFIG, else the usual place.",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Which keeper's past, when several run here.")
@click.option("--since", type=Duration(), default="7d", show_default=True, metavar="TIME", help="How far: 12h, 7d.")
@click.option("--all", "everything", is_flag=True, help="What both would have done alike, too.")
@json_option
def command(*, new: Path, against: Path | None, name: str | None, since: float, everything: bool, as_json: bool) -> int:
    """Decide over the past again, with this configuration and with another one, side by side.

    Nothing is done, and no keeper is needed. What was seen then stays as it was: an action that was not carried out
    then has no effect in this past.

    Exit code: 0 both decide the same, 1 they differ, 69 there is no journal, 78 a configuration has problems.
    """
    from regrow.config.load import load
    from regrow.decide.replay import compare
    from regrow.record.history import History

    place = Place(against, name or os.environ.get("REGROW_NAME"))
    was, would = place.load().config, load(new).config
    with History(place.journal) as history:
        known = Reading(history, time.time() - since)
        remark(f"reading what was seen since {clock((time.time() - since) * 1000)} …")
        facts = list(known)
    remark(f"deciding over {len(facts)} facts twice …")
    pairs = compare(facts, _setup(was), _setup(would))
    shown = [p for p in pairs if everything or p.was is None or p.would is None]
    if as_json:
        show_json({"facts": len(facts), "unreadable": known.unreadable, "decisions": [_plain(p) for p in shown]})
    else:
        _print(shown, facts=len(facts), unreadable=known.unreadable)
    return 1 if any(p.was is None or p.would is None for p in pairs) else 0


class Reading:
    """The facts of a journal, and how many of an older regrow could not be read."""

    def __init__(self, history: History, since: float) -> None:
        self._history = history
        self._since = since
        self.unreadable = 0

    def __iter__(self) -> Iterator[AnyFact]:
        import msgspec

        from regrow.model.facts import AnyFact

        decoder = msgspec.json.Decoder(AnyFact)
        for _at, data in self._history.facts(self._since):
            try:
                yield decoder.decode(data)
            except msgspec.MsgspecError:
                self.unreadable += 1


def _setup(config: Config) -> Any:
    from regrow.decide.domains.base import registry
    from regrow.decide.engine import Setup
    from regrow.decide.profiles import policy

    domains = registry()
    return Setup(
        domains=tuple(domains.values()), configs=dict(config.domains()), healing=config.healing,
        policy=policy(config.regrow.profile, windows=os.name == "nt"),
    )  # fmt: skip


def _plain(pair: Pair) -> dict[str, Any]:
    def one(d: Decision | None) -> dict[str, Any] | None:
        if d is None:
            return None
        named = {"what": d.what, "domain": d.domain, "action": d.action, "subject": d.subject}
        return {"at": round(d.at * 1000), **named, "reason": d.reason, "by": d.by or None}

    return {"at": round(pair.at * 1000), "was": one(pair.was), "would": one(pair.would)}


def _print(pairs: list[Pair], *, facts: int, unreadable: int) -> None:
    for pair in pairs:
        say(f"{clock(pair.at * 1000)}")
        say(f"  {paint('now ', 'dim')}  {_words(pair.was)}")
        say(f"  {paint('then', 'blue')}  {_words(pair.would)}")
    lost = f"; {unreadable} were written by another version and left out" if unreadable else ""
    say(
        f"{len(pairs)} decisions differ over {facts} facts{lost}"
        if pairs
        else f"no difference over {facts} facts{lost}"
    )


def _words(decision: Decision | None) -> str:
    if decision is None:
        return "nothing"
    verb = {"do": "does", "ask": "asks about", "hold": f"withholds ({decision.by})"}[decision.what]
    about = f" {decision.subject}" if decision.subject else ""
    return f"{verb} {decision.action}{about}{f': {decision.reason}' if decision.reason else ''}"
