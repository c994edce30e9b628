"""The programs on the library's page run."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import regrow
from regrow import testing
from regrow.link.client import GatewayClient
from regrow.testing import FakeGateway

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PROGRAMS = [block for block in BLOCKS if "asyncio.run(main())" in block]


async def _run(program: str) -> None:
    space: dict[str, object] = {}
    exec(program.replace("asyncio.run(main())", ""), space)
    await space["main"]()  # type: ignore[operator]


async def test_the_first_program_talks_to_a_gateway(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeGateway() as gateway:
        monkeypatch.setenv("GATEWAY_URL", gateway.url)
        monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", str(gateway.token))
        gateway.channels["telegram"] = {}
        await _run(PROGRAMS[0].replace("timeout(60)", "timeout(0.05)"))
        assert capsys.readouterr().out == "connected to OpenClaw 2026.9.6\nchannels: telegram\n"
        monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "wrong")
        await _run(PROGRAMS[0])
        assert capsys.readouterr().out.startswith("not let in:")
    await _run(PROGRAMS[0])
    assert capsys.readouterr().out.startswith("no connection:")


async def test_the_program_with_the_fake_gateway_runs() -> None:
    assert len(PROGRAMS) == 2
    await _run(PROGRAMS[1])


def test_every_public_name_is_on_the_page() -> None:
    public = set(regrow.__all__) - {"__version__", "Hello", "Subscription", "attach"} | {"FakeGateway", "SILENCE"}
    assert {name for name in public if name not in PAGE} == set()
    methods = [name for name in vars(GatewayClient) if not name.startswith("_")]
    assert {name for name in methods if name not in PAGE} == set()
    doings = [
        name for name in vars(testing.FakeGateway) if not name.startswith("_") and name not in ("url", "http_url")
    ]
    assert {name for name in doings if name not in PAGE} == set()


def test_the_story_ends_as_it_is_told() -> None:
    [story] = [block for block in BLOCKS if "import Fate, Story" in block]
    space: dict[str, Any] = {}
    exec(story, space)
    table = PAGE.partition("## Trouble told as a story")[2]
    named = set(re.findall(r"story\.(\w+)", table))
    assert [name for name in sorted(named) if not hasattr(space["story"], name)] == []


async def test_the_keeper_in_a_program_keeps_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [program] = [block for block in BLOCKS if "import Daemon" in block]
    monkeypatch.chdir(tmp_path)
    async with FakeGateway() as gateway:
        settings = f'[gateway]\nurl = "{gateway.url}"\ntoken = "{gateway.token}"\n[regrow]\nstate_dir = "state"\n'
        Path("regrow.toml").write_text(settings)
        Path("regrow.toml").chmod(0o600)
        told: list[str] = []
        ready = asyncio.Event()

        def hear(type_: str, _data: object) -> None:
            told.append(type_)
            if type_ == "gateway:ready":
                ready.set()

        space: dict[str, Any] = {"ready": ready, "hear": hear}
        program = program.replace("asyncio.sleep(3600)", "ready.wait()").replace(
            "print(type_, data)", "hear(type_, data)"
        )
        exec(program, space)
        assert await space["main"]() == 0
    assert {"regrow:started", "gateway:ready"} <= set(told)
