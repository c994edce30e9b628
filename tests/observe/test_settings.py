"""openclaw.json watched on disk, judged by a fake gateway, a scripted program and a real one."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from observe.mailbox import Box, running
from regrow.host.cli import Finished, run_openclaw
from regrow.link.client import GatewayClient
from regrow.model.errors import GatewayError, Retryable
from regrow.model.facts import ConfigSeen
from regrow.observe.settings import Settings, reload_policy
from regrow.testing import FakeGateway
from rig.real import RealGateway

GOOD = '{"gateway": {"mode": "local"}}'
OTHER = '{"gateway": {"mode": "local", "port": 4}}'
HASHES = {"hash": "hmac-sha256:v1:x", "exists": True}


class Held:
    """The line, as far as the judge needs it."""

    def __init__(self, client: GatewayClient | None = None) -> None:
        self.client = client

    async def call(self, method: str, params: Any = None, timeout: float = 30.0) -> Any:
        assert self.client is not None
        return await self.client.call(method, params, timeout=timeout)


class Judge:
    """Stands for `openclaw config validate --json`."""

    def __init__(self, *answers: Finished | Exception, then: Callable[[], None] = lambda: None) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []
        self.then = then

    async def __call__(self, argv: Sequence[str], within: float) -> Finished:
        self.asked.append(list(argv))
        answer = self.answers.pop(0)
        self.then()
        if isinstance(answer, Exception):
            raise answer
        return answer


VALID = Finished(0, '{"valid":true,"path":"/x/openclaw.json","warnings":[]}\n', "")
INVALID = Finished(
    1, '{"ok":false,"valid":false,"issues":[{"path":"<root>","message":"Unrecognized key: \\"foo\\""}]}', ""
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "openclaw.json"
    path.write_text(GOOD)
    return path


@contextlib.asynccontextmanager
async def watching(path: Path, **more: Any) -> AsyncIterator[tuple[Settings, Box]]:
    box = Box()
    settings = Settings(box.post, box.clock, path, every=0.02, **more)
    async with running(settings):
        yield settings, box


# ── watched ──


async def test_edits_renames_removal_and_return_are_seen(config: Path) -> None:
    async with watching(config) as (_, box):
        first = await box.wait(ConfigSeen)
        config.write_text(OTHER)
        edited = await box.wait(ConfigSeen, after=1)
        fresh = config.with_name("fresh")
        fresh.write_text('{"gateway": {')
        fresh.replace(config)
        broken = await box.wait(ConfigSeen, after=2)
        config.unlink()
        gone = await box.wait(ConfigSeen, after=3)
        config.write_text(GOOD)
        back = await box.wait(ConfigSeen, after=4)
    assert [seen.parsed for seen in (first, edited, broken, gone, back)] == [True, True, False, False, True]
    assert len({seen.digest for seen in (first, edited, broken)}) == 3
    assert gone.digest == ""
    assert back.digest == first.digest
    assert all(seen.valid is None for seen in (first, edited, back))
    assert "ends too early" in broken.problems[0]


async def test_edits_of_included_files_are_seen(config: Path) -> None:
    config.write_text('{"gateway": {"$include": "parts/gateway.json5"}}')
    part = config.parent / "parts" / "gateway.json5"
    part.parent.mkdir()
    part.write_text("{mode: 'local', reload: {mode: 'off'}}")
    async with watching(config) as (_, box):
        first = await box.wait(ConfigSeen)
        part.write_text("{mode: 'local', port: 4}")
        edited = await box.wait(ConfigSeen, after=1)
        part.unlink()
        gone = await box.wait(ConfigSeen, after=2)
        part.write_text("{mode: 'local', reload: {mode: 'off'}}")
        back = await box.wait(ConfigSeen, after=3)
    assert len({first.digest, edited.digest, gone.digest}) == 3
    assert back.digest == first.digest
    assert all(seen.composed and seen.parsed for seen in (first, edited, gone, back))
    assert first.reload_mode == "off", "the policy may stand in an included file"


async def test_a_copy_put_aside_is_told(config: Path) -> None:
    async with watching(config) as (_, box):
        await box.wait(ConfigSeen)
        config.with_name("openclaw.json.clobbered.2026-11-21").write_text("{")
        seen = await box.wait(ConfigSeen, after=1)
    assert seen.clobbered == ("openclaw.json.clobbered.2026-11-21",)


async def test_touching_it_without_a_change_is_no_news(config: Path) -> None:
    async with watching(config) as (settings, box):
        await box.wait(ConfigSeen)
        config.write_text(GOOD)
        await settings.look()
        config.write_text(OTHER)
        await box.wait(ConfigSeen, after=1)
    assert len(box.of(ConfigSeen)) == 2


async def test_a_file_written_in_pieces_is_read_when_whole(config: Path) -> None:
    async with watching(config) as (_, box):
        await box.wait(ConfigSeen)
        with config.open("w") as file:
            for piece in (OTHER[:5], OTHER[5:20], OTHER[20:]):
                file.write(piece)
                file.flush()
        await box.wait(ConfigSeen, after=1)
    assert [seen.parsed for seen in box.of(ConfigSeen)] == [True, True]


async def test_a_change_that_hides_its_times_is_found_when_asked(config: Path) -> None:
    async with watching(config) as (settings, box):
        await box.wait(ConfigSeen)
        settings._told = box.of(ConfigSeen)[0]
        config.write_text(OTHER)
        settings.nudge()
        assert (await box.wait(ConfigSeen, after=1)).digest != box.of(ConfigSeen)[0].digest


@pytest.mark.parametrize(
    ("reload", "expected"),
    [
        ({}, ("hybrid", 1.2)),
        ({"mode": "off", "debounceMs": 300}, ("off", 0.3)),
        ({"mode": "hot"}, ("reload", 1.2)),
        ({"mode": "restart", "debounceMs": -5}, ("restart", 0.0)),
        ({"mode": "nonsense", "debounceMs": 9e9}, ("hybrid", 60.0)),
        ({"mode": ["off"], "debounceMs": "fast"}, ("hybrid", 1.2)),
        ({"debounceMs": True}, ("hybrid", 1.2)),
        ({"debounceMs": float("nan")}, ("hybrid", 1.2)),
        ("hot", ("hybrid", 1.2)),
    ],
)
def test_the_reload_policy(reload: Any, expected: tuple[str, float]) -> None:
    assert reload_policy({"gateway": {"reload": reload}}) == expected
    assert reload_policy({"gateway": 3}) == ("hybrid", 1.2)


# ── judged ──


def judged_by(path: Path, judge: Judge | None = None, **more: Any) -> tuple[Settings, Box]:
    box = Box()
    return Settings(box.post, box.clock, path, cli=judge, **more), box


async def test_valid_and_invalid(config: Path) -> None:
    judge = Judge(VALID, INVALID)
    settings, _ = judged_by(config, judge)
    good = await settings.judge()
    config.write_text('{"gateway": {"mode": "local"}, "foo": 1}')
    bad = await settings.judge()
    assert (good.valid, good.problems) == (True, ())
    assert (bad.valid, bad.problems) == (False, ('<root>: Unrecognized key: "foo"',))
    assert judge.asked == [["config", "validate", "--json"]] * 2


@pytest.mark.parametrize(
    "answer",
    [
        Retryable("openclaw config validate did not end within 60 s and was killed"),
        Finished(0, "", ""),
        Finished(0, "Segmentation fault", ""),
        Finished(0, '{"valid": "yes"}', ""),
        Finished(1, '{"valid": true}', ""),
        Finished(0, '{"valid": false, "issues": []}', ""),
        Finished(-9, '{"valid": tr', ""),
    ],
)
async def test_an_odd_answer_is_no_judgement(config: Path, answer: Finished | Exception) -> None:
    settings, _ = judged_by(config, Judge(answer))
    assert (await settings.judge()).valid is None


async def test_what_does_not_parse_needs_no_judge(config: Path) -> None:
    judge = Judge()
    settings, _ = judged_by(config, judge)
    config.write_text("{")
    assert (await settings.judge()).valid is False
    config.unlink()
    assert (await settings.judge()).valid is False
    assert judge.asked == []


async def test_a_missing_mode_is_found_before_the_gateway_refuses(config: Path) -> None:
    config.write_text('{"gateway": {}}')
    settings, _ = judged_by(config, Judge(VALID))
    seen = await settings.judge()
    assert seen.valid is False
    assert "gateway.mode" in seen.problems[0]
    config.write_text('{"$include": "x.json5"}')
    assert (await settings.judge()).valid is True


async def test_allowed_to_be_unconfigured(config: Path) -> None:
    settings, _ = judged_by(config, Judge(VALID), unconfigured=True)
    config.write_text("{}")
    assert (await settings.judge()).valid is True
    config.unlink()
    seen = await settings.judge()
    assert (seen.valid, seen.parsed, seen.problems) == (True, True, ())


async def test_bytes_that_changed_meanwhile_are_judged_again(config: Path) -> None:
    judge = Judge(INVALID, VALID, then=lambda: config.write_text(OTHER))
    settings, box = judged_by(config, judge)
    before = await settings.look()
    seen = await settings.judge()
    assert (seen.valid, len(judge.asked)) == (True, 2)
    assert seen.digest != before.digest
    assert len(box.of(ConfigSeen)) == 1  # the judgement is returned, for the executor to post


async def test_a_file_that_never_rests_is_not_judged(config: Path) -> None:
    texts = iter((OTHER, OTHER + " ", OTHER + "  "))
    settings, _ = judged_by(config, Judge(VALID, VALID, VALID, then=lambda: config.write_text(next(texts)) and None))
    assert (await settings.judge()).valid is None


async def test_a_judgement_holds_while_the_bytes_stay(config: Path) -> None:
    settings, box = judged_by(config, Judge(VALID, VALID))
    await settings.judge()
    config.with_name("openclaw.json.rejected.1").touch()
    kept = await settings.look()
    config.write_text(OTHER)
    changed = await settings.look()
    config.write_text(GOOD)
    await settings.judge()
    settings.forget()
    config.with_name("openclaw.json.rejected.2").touch()
    forgotten = await settings.look()
    assert (kept.valid, changed.valid, forgotten.valid) == (True, None, None)
    assert len(box.of(ConfigSeen)) == 3


async def test_a_running_gateway_is_asked_first(config: Path) -> None:
    async with (
        FakeGateway(state_dir=str(config.parent)) as gateway,
        GatewayClient(gateway.url, token=gateway.token) as client,
    ):
        judge = Judge(VALID)
        settings, _ = judged_by(config, judge, line=Held(client))
        good = await settings.judge()
        gateway.config_valid = False
        bad = await settings.judge()
        assert (good.valid, bad.valid, judge.asked) == (True, False, [])
        assert bad.problems == ('gateway: Unrecognized key: "bogusKey"',)

        def refuse(params: Any) -> Any:
            raise GatewayError("FORBIDDEN", "missing scope: operator.read")

        gateway.on("config.get", refuse)
        assert (await settings.judge()).valid is True
        gateway.on("config.get", {"path": "/other/openclaw.json", "valid": False, **HASHES})
        judge.answers.append(VALID)
        assert (await settings.judge()).valid is True
        gateway.on("config.get", {"path": str(config), "valid": False, "exists": True, "hash": "0" * 64})
        judge.answers.append(VALID)
        assert (await settings.judge()).valid is True
    assert len(judge.asked) == 3


async def test_an_answer_about_what_lay_there_before_is_not_taken(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regrow.observe.settings._ASK_AGAIN", 0.01)
    config.write_text('{"gateway": {"mode": "local", "auth": {"token": "t"}, "bogusKey": [1]}}')
    before: dict[str, Any] = {"gateway": {"mode": "local"}}
    now: dict[str, Any] = {"gateway": {"mode": "local", "auth": {"token": "__OPENCLAW_REDACTED__"}, "bogusKey": [1]}}
    issue = {"path": "gateway", "message": 'Unrecognized key: "bogusKey"'}
    answers: list[dict[str, Any]] = [
        {"path": str(config), "valid": True, "parsed": before, "issues": []},
        {"path": str(config), "valid": True, "parsed": before, "issues": []},
        {"path": str(config), "valid": False, "parsed": now, "issues": [issue]},
    ]
    async with (
        FakeGateway(state_dir=str(config.parent)) as gateway,
        GatewayClient(gateway.url, token=gateway.token) as client,
    ):
        gateway.on("config.get", lambda _params: answers.pop(0))
        judge = Judge(VALID)
        settings, _ = judged_by(config, judge, line=Held(client))
        assert (await settings.judge()).valid is False
        assert (answers, judge.asked) == ([], [])
        gateway.on("config.get", {"path": str(config), "valid": True, "parsed": before})
        assert (await settings.judge()).valid is True, "it never speaks of these bytes: the command line does"
        assert len(judge.asked) == 1


async def test_a_gateway_is_asked_about_included_files_when_it_has_had_time_to_notice(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regrow.observe.settings._ASK_AGAIN", 0.01)
    config.write_text('{"gateway": {"$include": "part.json5"}}')
    part = config.with_name("part.json5")
    part.write_text("{mode: 'local', bogusKey: 1}")
    os.utime(part, (time.time() + 900, time.time() + 900))
    async with (
        FakeGateway(state_dir=str(config.parent)) as gateway,
        GatewayClient(gateway.url, token=gateway.token) as client,
    ):
        asked: list[int] = []

        def answer(_params: Any) -> dict[str, Any]:
            asked.append(1)
            if len(asked) == 2:
                monkeypatch.setattr("regrow.observe.settings.STALE", -1000.0)  # it has had its time
            return {"path": str(config), "valid": len(asked) < 3, "parsed": {"gateway": {}}, "issues": []}

        gateway.on("config.get", answer)
        settings, _ = judged_by(config, Judge(), line=Held(client))
        assert (await settings.judge()).valid is True
        assert len(asked) == 2, "which bytes an answer is about it does not say: the first came too soon"


@pytest.mark.real
@pytest.mark.parametrize("version", ["2026.9.6", "2026.4.29"])
async def test_the_real_judge(version: str, gateway_files: Callable[..., RealGateway]) -> None:
    files = gateway_files(version)

    async def cli(argv: Sequence[str], within: float) -> Finished:
        return await run_openclaw(files.installation, argv, env=files.env, timeout=within)

    box = Box()
    settings = Settings(box.post, box.clock, files.config_path, cli=cli)
    assert (await settings.judge()).valid is True
    files.write_config(json.dumps({**json.loads(files.config_path.read_text()), "bogus": 1}))
    bad = await settings.judge()
    assert bad.valid is False
    assert "bogus" in bad.problems[0]
