"""A real gateway of each supported generation starts, answers its probes and ends."""

import asyncio

import pytest

from rig.machine import CURRENT, SPRING
from rig.real import Boot


@pytest.mark.real
@pytest.mark.parametrize("version", [CURRENT, SPRING])
async def test_it_boots_answers_and_ends(version: str, real_gateway: Boot) -> None:
    async with real_gateway(version) as gateway:
        assert await asyncio.to_thread(gateway.probe, "/healthz") == (200, {"ok": True, "status": "live"})
        assert gateway.running
    assert not gateway.running
    assert gateway.process is not None
    assert gateway.process.returncode == 0
