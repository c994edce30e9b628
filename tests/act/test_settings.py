"""What was served is kept; what does not boot is replaced by it, and comes back if that does not hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from act.rigging import Stage
from regrow.act import child, files, settings
from regrow.act.settings import ConfigStore, Undo
from regrow.model.actions import RestoreConfig, Start
from regrow.model.errors import Refused, Retryable
from regrow.model.facts import ConfigKept
from regrow.observe.file import read_config
from regrow.testing import FakeGateway
from rig.programs import ChildProgram

VERSION = "2026.9.6"


@pytest.fixture
def stage(child_program: ChildProgram, tmp_path: Path) -> Stage:
    return Stage(child_program, tmp_path / "regrow")


def good(program: ChildProgram, **more: Any) -> bytes:
    config = {"gateway": {"mode": "local", "port": program.port}, "meta": {"lastTouchedVersion": VERSION}, **more}
    return json.dumps(config).encode()


def restore(digest: str) -> RestoreConfig:
    return RestoreConfig(digest=digest, reason="it does not boot")


def copies(stage: Stage) -> list[Path]:
    return sorted((stage.world.folder / "undo").glob("*"))


# ── files ──


def test_a_file_of_ours_is_private_even_where_a_wider_one_lay(tmp_path: Path) -> None:
    path = tmp_path / "copy.json"
    path.write_text("old")
    path.chmod(0o644)
    files.write_private(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    path.chmod(0o640)
    files.replace_file(path, b"theirs")
    assert path.stat().st_mode & 0o777 == 0o640, "a file of somebody else keeps its mode"


# ── the store ──


def test_contents_are_kept_once_per_version_and_privately(tmp_path: Path) -> None:
    store = ConfigStore(tmp_path / "kept")
    first = store.keep(b"{a: 1}", "2026.9.6")
    assert store.keep(b"{a: 1}", "2026.9.6").digest == first.digest
    store.keep(b"{a: 1}", "2026.9.7")
    assert [(kept.digest, kept.version) for kept in store.kept()] == [
        (first.digest, "2026.9.6"), (first.digest, "2026.9.7"),
    ]  # fmt: skip
    assert store.read(first.digest, "2026.9.6") == b"{a: 1}"
    assert store.read(first.digest, "2026.9.5") is None
    assert store.versions(first.digest) == ("2026.9.6", "2026.9.7")
    for path in (tmp_path / "kept").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    import os

    store = ConfigStore(tmp_path / "kept")
    kept = [store.keep(f"{n}".encode(), "2026.9.6") for n in range(5)]
    for age, entry in enumerate(kept):
        os.utime(entry.path, (1000 + age, 1000 + age))
    gone = store.prune(2)
    assert [entry.digest for entry in gone] == [entry.digest for entry in kept[:3]]
    assert [entry.digest for entry in store.kept()] == [entry.digest for entry in kept[3:]]


def test_a_damaged_copy_is_no_copy(tmp_path: Path) -> None:
    store = ConfigStore(tmp_path / "kept")
    kept = store.keep(b"{a: 1}", "2026.9.6")
    kept.path.write_bytes(b"{a:")
    assert store.read(kept.digest, "2026.9.6") is None
    assert store.keep(b"{a: 1}", "2026.9.6").digest == kept.digest
    assert store.read(kept.digest, "2026.9.6") == b"{a: 1}", "it is mended by the next"


@pytest.mark.parametrize("version", ["", "../up", "a/b", "."])
def test_a_version_is_not_a_path(tmp_path: Path, version: str) -> None:
    store = ConfigStore(tmp_path / "kept")
    with pytest.raises(ValueError, match="not a version"):
        store.keep(b"x", version)
    assert store.read("../../etc/passwd", "2026.9.6") is None


# ── keeping what was served ──


async def test_only_what_runs_and_is_valid_is_kept(stage: Stage, child_program: ChildProgram) -> None:
    child_program.config_path.write_bytes(good(child_program))
    async with FakeGateway() as fake, stage.line(fake.url, fake.token) as line:
        await line.dial()
        fake.on("config.get", {"valid": True, "configRevisionHash": "b", "appliedConfigHash": "a"})
        assert await settings.keep_served(stage.world) is None, "it runs another one"
        fake.on("config.get", {"valid": False, "appliedConfigHash": "a"})
        assert await settings.keep_served(stage.world) is None

        def edited(_: Any) -> dict[str, Any]:
            child_program.config_path.write_bytes(good(child_program, edited=True))
            return {"valid": True, "configRevisionHash": "a", "appliedConfigHash": "a"}

        fake.on("config.get", edited)
        child_program.config_path.write_bytes(good(child_program))
        assert await settings.keep_served(stage.world) is None, "somebody edits it at this moment"
        fake.on("config.get", {"valid": True, "configRevisionHash": "a", "appliedConfigHash": "a"})
        kept = await settings.keep_served(stage.world)
    assert kept is not None
    assert stage.posted(ConfigKept) == [kept]
    assert kept.version == VERSION
    content = settings.store(stage.world).read(kept.digest, VERSION)
    assert content == child_program.config_path.read_bytes()
    assert ("keep", kept.digest, VERSION) in stage.journal.lines


async def test_a_composed_configuration_is_kept_whole_for_people(stage: Stage, child_program: ChildProgram) -> None:
    path, part = child_program.config_path, child_program.state_dir / "agents.json5"
    path.write_text('{"gateway": {"mode": "local"}, "agents": {"$include": "agents.json5"}}')
    part.write_text("{/* ours */}")
    answer = {"valid": True, "configRevisionHash": "a", "appliedConfigHash": "a"}
    async with FakeGateway() as fake, stage.line(fake.url, fake.token) as line:
        await line.dial()

        def edited(_: Any) -> dict[str, Any]:
            part.write_text("{/* edited */}")
            return answer

        fake.on("config.get", edited)
        assert await settings.keep_served(stage.world) is None, "somebody edits a part of it at this moment"
        fake.on("config.get", answer)
        kept = await settings.keep_served(stage.world)
    assert kept is not None
    assert kept.composed
    assert kept.digest == read_config(path).digest, "what the guard knows by this name is what was kept"
    [stored] = settings.store(stage.world).kept()
    assert (stored.digest, stored.version, stored.composed) == (kept.digest, VERSION, True)
    assert json.loads(stored.path.read_text()) == {str(path): path.read_text(), str(part): "{/* edited */}"}
    assert stored.path.stat().st_mode & 0o077 == 0
    assert settings.store(stage.world).read(kept.digest, VERSION) is None
    path.write_text("{broken")
    with pytest.raises(Refused, match="composed of several files") as refused:
        await settings.restore_config(stage.world, restore(kept.digest))
    assert refused.value.by == "include"
    assert settings.store(stage.world).prune(1) == []


# ── restoring ──


async def test_a_broken_file_is_replaced_and_kept(stage: Stage, child_program: ChildProgram) -> None:
    content = good(child_program, channels={"telegram": {"botToken": "old-secret-value"}})
    kept = settings.store(stage.world).keep(content, VERSION)
    broken = (
        b'{"gateway": {"mode": "local", "bogusKey": 1}, "channels": {"telegram": {"botToken": "new-secret-value"}}}'
    )
    child_program.write_config(broken.decode())
    child_program.config_path.chmod(0o640)
    verdict = await settings.restore_config(stage.world, restore(kept.digest))
    assert verdict.result == "done"
    path = child_program.config_path
    assert path.read_bytes() == content
    assert path.with_name("openclaw.json.bak").read_bytes() == content, "else the gateway puts .bak back at boot"
    assert path.stat().st_mode & 0o777 == 0o640
    assert '-    "bogusKey": 1' in verdict.detail
    assert "secret-value" not in verdict.detail
    assert "secret-value" not in repr(stage.said)
    assert "another one" in verdict.detail, "that a secret differs is told, not the secret"
    [folder] = copies(stage)
    assert (folder / "openclaw.json").read_bytes() == broken
    assert (folder / "openclaw.json").stat().st_mode & 0o077 == 0
    assert [kind for kind, _ in stage.said] == ["config:restored"]
    # and it boots
    assert (await child.start(stage.world, Start(reason="x"))).result == "done"
    await child_program.wait_listening()
    # and it can be taken back
    import msgspec

    msgspec.json.decode((folder / "undo.json").read_bytes(), type=Undo).take_back()
    assert path.read_bytes() == broken
    assert not path.with_name("openclaw.json.bak").exists()


async def test_another_version_s_copy_is_refused(stage: Stage, child_program: ChildProgram) -> None:
    kept = settings.store(stage.world).keep(good(child_program), "2026.4.29")
    child_program.write_config("{broken")
    with pytest.raises(Refused, match=r"served by OpenClaw 2026\.4\.29, and 2026\.9\.6 runs here") as refused:
        await settings.restore_config(stage.world, restore(kept.digest))
    assert refused.value.by == "version"
    assert child_program.config_path.read_bytes() == b"{broken"


async def test_an_unknown_copy_is_refused(stage: Stage) -> None:
    with pytest.raises(Refused, match="no whole stored configuration"):
        await settings.restore_config(stage.world, restore("0" * 64))


async def test_a_copy_that_is_not_valid_goes_nowhere(stage: Stage, child_program: ChildProgram) -> None:
    kept = settings.store(stage.world).keep(b'{"bogus": 1}', VERSION)
    child_program.write_config("{broken")
    with pytest.raises(Refused, match="not valid here") as refused:
        await settings.restore_config(stage.world, restore(kept.digest))
    assert refused.value.by == "config"
    assert child_program.config_path.read_bytes() == b"{broken"
    assert not child_program.config_path.with_name("openclaw.json.bak").exists()


@pytest.mark.parametrize("text", ['{"$include": "./other.json"}', '{"agents": {"$include": ["a"]}}', '{$include: "x'])
async def test_a_composed_file_is_left_alone(stage: Stage, child_program: ChildProgram, text: str) -> None:
    kept = settings.store(stage.world).keep(good(child_program), VERSION)
    child_program.write_config(text)
    with pytest.raises(Refused) as refused:
        await settings.restore_config(stage.world, restore(kept.digest))
    assert refused.value.by == "include"
    assert child_program.config_path.read_text() == text


async def test_a_link_is_followed_where_it_may_be_written(
    stage: Stage, child_program: ChildProgram, tmp_path: Path
) -> None:
    kept = settings.store(stage.world).keep(good(child_program), VERSION)
    real = tmp_path / "dotfiles" / "openclaw.json"
    real.parent.mkdir()
    real.write_text("{broken")
    child_program.config_path.unlink()
    child_program.config_path.symlink_to(real)
    assert (await settings.restore_config(stage.world, restore(kept.digest))).result == "done"
    assert child_program.config_path.is_symlink()
    assert real.read_bytes() == good(child_program)


async def test_a_link_into_a_place_that_cannot_be_written_is_refused(
    stage: Stage, child_program: ChildProgram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = settings.store(stage.world).keep(good(child_program), VERSION)
    real = tmp_path / "store" / "openclaw.json"
    real.parent.mkdir()
    real.write_text("{broken")
    child_program.config_path.unlink()
    child_program.config_path.symlink_to(real)
    access = files.os.access
    monkeypatch.setattr(files.os, "access", lambda path, mode: Path(path) != real.parent and access(path, mode))
    with pytest.raises(Refused, match="change it where it is managed") as refused:
        await settings.restore_config(stage.world, restore(kept.digest))
    assert refused.value.by == "place"


async def test_a_full_disk_loses_nothing(
    stage: Stage, child_program: ChildProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = settings.store(stage.world).keep(good(child_program), VERSION)
    child_program.write_config("{broken")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(Retryable, match="No space left"):
        await settings.restore_config(stage.world, restore(kept.digest))
    assert child_program.config_path.read_bytes() == b"{broken"
    assert list(child_program.state_dir.glob(".*regrow*")) == []


async def test_what_somebody_changed_meanwhile_is_not_overwritten(
    stage: Stage, child_program: ChildProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = settings.store(stage.world).keep(good(child_program), VERSION)
    child_program.write_config("{broken")
    judge = settings._need_boots

    async def edit(*args: Any) -> None:
        await judge(*args)
        child_program.write_config('{"mine": 1}')

    monkeypatch.setattr(settings, "_need_boots", edit)
    with pytest.raises(Refused) as refused:
        await settings.restore_config(stage.world, restore(kept.digest))
    assert refused.value.by == "changed"
    assert child_program.config_path.read_text() == '{"mine": 1}'


async def test_a_missing_file_is_restored_too(stage: Stage, child_program: ChildProgram) -> None:
    kept = settings.store(stage.world).keep(good(child_program), VERSION)
    child_program.config_path.unlink()
    assert (await settings.restore_config(stage.world, restore(kept.digest))).result == "done"
    assert child_program.config_path.stat().st_mode & 0o777 == 0o600
    assert (await settings.restore_config(stage.world, restore(kept.digest))).detail == "the file is that copy already"


async def test_while_it_runs_the_gateway_itself_judges(stage: Stage, child_program: ChildProgram) -> None:
    """A copy the running gateway calls invalid is taken back."""
    kept = settings.store(stage.world).keep(good(child_program), VERSION)
    await child.start(stage.world, Start(reason="x"))
    await child_program.wait_listening()
    child_program.write_config("{broken")
    async with stage.line(child_program.url, child_program.token) as line:
        while (await line.dial()).result != "done":
            pass
        assert (await settings.restore_config(stage.world, restore(kept.digest))).result == "done"
        bogus = settings.store(stage.world).keep(b'{"bogus": 1}', VERSION)
        verdict = await settings.restore_config(stage.world, restore(bogus.digest))
    assert verdict.result == "failed"
    assert "what was there is back" in verdict.detail
    assert child_program.config_path.read_bytes() == good(child_program)


async def test_a_copy_that_nobody_could_judge_is_said_to_be_unjudged(stage: Stage, child_program: ChildProgram) -> None:
    kept = settings.store(stage.world).keep(good(child_program), VERSION)
    await child.start(stage.world, Start(reason="x"))
    await child_program.wait_listening()
    child_program.write_config("{broken")
    verdict = await settings.restore_config(stage.world, restore(kept.digest))  # it runs, and there is no line to it
    assert verdict.result == "done"
    assert "could not be asked whether it is valid" in verdict.detail


# ── what is shown of it ──


def test_a_diff_hides_every_secret() -> None:
    before = b'{"a": {"apiKey": "k1", "list": ["x"]}, "env": {"GITHUB_TOKEN": "t1"}, "tokens": {"x": "s1", "n": 5}}'
    after = b'{"a": {"apiKey": "k2", "list": ["x", "y"]}, "env": {"GITHUB_TOKEN": "t1"}, "tokens": {"x": "s2", "n": 6}}'
    text = files.diff(before, after)
    for secret in ("k1", "k2", "t1", "s1", "s2"):
        assert f'"{secret}"' not in text
    assert '+      "y"' in text


def test_a_diff_of_what_cannot_be_parsed_is_by_lines() -> None:
    text = files.diff(b'{broken\n"token": "abc123def456"', b"{}")
    assert "-{broken" in text
    assert "abc123def456" not in text


def test_settings_are_compared_by_path() -> None:
    assert files.leaves({"a": {"b": 1, "c": []}, "d": {}}) == {"a.b": 1, "a.c": [], "d": {}}
    assert files.parsed(b"[1]") is None
    assert files.parsed(b"{a: 1, /* why */ b: 'x',}") == {"a": 1, "b": "x"}
    assert files.parsed(b"\xff\xfe") is None
    assert files.parsed(b"[" * 100_000) is None
