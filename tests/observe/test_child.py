"""Real processes that print and end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from observe.mailbox import Box, running
from regrow.config.redaction import forget_secrets, remember_secret
from regrow.host.child import Child, adopt, spawn
from regrow.model.facts import ChildExited, OutputSeen
from regrow.observe.child import ChildWatch


def start(tmp_path: Path, program: str) -> Child:
    return spawn([sys.executable, "-c", program], {}, tmp_path, tmp_path / "out.log")


class Told(list[tuple[str, dict[str, Any]]]):
    def say(self, kind: str, data: dict[str, Any]) -> None:
        self.append((kind, data))


async def test_a_life_from_first_line_to_end(tmp_path: Path) -> None:
    box, told = Box(), Told()
    child = start(
        tmp_path,
        "print('\\x1b[36m[gateway]\\x1b[39m starting...', flush=True); print('[gateway] ready', flush=True);"
        "sum(range(3000000)); raise SystemExit('TypeError: boom 17')",
    )
    watch = ChildWatch(child, box.post, box.clock, told.say)
    await watch.run()
    assert [(fact.kind, fact.text) for fact in box.of(OutputSeen)] == [
        ("progress", "[gateway] starting..."),
        ("ready", "[gateway] ready"),
    ]
    (end,) = box.of(ChildExited)
    assert (end.process, end.code, end.config_invalid) == (child.process, 1, False)
    assert end.last == ("[gateway] starting...", "[gateway] ready", "TypeError: boom 17")
    assert end.cpu > 0
    assert len(end.fingerprint) == 12
    assert watch.last_lines(1) == ("TypeError: boom 17",)
    assert told == [("gateway:output", {"text": "TypeError: boom 17", "topic": "error"})]


async def test_an_unfinished_last_line_counts(tmp_path: Path) -> None:
    box = Box()
    child = start(tmp_path, "import sys; sys.stdout.write('OpenClaw config is invalid'); sys.exit(78)")
    await ChildWatch(child, box.post, box.clock, Told().say).run()
    (end,) = box.of(ChildExited)
    assert (end.code, end.config_invalid, end.last) == (78, True, ("OpenClaw config is invalid",))


async def test_repeats_are_summed(tmp_path: Path) -> None:
    box, told = Box(), Told()
    child = start(tmp_path, "for n in range(120): print('[slack] error: no answer after', n, 'ms')")
    with structlog.testing.capture_logs() as logs:
        await ChildWatch(child, box.post, box.clock, told.say).run()
    warned = [log.get("repeated", 0) for log in logs if log["log_level"] == "warning"]
    assert warned == [0, 50, 100]
    assert [data.get("repeated", 0) for _, data in told] == [0, 50, 100]


async def test_secrets_do_not_get_out(tmp_path: Path) -> None:
    box, told = Box(), Told()
    remember_secret("hunter2-hunter2")
    try:
        child = start(tmp_path, "print('Error: bad login hunter2-hunter2'); raise SystemExit(1)")
        with structlog.testing.capture_logs() as logs:
            watch = ChildWatch(child, box.post, box.clock, told.say)
            await watch.run()
    finally:
        forget_secrets()
    assert "hunter2" not in f"{box.facts}{told}{logs}{watch.last_lines()}"
    assert "bad login" in f"{box.of(ChildExited)[0].last}"


async def test_no_line_of_a_key_that_it_prints_gets_out(tmp_path: Path) -> None:
    box, told = Box(), Told()
    body = [letter * 64 for letter in "QRSTUV"]
    lines = ["Error: bad key -----BEGIN RSA PRIVATE KEY-----", *body, "Wz==", "-----END RSA PRIVATE KEY-----"]
    program = f"for line in {lines[:4]} + ['[gateway] ready'] + {lines[4:]} + ['Error: it ends']: print(line)"
    with structlog.testing.capture_logs() as logs:
        watch = ChildWatch(start(tmp_path, program), box.post, box.clock, told.say)
        await watch.run()
    everything = f"{box.facts}{told}{logs}{watch.last_lines()}"
    assert not [piece for piece in (*body, "Wz==") if piece in everything]
    assert watch.last_lines() == ("Error: bad key ***", "***", "***", "Error: it ends")
    assert [fact.kind for fact in box.of(OutputSeen)] == ["ready"], "what it says in between still means something"


async def test_two_hundred_lines_are_kept(tmp_path: Path) -> None:
    box = Box()
    watch = ChildWatch(start(tmp_path, "for n in range(500): print('line', n)"), box.post, box.clock, Told().say)
    await watch.run()
    assert len(watch.last_lines()) == 200
    assert watch.last_lines()[-1] == "line 499"
    assert len(box.of(ChildExited)[0].last) == 20


async def test_what_an_adopted_gateway_said_before_is_no_news(tmp_path: Path) -> None:
    box = Box()
    go = tmp_path / "go"
    program = (
        "import os, time\nprint('[gateway] ready', flush=True)\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.02)\n"
        "print('[gateway] restart-loop breaker recovered', flush=True)"
    )
    own = start(tmp_path, program)
    async for line in own.lines():
        if "ready" in line:
            break
    watch = ChildWatch(adopt(own.process, tmp_path / "out.log"), box.post, box.clock, Told().say)
    async with running(watch):
        while not watch.last_lines():
            await asyncio.sleep(0)
        go.touch()
        end = await box.wait(ChildExited)
    own.poll()
    assert [fact.kind for fact in box.of(OutputSeen)] == ["breaker-recovered"]
    assert end.code is None
    assert end.last == ("[gateway] ready", "[gateway] restart-loop breaker recovered")


@pytest.mark.parametrize("code", [0, 3])
async def test_a_silent_end_is_an_end(tmp_path: Path, code: int) -> None:
    box = Box()
    child = spawn([sys.executable, "-c", f"raise SystemExit({code})"], {}, tmp_path, None)
    await ChildWatch(child, box.post, box.clock, Told().say).run()
    (end,) = box.of(ChildExited)
    assert (end.code, end.fingerprint, end.last) == (code, "", ())
