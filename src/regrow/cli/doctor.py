"""`regrow doctor`: explains what is wrong with openclaw.json and what could be done; does it only when told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from regrow.cli.asking import request
from regrow.cli.place import Place, json_option, placed
from regrow.cli.words import ago, paint, say, show_json

if TYPE_CHECKING:
    from regrow.act.doctor import Explanation


@click.command("doctor")
@placed
@click.option("--apply", "act", is_flag=True, help="Let OpenClaw's doctor repair the file, through the keeper.")
@click.option("--restore", metavar="DIGEST", help="Put back this stored copy (its first letters do), by the keeper.")
@click.option("--diff/--no-diff", default=True, help="Show what each copy would change. Secrets are hidden.")
@json_option
def command(place: Place, *, act: bool, restore: str | None, diff: bool, as_json: bool) -> int:
    """Explain what is wrong with openclaw.json and what could be done. Nothing is changed unless you say so.

    Stored copies are configurations that this version of OpenClaw has served. Before anything is changed the file
    as it is now is put aside; the answer says where.

    Exit code: 0 nothing is wrong or it was repaired, 1 something is wrong, 3 no keeper is running (to change things).
    """
    if act and restore:
        raise click.UsageError("--apply and --restore are two different repairs; choose one")
    if act:
        return request(place, "doctor", as_json=as_json, reason="regrow doctor --apply")
    if restore is not None:
        digest = _whole(place, restore)
        return request(place, "restore", as_json=as_json, subject=digest, reason="regrow doctor --restore")
    from regrow.act.doctor import explain_doctor
    from regrow.cli.ground import settings_for, world_of
    from regrow.daemon.place import place_of

    config = settings_for(place).config
    found = asyncio.run(explain_doctor(world_of(config, place_of(config))))
    if as_json:
        show_json(_plain(found))
    else:
        _explain(found, place, diff=diff)
    return 0 if found.valid else 1


def _explain(found: Explanation, place: Place, *, diff: bool) -> None:
    if found.valid:
        say(f"{paint('✓', 'good')} {found.path} is valid")
    elif found.valid is None:
        say(f"{paint('?', 'warn')} nobody could judge {found.path}")
    else:
        say(f"{paint('✗', 'bad')} {found.path} is not valid")
    for problem in found.problems:
        say(f"  {problem}")
    say()
    if not found.copies:
        say("no stored copy differs from it (a copy is stored when a gateway becomes ready with it)")
    for kept, change in found.copies:
        say(f"a copy that OpenClaw {kept.version} served, last stored {ago(kept.at * 1000)}:")
        if diff:
            say("\n".join(f"  {_coloured(line)}" for line in change.splitlines()))
        say(f"  put it back:  regrow doctor{place.option} --restore {kept.digest[:12]}")
    if not found.valid:
        say(f"OpenClaw's own repair would run: {found.doctor}")
        say("  it rewrites the whole file; regrow takes it back if it removes what was valid")
        say(
            f"  now it would be refused: {found.blocked}" if found.blocked else f"  regrow doctor{place.option} --apply"
        )


def _coloured(line: str) -> str:
    match line[:1]:
        case "+":
            return paint(line, "good")
        case "-":
            return paint(line, "bad")
        case _:
            return line


def _plain(found: Explanation) -> dict[str, Any]:
    return {
        "valid": found.valid, "problems": list(found.problems), "path": found.path, "doctor": found.doctor,
        "blocked": found.blocked,
        "copies": [
            {"digest": kept.digest, "version": kept.version, "at": round(kept.at * 1000), "diff": change}
            for kept, change in found.copies
        ],
    }  # fmt: skip


def _whole(place: Place, start: str) -> str:
    """The full digest that begins with these letters.

    Raises:
        BadParameter: None does, or several do.
    """
    from regrow.act.settings import ConfigStore

    known = {kept.digest for kept in ConfigStore(place.state / "kept").kept()}
    found = [digest for digest in known if digest.startswith(start.lower())]
    if len(found) == 1 and len(start) >= 4:
        return found[0]
    what = "no stored copy begins with it" if not found else "several stored copies begin with it, or it is too short"
    raise click.BadParameter(f"{what}; see `regrow config kept{place.option}`", param_hint="--restore")
