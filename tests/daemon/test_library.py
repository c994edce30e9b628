"""What a program that runs a keeper itself may do: debounced wishes, changed providers, a watched settings file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from regrow.daemon import Daemon
from rig.kept import HASTY, keeping, settings
from rig.programs import ChildProgram

pytestmark = pytest.mark.usefixtures("no_leaks")


async def test_debounced_wishes_become_one_and_announce_everything(child_program: ChildProgram, folder: Path) -> None:
    policy = replace(HASTY, restart_debounce=0.4)
    async with keeping(settings(child_program, folder), policy=policy) as kept:
        await kept.ready()
        desk = kept.daemon.desk
        first = desk.debounced("restart", topics=("agents",), reason="saved")
        second = desk.debounced("restart", topics=("skills",), warnings=("slow",))
        changed = await kept.told_of("runtime:changed")
        assert (changed["topics"], changed["warnings"]) == (["agents", "skills"], ["slow"])
        await kept.told_of("reply", request=first, state="done")
        await kept.told_of("reply", request=second, state="done")
        assert kept.done() == ["start", "restart-in-place"]


async def test_changed_providers_are_reloaded_or_only_announced(child_program: ChildProgram, folder: Path) -> None:
    async with keeping(settings(child_program, folder)) as kept:
        await kept.ready()
        assert kept.daemon.desk.reload_providers()
        changed = await kept.told_of("runtime:changed")
        assert (changed["topics"], changed["reason"]) == (["providers", "models"], "providers:reload")
        await kept.ask("stop")
        with kept.daemon.events.subscribe(types=("runtime:changed",)) as coming:
            assert kept.daemon.desk.reload_providers() == ""
            assert (await anext(coming)).data["topics"] == ["providers", "models"]
        assert kept.status["phase"] == "stopped"


async def test_a_changed_settings_file_is_read_again_by_itself(
    child_program: ChildProgram, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regrow.daemon.signals.LOOK_EVERY", 0.05)
    file = child_program.root / "regrow.toml"
    file.write_text("one")
    config = settings(child_program, folder)
    asked: list[str] = []

    def read() -> Any:
        asked.append(file.read_text())
        return replace(config, regrow=replace(config.regrow, journal_days=7.0, config_watch=asked[-1] != "three"))

    kind: Any = functools.partial(Daemon, config_file=file)
    async with keeping(config, reload=read, kind=kind) as kept:
        await kept.ready()
        file.write_text("two")
        assert (await kept.told_of("config:reloaded"))["changed"] == ["regrow.journal_days"]
        file.write_text("three")
        assert (await kept.told_of("config:reloaded", 2))["changed"] == ["regrow.config_watch"]
        assert asked == ["two", "three"]
