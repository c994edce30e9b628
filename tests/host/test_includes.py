"""What an openclaw.json is composed of: OpenClaw's own rules, checked against a real gateway."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regrow import GatewayClient
from regrow.host.includes import CAP, Whole, changed_at, compose, includes
from rig.real import RealGateway


@pytest.fixture
def lay(tmp_path: Path) -> Callable[..., Whole]:
    """`lay(data, **{"a.json5": text})`: files beside each other, and what they are together."""

    def make(data: Any, files: dict[str, str] | None = None) -> Whole:
        for name, text in (files or {}).items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return compose(tmp_path / "openclaw.json", data)

    return make


def names(whole: Whole) -> list[str]:
    return [part.path.name for part in whole.parts]


def test_a_file_on_its_own_is_named_by_its_own_bytes(lay: Callable[..., Whole]) -> None:
    whole = lay({"agents": [{"include": "x"}], "note": "$include"})
    assert (whole.composed, whole.parts, whole.digest("own")) == (False, (), "own")


def test_one_file_stands_in_place_several_are_merged_and_what_stands_beside_wins(lay: Callable[..., Whole]) -> None:
    data = {
        "agents": {"$include": "./parts/agents.json5"},
        "tools": {"$include": ["a.json5", "b.json5"], "exec": {"security": "full"}},
        "list": [{"$include": "a.json5"}],
        "text": {"$include": "word.json5"},
    }
    parts = {
        "parts/agents.json5": "{defaults: {$include: '../deep.json5'}, /* so */}",
        "deep.json5": "{timeoutSeconds: 600}",
        "a.json5": "{deny: ['browser'], exec: {security: 'deny', host: 'auto'}}",
        "b.json5": "{deny: ['canvas'], allow: ['read']}",
        "word.json5": "'word'",
    }
    whole = lay(data, parts)
    assert whole.data == {
        "agents": {"defaults": {"timeoutSeconds": 600}},
        "tools": {"deny": ["browser", "canvas"], "exec": {"security": "full", "host": "auto"}, "allow": ["read"]},
        "list": [{"deny": ["browser"], "exec": {"security": "deny", "host": "auto"}}],
        "text": "word",
    }
    assert names(whole) == ["agents.json5", "deep.json5", "a.json5", "b.json5", "word.json5"]


def test_a_change_in_any_file_gives_another_name(lay: Callable[..., Whole]) -> None:
    data = {"$include": ["a.json5", "b.json5"]}
    seen = {lay(data, {"a.json5": "{$include: 'c.json5'}", "b.json5": "{}", "c.json5": "{}"}).digest("own")}
    for change in ({"b.json5": "{ }"}, {"c.json5": "{ }"}, {"a.json5": "{x: 1}"}):
        seen.add(lay(data, change).digest("own"))
    assert len(seen) == 4
    assert lay(data).digest("other") not in seen
    assert lay(data, {"b.json5": "{ }"}).digest("own") in seen


@pytest.mark.parametrize(
    ("data", "files", "parts"),
    [
        ({"$include": "gone.json5"}, {}, ["gone.json5"]),
        ({"$include": "../openclaw.json/../gone.json5"}, {}, ["gone.json5"]),
        ({"$include": "half.json5"}, {"half.json5": "{a: "}, ["half.json5"]),
        ({"$include": "wide.json5"}, {"wide.json5": "{}" + " " * CAP}, ["wide.json5"]),
        ({"$include": 7}, {}, []),
        ({"$include": ["a.json5", 7]}, {"a.json5": "{}"}, ["a.json5"]),
        ({"$include": "a\0b"}, {}, []),
        ({"a": {"$include": "x.json5"}}, {"x.json5": "{b: {$include: './x.json5'}}"}, ["x.json5"]),
        ({"$include": "openclaw.json"}, {"openclaw.json": "{}"}, []),
    ],
)
def test_what_cannot_be_put_together_is_still_watched(
    lay: Callable[..., Whole], data: Any, files: dict[str, str], parts: list[str]
) -> None:
    whole = lay(data, files)
    assert (whole.composed, whole.data, names(whole)) == (True, None, parts)


def test_a_pipe_in_place_of_a_file_blocks_nobody(lay: Callable[..., Whole], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert lay({"$include": "pipe"}).parts[0].content is None


def test_ten_levels_and_no_more(lay: Callable[..., Whole]) -> None:
    files = {f"{n}.json5": f"{{n{n}: 1, $include: '{n + 1}.json5'}}" for n in range(1, 12)}
    assert lay({"$include": "2.json5"}, {**files, "11.json5": "{n11: 1}"}).data == {f"n{n}": 1 for n in range(2, 12)}
    deeper = lay({"$include": "1.json5"})
    assert (deeper.data, len(deeper.parts)) == (None, 10)


def test_files_that_include_each_other_many_times_take_no_time(lay: Callable[..., Whole]) -> None:
    files = {f"{n}.json5": json.dumps({"$include": [f"{n + 1}.json5"] * 9}) for n in range(1, 10)}
    begun = time.process_time()
    assert lay({"$include": "1.json5"}, {**files, "10.json5": "{}"}).data is None
    assert time.process_time() - begun < 5


def test_when_any_of_them_changed(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for file in (one, two):
        file.touch()
    os.utime(two, (4e9, 4e9))
    assert changed_at((one, two, tmp_path / "gone")) == 4e9
    assert changed_at((tmp_path / "gone",)) == 0.0


def test_where_an_include_may_stand() -> None:
    assert includes({"a": [1, {"b": {"$include": 1}}]})
    assert not includes({"a": [1, {"b": "$include"}]})


@pytest.mark.real
async def test_a_real_gateway_composes_the_same(gateway_files: Callable[..., RealGateway]) -> None:
    gateway = gateway_files()
    data = json.loads(gateway.config_path.read_text()) | {
        "agents": {"$include": "./parts/agents.json5"},
        "tools": {"$include": ["./a.json5", "./b.json5"], "exec": {"host": "auto"}},
    }
    gateway.write_config(data)
    (gateway.state_dir / "parts").mkdir()
    for name, text in {
        "parts/agents.json5": "{defaults: {$include: './deep.json5'}}",
        "parts/deep.json5": "{timeoutSeconds: 600}",
        "a.json5": "{deny: ['browser'], exec: {host: 'gateway'}}",
        "b.json5": "{deny: ['canvas']}",
    }.items():
        (gateway.state_dir / name).write_text(text)
    await asyncio.to_thread(gateway.start)
    whole = compose(gateway.config_path, data)
    async with GatewayClient(gateway.url, token=gateway.token, scopes=("operator.admin",)) as client:
        said = await client.call("config.get")
    assert said["valid"] is True
    assert sorted(str(part.path) for part in whole.parts) == sorted(said["includedPaths"])
    told = said["sourceConfig"]
    assert (told["tools"], told["agents"]["defaults"]) == (whole.data["tools"], whole.data["agents"]["defaults"])
