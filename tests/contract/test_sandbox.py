"""The sandbox regrow makes is one a real gateway starts in."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from regrow.host.locks import owner
from regrow.host.sandbox import open_sandbox
from rig.machine import CURRENT
from rig.real import RealGateway


@pytest.mark.real
async def test_a_real_gateway_starts_in_a_sandbox(tmp_path: Path, gateway_files: Callable[..., RealGateway]) -> None:
    box = open_sandbox(root=tmp_path / "box")
    gateway = gateway_files(
        CURRENT,
        env={
            "HOME": str(box.home),
            "OPENCLAW_STATE_DIR": str(box.state_dir),
            "OPENCLAW_CONFIG_PATH": str(box.config),
            "OPENCLAW_GATEWAY_TOKEN": box.token(),
        },
    )
    gateway.port = box.port
    await asyncio.to_thread(gateway.start)
    held = owner(box.state_dir)
    assert held is not None
    assert (held.process.pid, held.port) == (gateway.pid, box.port)
    assert open_sandbox(root=box.root).port == box.port  # its own gateway on the port is no reason to move
    assert await asyncio.to_thread(gateway.stop) == 0
    assert box.token() not in gateway.log.read_text()
    assert (box.root / "gateway.log").exists()
