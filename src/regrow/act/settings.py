"""Keeps configurations that were served, and puts one back when the file on disk does not boot."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from regrow.act import files
from regrow.act.gateway import issues, judged
from regrow.act.world import World
from regrow.host import locks
from regrow.host.cli import run_openclaw
from regrow.host.includes import Whole, compose
from regrow.host.process import alive
from regrow.model.actions import RestoreConfig
from regrow.model.errors import LinkError, Refused, Retryable
from regrow.model.facts import ConfigKept
from regrow.model.verdicts import Verdict

VALIDATE_WITHIN = 60.0
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
COMPOSED = ".composed"  # a stored configuration of several files: for people to look at


class Kept(Struct, frozen=True):
    """A stored configuration: what, which version served it, when it was last stored, where.

    `composed`: it consists of several files (`$include`), all of them in this one as JSON. It is not put back.
    """

    digest: str
    version: str
    at: float
    path: Path
    composed: bool = False


class ConfigStore:
    """Configurations that reached ready, by content and version. They hold secrets: private files in a private place.

    Args:
        folder: Where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, content: bytes, version: str) -> Kept:
        """Store a configuration that this version served.

        Raises:
            Retryable: It cannot be written.
            ValueError: The version is not one.
        """
        if not _VERSION.fullmatch(version):
            raise ValueError(f"{version!r} is not a version")
        digest = files.digest_of(content)
        path = self.folder / version / f"{digest}.json"
        if self._whole(path, digest) is None:
            files.write_private(path, content)
        with suppress(OSError):
            now = time.time_ns()  # finer than what the system notes by itself: which is newest must be known
            os.utime(path, ns=(now, now))
        return Kept(digest, version, path.stat().st_mtime, path)

    def keep_composed(self, digest: str, contents: Mapping[Path, bytes | None], version: str) -> Kept:
        """Store a configuration of several files that this version served, for people.

        Args:
            digest: Names all of them together.
            contents: The files, the one that includes the others first.
            version: The version.

        Raises:
            Retryable: It cannot be written.
        """
        path = self.folder / version / f"{digest}{COMPOSED}.json"
        texts = {str(file): (content or b"").decode(errors="replace") for file, content in contents.items()}
        files.write_private(path, msgspec.json.format(msgspec.json.encode(texts), indent=2))
        return Kept(digest, version, path.stat().st_mtime, path, composed=True)

    def kept(self) -> list[Kept]:
        """Everything stored, newest last."""
        found = []
        for path in self.folder.glob("*/*.json"):
            digest = path.stem.removesuffix(COMPOSED)
            if _DIGEST.fullmatch(digest):
                composed = digest != path.stem
                with suppress(OSError):
                    found.append(Kept(digest, path.parent.name, path.stat().st_mtime, path, composed))
        return sorted(found, key=lambda kept: (kept.at, kept.digest))

    def read(self, digest: str, version: str) -> bytes | None:
        """A stored content, or None if there is none or it is damaged."""
        if not _DIGEST.fullmatch(digest) or not _VERSION.fullmatch(version):
            return None
        return self._whole(self.folder / version / f"{digest}.json", digest)

    def versions(self, digest: str) -> tuple[str, ...]:
        """Which versions served it."""
        return tuple(kept.version for kept in self.kept() if kept.digest == digest)

    def prune(self, keep: int) -> list[Kept]:
        """Forget all but the newest `keep`; returns what was forgotten."""
        gone = self.kept()[:-keep] if keep > 0 else []
        for kept in gone:
            with suppress(OSError):
                kept.path.unlink()
        return gone

    def _whole(self, path: Path, digest: str) -> bytes | None:
        content = files.read(path)
        return content if content is not None and files.digest_of(content) == digest else None


class Undo(Struct, frozen=True, kw_only=True):
    """What lay there before a change of ours, so that it can be taken back.

    Attributes:
        at: When, epoch seconds.
        what: The change.
        files: Path in the gateway's directory to its copy in ours; None if there was no file.
        reason: Why it was changed.
    """

    at: float
    what: str
    files: dict[str, str | None]
    reason: str = ""
    folder: str = ""

    def take_back(self) -> None:
        """Put everything back as it was.

        Raises:
            Retryable: It cannot be written.
        """
        for path, copy in self.files.items():
            if copy is None:
                with suppress(OSError):
                    Path(path).unlink()
                continue
            content = files.read(Path(copy))
            if content is None:
                raise Retryable(f"{copy} is gone: {path} cannot be put back")
            if files.read(Path(path)) != content:
                files.replace_file(Path(path), content)


def keep_aside(world: World, what: str, reason: str, *paths: Path) -> Undo:
    """Copy files into our own directory before they are changed, with a record of what they were.

    Raises:
        Retryable: They cannot be read or written; nothing may be changed then.
    """
    now = world.clock.now()
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S.%f")
    folder = world.folder / "undo" / f"{stamp}-{what}"
    kept: dict[str, str | None] = {}
    for path in paths:
        content = files.read(path)
        copy = None if content is None else folder / path.name
        if copy is not None and content is not None:
            files.write_private(copy, content)
        kept[str(path)] = None if copy is None else str(copy)
    undo = Undo(at=now, what=what, files=kept, reason=reason, folder=str(folder))
    files.write_private(folder / "undo.json", msgspec.json.format(msgspec.json.encode(undo)))
    return undo


def store(world: World) -> ConfigStore:
    """The configurations kept for this gateway."""
    return ConfigStore(world.folder / "kept")


async def keep_served(world: World) -> ConfigKept | None:
    """Store the configuration the gateway just proved by becoming ready; None if these bytes are not proven.

    ConfigKept is posted. The bytes count only if the gateway says that they are valid and are what it runs.
    """
    version = world.running_version()
    before = files.read(world.config_path)
    if before is None or not _VERSION.fullmatch(version):
        return None
    whole = _whole(world, before)
    try:
        seen = await judged(world)
    except (LinkError, Refused):
        return None
    if seen.get("valid") is not True:
        return None
    applied = seen.get("appliedConfigHash")
    if applied is not None and seen.get("configRevisionHash") != applied:
        return None
    if files.read(world.config_path) != before or _whole(world, before) != whole:
        return None
    stored = store(world)
    if whole.composed:
        contents = {world.config_path: before, **{part.path: part.content for part in whole.parts}}
        kept = stored.keep_composed(whole.digest(files.digest_of(before)), contents, version)
    else:
        kept = stored.keep(before, version)
    gone = stored.prune(world.keep)
    if world.journal is not None:
        world.journal.keep_config(kept.digest, version, at=world.clock.now(), path=kept.path)
        for old in gone:
            world.journal.forget_config(old.digest, old.version)
    fact = ConfigKept(at=world.clock.now(), digest=kept.digest, version=version, composed=kept.composed)
    world.post(fact)
    return fact


def _whole(world: World, content: bytes) -> Whole:
    """The configuration with what it includes."""
    return compose(world.config_path, files.parsed(content))


async def validate(world: World, path: Path | None = None) -> tuple[bool | None, list[str]]:
    """Have the installed OpenClaw judge a file: valid or not (None: it could not say), and what is wrong.

    Raises:
        Fatal, Retryable: It cannot be run.
    """
    env = dict((await world.launch()).env)
    if path is not None:
        env["OPENCLAW_CONFIG_PATH"] = str(path)
    installation = await world.installation()
    done = await run_openclaw(installation, ["config", "validate", "--json"], env=env, timeout=VALIDATE_WITHIN)
    try:
        said = msgspec.json.decode(done.stdout.strip()[done.stdout.strip().find("{") :] or b"{}")
    except msgspec.DecodeError:
        return None, [f"openclaw config validate ended with {done.code} and said nothing that can be read"]
    valid = said.get("valid") if isinstance(said, dict) else None
    if not isinstance(valid, bool):
        return None, [f"openclaw config validate ended with {done.code} and no judgement"]
    return valid, issues(said)


def is_down(world: World) -> bool:
    """Whether no gateway of this state directory runs."""
    process = world.view().process
    if process is not None and alive(process):
        return False
    if world.child is not None and not world.child.poll():
        return False
    return locks.owner(world.state_dir, world.config_path) is None


async def restore_config(world: World, action: RestoreConfig) -> Verdict:
    """Put a stored configuration back; what lay there is kept, and comes back if the copy does not hold.

    Raises:
        Refused: Another version served it, or the file is not ours to replace.
        Retryable: The disk is full.
    """
    world.need_files()
    version = await _version(world)
    content = _stored(world, action.digest, version)
    path = files.target_of(world.config_path)
    backup = path.with_name(f"{path.name}.bak")
    bad = files.read(path)
    if bad == content:
        return Verdict(result="done", detail="the file is that copy already")
    if files.has_include(bad) or files.has_include(content):
        raise Refused("openclaw.json is composed with $include: regrow does not restore only a part", by="include")
    undo = keep_aside(world, "restore", action.reason, path, backup)
    down = is_down(world)
    if down:
        await _need_boots(world, Path(undo.folder) / "candidate.json", content)
    if files.read(path) != bad:
        raise Refused("openclaw.json was changed meanwhile; nothing was done, look at it again", by="changed")
    # the copy first: a file that looks smaller than its .bak is put back by the gateway at its next boot
    files.replace_file(backup, content)
    files.replace_file(path, content)
    problems, judged_valid = await _holds(world, path, content, down=down)
    if problems:
        undo.take_back()
        return Verdict(result="failed", detail=f"the copy did not hold ({problems}); what was there is back")
    text = files.diff(bad, content, names=("was there", "restored"))
    world.say(
        "config:restored",
        {"digest": action.digest, "version": version, "diff": text, "undo": undo.folder, "reason": action.reason},
    )
    # this version served these bytes before, which is why they are kept; but nobody said so again
    unjudged = "" if judged_valid else ", and OpenClaw could not be asked whether it is valid: `regrow check` asks"
    return Verdict(
        result="done",
        detail=f"configuration {action.digest[:12]} is back{unjudged}; what was there is kept in {undo.folder}\n{text}",
    )


async def _version(world: World) -> str:
    running = "" if is_down(world) else world.running_version()
    return running or (await world.installation()).version


def _stored(world: World, digest: str, version: str) -> bytes:
    content = store(world).read(digest, version)
    if content is not None:
        return content
    if any(kept.composed for kept in store(world).kept() if kept.digest == digest):
        raise Refused(f"configuration {digest[:12]} is composed of several files: regrow puts none back", by="include")
    others = store(world).versions(digest)
    if others and version not in others:
        raise Refused(
            f"configuration {digest[:12]} was served by OpenClaw {', '.join(others)}, and {version} runs here: "
            "another version may refuse it or rewrite it",
            by="version",
        )
    raise Refused(f"there is no whole stored configuration {digest[:12]}", by="store")


async def _need_boots(world: World, candidate: Path, content: bytes) -> None:
    """The judge looks at the copy before it goes anywhere."""
    files.write_private(candidate, content)
    try:
        valid, problems = await validate(world, candidate)
    finally:
        _drop(candidate)
    if valid is False:
        raise Refused(f"the stored copy is not valid here: {'; '.join(problems[:3])}", by="config")


def _drop(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


async def _holds(world: World, path: Path, content: bytes, *, down: bool) -> tuple[str, bool]:
    """What is wrong with the restored file, or "", and whether OpenClaw has judged it."""
    if down:
        valid, problems = await validate(world)
    else:
        seen: Mapping[str, Any] = {}
        with suppress(LinkError, Refused):
            seen = await judged(world)
        valid, problems = seen.get("valid"), issues(seen)
    if files.read(path) != content:
        return "somebody changed the file at once", valid is not None
    return ("; ".join(problems[:3]) or "it is not valid") if valid is False else "", valid is not None
