"""Lets OpenClaw's doctor at a broken configuration: snapshot, run, compare, take back if it removed what was valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from regrow.act import files
from regrow.act.settings import Kept, Undo, is_down, keep_aside, store, validate
from regrow.act.world import World
from regrow.config.lines import redact_lines
from regrow.config.redaction import redact
from regrow.host import ports
from regrow.host.cli import run_openclaw
from regrow.model.actions import Doctor
from regrow.model.errors import Refused, RegrowError, Retryable
from regrow.model.verdicts import Verdict

ARGV = ("doctor", "--fix", "--yes", "--non-interactive")
WITHIN = 120.0
CAP = 10 * 1024 * 1024
_OWN_KEYS = ("meta", "wizard")  # the gateway's own notes, which it rewrites at will


class Explanation(Struct, frozen=True):
    """What is wrong and what could be done about it; nothing was changed to find out.

    Attributes:
        valid: The judgement of openclaw.json; None if nobody could judge.
        problems: What is wrong.
        path: The file.
        doctor: The command `regrow doctor --apply` would run.
        blocked: Why it would not be run now, or "".
        copies: Stored configurations this version served, newest first, each with the diff to what lies there.
    """

    valid: bool | None
    problems: tuple[str, ...]
    path: str
    doctor: str
    blocked: str
    copies: tuple[tuple[Kept, str], ...] = ()


async def doctor(world: World, action: Doctor) -> Verdict:
    """Run the doctor on a stopped gateway.

    Raises:
        Refused: Something runs, or the file is not ours to change.
        Retryable: The snapshot cannot be made; the doctor is not run then.
    """
    world.need_files()
    blocked = _blocked(world)
    if blocked:
        raise Refused(blocked, by="running")
    path = files.target_of(world.config_path)
    before = files.read(path)
    if files.has_include(before):
        raise Refused("openclaw.json is composed with $include: the doctor would rewrite it as one file", by="include")
    was_valid, problems = await validate(world)
    undo = keep_aside(world, "doctor", action.reason, *_snapshot(path))
    installation = await world.installation()
    env = (await world.launch()).env
    try:
        done = await run_openclaw(installation, ARGV, env=env, timeout=WITHIN, cap=CAP)
    except Retryable as error:
        return _taken_back(undo, path, before, f"{error}")
    ended = f"exit {done.code}" + (f": {_last_words(done.stderr or done.stdout)}" if done.code else "")
    after = files.read(path)
    lost = lost_keys(before, after, problems, _reference(world, installation.version))
    if lost and after != before:
        return _taken_back(undo, path, before, f"it removed or changed what was valid ({', '.join(lost[:8])})")
    valid, left = await validate(world)
    if valid is not True:
        what = "; ".join(left[:3]) or "nobody could judge it"
        return _taken_back(undo, path, before, f"the file is still not valid ({what}); {ended}")
    text = files.diff(before, after, names=("before the doctor", "after the doctor"))
    words = changes(before, after)
    data = {
        "changes": words,
        "diff": text,
        "undo": undo.folder,
        "reason": action.reason,
        "wasValid": was_valid,
        "code": done.code,
    }
    world.say("config:doctored", data)
    told = f"openclaw.json is valid ({ended}); {words}; the old one is kept in {undo.folder}"
    return Verdict(result="done", detail=f"{told}\n{text}".rstrip())


async def explain_doctor(world: World) -> Explanation:
    """Say what is wrong with openclaw.json and what could be done, changing nothing.

    Raises:
        Refused: Its files are not here.
    """
    world.need_files()
    try:
        valid, problems = await validate(world)
        version = (await world.installation()).version
    except RegrowError as error:
        valid, problems, version = None, [str(error)], world.running_version()
    now = files.read(world.config_path)
    found = [kept for kept in reversed(store(world).kept()) if kept.version == version]
    copies = []
    for kept in found:
        content = store(world).read(kept.digest, kept.version)
        if content is not None and content != now:
            copies.append((kept, files.diff(now, content, names=("now", f"kept {kept.digest[:12]}"))))
    return Explanation(
        valid=valid,
        problems=tuple(problems),
        path=str(world.config_path),
        doctor=f"openclaw {' '.join(ARGV)}",
        blocked=_blocked(world),
        copies=tuple(copies),
    )


def changes(before: bytes | None, after: bytes | None) -> str:
    """How many settings were removed, changed and added, and where."""
    old, new = files.leaves(files.parsed(before) or {}), files.leaves(files.parsed(after) or {})
    groups = {
        "removed": [path for path in old if path not in new],
        "changed": [path for path in old if path in new and old[path] != new[path]],
        "added": [path for path in new if path not in old],
    }
    words = []
    for what, paths in groups.items():
        places = sorted({path.partition(".")[0] for path in paths})
        if paths:
            words.append(f"{len(paths)} {what} ({', '.join(places[:6])})")
    return redact(", ".join(words)) or "nothing was changed"


def lost_keys(before: bytes | None, after: bytes | None, problems: list[str], reference: bytes | None) -> list[str]:
    """Paths of valid settings that are gone or have another value.

    Args:
        before: The file as it was.
        after: The file as the doctor left it.
        problems: `path: what is wrong` lines about the file as it was; what they name may go.
        reference: A configuration that was served, to compare with where the file as it was cannot be parsed.
    """
    old = files.parsed(before)
    if old is None:
        old, problems = files.parsed(reference), []
    if old is None:
        return []
    blamed = [line.partition(": ")[0] for line in problems]
    blamed += [f"{at}.{name}" if at != "(file)" else name for line, at in zip(problems, blamed, strict=True)
               for name in _quoted(line)]  # fmt: skip
    new = files.leaves(files.parsed(after))
    lost = []
    for path, value in files.leaves(old).items():
        if path.split(".", 1)[0] in _OWN_KEYS or any(path == bad or path.startswith(f"{bad}.") for bad in blamed):
            continue
        if _absent(new, path, value):
            lost.append(path)
    return lost


def _absent(new: dict[str, Any], path: str, value: Any) -> bool:
    if path in new:
        return bool(new[path] != value)
    # an empty table that was filled is not lost
    return not (value in ({}, None) and any(other.startswith(f"{path}.") for other in new))


def _quoted(line: str) -> list[str]:
    """`gateway: Unrecognized key: "x"` names gateway.x."""
    return line.split('"')[1::2]


def _reference(world: World, version: str) -> bytes | None:
    kept = [kept for kept in store(world).kept() if kept.version == version]
    return store(world).read(kept[-1].digest, version) if kept else None


def _snapshot(path: Path) -> list[Path]:
    """The file and every copy of it that the gateway or the doctor rewrites."""
    ring = [path.with_name(f"{path.name}.bak"), *(path.with_name(f"{path.name}.bak.{n}") for n in range(1, 5))]
    return [path, *ring, path.with_name(f"{path.name}.last-good")]


def _blocked(world: World) -> str:
    if not is_down(world):
        return "the doctor rewrites files under a running gateway: `regrow stop` first"
    if world.port is not None and not ports.is_free(world.port):
        return f"something listens on port {world.port}: the gateway may still run"
    return ""


def _taken_back(undo: Undo, path: Path, before: bytes | None, why: str) -> Verdict:
    if files.read(path) == before:
        return Verdict(result="failed", detail=redact(f"the doctor did not help: {why}; the file is as it was"))
    undo.take_back()
    return Verdict(result="failed", detail=redact(f"the doctor's work was taken back: {why}"))


def _last_words(text: str) -> str:
    lines = [line.strip() for line in redact_lines(text.splitlines()) if line.strip()]
    return " / ".join(lines[-3:])[:300]
