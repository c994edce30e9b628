"""A real gateway's life as observers see it: boot, a restart into a broken file, rescue, a stop, a freeze."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from observe.mailbox import Box, running
from regrow.decide.profiles import DEFAULT
from regrow.decide.view import View, fold
from regrow.host.child import spawn
from regrow.model.facts import AnyFact, ChildExited, OutputSeen, Probed, ProcessSeen
from regrow.observe.child import ChildWatch
from regrow.observe.health import Health
from rig.machine import one_boot
from rig.real import RealGateway


@pytest.mark.real
async def test_a_real_life(gateway_files: Callable[..., RealGateway]) -> None:
    files = gateway_files()
    good = files.config_path.read_text()
    box = Box()
    believed = View()

    def post(fact: AnyFact) -> None:
        nonlocal believed
        believed = fold(believed, fact)
        box.post(fact)
        if isinstance(fact, OutputSeen) and fact.kind == "ready":
            health.nudge()

    said: list[tuple[str, Any]] = []
    with one_boot():
        child = spawn(files.argv, files.env, files.home, files.log)
        health = Health(post, box.clock, lambda: believed, lambda: files.url, DEFAULT, lambda: child)
        watch = ChildWatch(child, post, box.clock, lambda kind, data: said.append((kind, data)))
        try:
            async with asyncio.timeout(100), running(health), running(watch):
                ready = await box.wait(OutputSeen, lambda fact: fact.kind == "ready", within=60)
                first = await box.wait(Probed, lambda fact: fact.started is True)
                assert first.at - ready.at < 1.0
                assert (first.version, first.ready, first.live) == ("2026.9.6", True, True)
                topics = [fact.text for fact in box.of(OutputSeen)]
                assert any("http server listening" in text for text in topics)
                assert any(fact.tcp is False for fact in box.of(Probed))  # before it listened

                await _freeze(box, health, child.process.pid)

                files.write_config(json.dumps({**json.loads(good), "bogus": 1}))
                os.kill(child.process.pid, signal.SIGUSR2)
                failed = await box.wait(OutputSeen, lambda fact: fact.kind == "startup-failed", within=60)
                assert "Invalid config" in failed.text
                assert (await health.look()).tcp is False
                assert box.of(ProcessSeen)[-1].process == child.process

                files.write_config(good)
                os.kill(child.process.pid, signal.SIGUSR2)
                await box.wait(OutputSeen, lambda fact: fact.kind == "ready" and fact.at > failed.at, within=60)
                again = await health.look()
                assert again.started is True
                assert again.boot_age is not None
                assert again.boot_age < 30

                os.kill(child.process.pid, signal.SIGTERM)
                end = await box.wait(ChildExited, within=60)
        finally:
            if not child.poll():
                os.kill(child.process.pid, signal.SIGKILL)
                await child.wait()
    assert (end.code, end.fingerprint, end.culprit, end.config_invalid) == (0, "", "", False)
    assert end.cpu > 1
    assert files.token not in f"{box.facts}{said}"


async def _freeze(box: Box, health: Health, pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        frozen = await health.look()
        assert (frozen.tcp, frozen.live) == (True, False)
        assert box.of(ProcessSeen)[-1].state == "T"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await health.look()).live is True
