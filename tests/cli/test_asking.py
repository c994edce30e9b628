"""Commands that talk to a keeper: what they send, what they print, how they end."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import pytest

from regrow.decide.domains.base import Reply
from rig.keeper import GATEWAY_ERROR, HEALTHY, StubKeeper, serving
from rig.shell import Shell, finished

EPISODE = {"id": "liveness:process:1", "domain": "liveness", "subject": "process", "state": "human",
           "opened": 1_700_000_000.0, "evidence": ["it ended by itself"]}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, 0),
        ({"gatewayReady": False}, 1),
        ({"episodes": [EPISODE]}, 1),
        ({"lifecycleState": "starting", "status": "reconnecting", "gatewayReady": False}, 1),
        ({"lifecycleState": "reconnecting", "status": "reconnecting"}, 1),
        ({"lifecycleState": "stopped", "status": "disconnected", "gatewayReady": False}, 2),
        ({"lifecycleState": "error", "status": "disconnected", "gatewayReady": False}, 2),
        ({"lifecycleState": "error", "status": "connected", "gatewayReady": True}, 2),
    ],
)
async def test_status_says_how_it_is_by_its_exit_code(
    shell: Shell, keeper: StubKeeper, changed: dict[str, Any], code: int
) -> None:
    keeper.now = {**HEALTHY, **changed}
    as_json = await shell("status", "--json")
    assert (as_json.code, as_json.json) == (code, keeper.now)
    assert (await shell("status")).code == code


async def test_status_is_readable(shell: Shell, keeper: StubKeeper) -> None:
    keeper.now = {**HEALTHY, "episodes": [EPISODE], "observeOnly": "another supervisor is at work"}
    ran = await shell("status")
    for words in ("running, ready for 65 s", "OpenClaw 2026.9.6", "pid 4242", "port 18999", "2 done, 1 withheld",
                  "it hung", "it ended by itself", "a person is needed", "another supervisor is at work"):  # fmt: skip
        assert words in ran.out, ran
    assert "\x1b" not in ran.out, "colours are for terminals"


async def test_a_stop_by_a_person_is_shown_with_its_end(shell: Shell, keeper: StubKeeper) -> None:
    keeper.now = {**HEALTHY, "lifecycleState": "stopped", "status": "disconnected", "want": "stopped",
                  "wantSince": 1_700_000_000_000, "wantBy": "anna"}  # fmt: skip
    ran = await shell("status")
    assert ran.code == 2
    assert "stopped by anna since 2023-11-14 22:13:20" in ran.out
    assert "regrow start" in ran.out


async def test_status_survives_a_keeper_that_says_little(shell: Shell, keeper: StubKeeper) -> None:
    keeper.now = {"episodes": ["x", {"domain": "d"}], "restarts": None, "diagnostics": None}
    ran = await shell("status")
    assert (ran.code, ran.err) == (1, "")


@pytest.mark.parametrize(
    "args",
    [("status",), ("start",), ("stop",), ("restart",), ("reload",), ("adopt",), ("rpc", "health"), ("top",),
     ("events", "--follow"), ("doctor", "--apply")],
)  # fmt: skip
async def test_without_a_keeper_the_next_step_is_named(shell: Shell, args: tuple[str, ...]) -> None:
    ran = await shell(*args)
    assert (ran.code, ran.out) == (3, "")
    assert "no keeper is running" in ran.err
    assert "regrow run" in ran.err


async def test_without_a_keeper_json_is_still_json(shell: Shell) -> None:
    ran = await shell("status", "--json")
    assert (ran.code, ran.json["keeper"]) == (3, "not running")


@pytest.mark.parametrize(
    ("args", "wish"),
    [
        (("start", "--reason", "because", "--force"), {"verb": "start", "reason": "because", "force": True}),
        (("stop",), {"verb": "stop"}),
        (("restart", "--delay", "2.5", "--full"), {"verb": "restart", "delay": 2.5, "subject": "full"}),
        (("reload", "--delay", "1"), {"verb": "reload", "delay": 1.0}),
        (("adopt",), {"verb": "adopt"}),
        (("doctor", "--apply"), {"verb": "doctor"}),
    ],
)
async def test_what_is_asked_arrives(
    shell: Shell, keeper: StubKeeper, args: tuple[str, ...], wish: dict[str, Any]
) -> None:
    ran = await shell(*args)
    assert (ran.code, ran.out) == (0, "done: it is done\n"), ran
    sent = keeper.wishes[0]
    assert {key: getattr(sent, key) for key in wish} == wish
    assert sent.by


@pytest.mark.parametrize("state", ["refused", "failed"])
async def test_a_refusal_is_an_error_with_its_reason(shell: Shell, keeper: StubKeeper, state: Any) -> None:
    keeper.replies = [Reply("r", "queued", "in a moment"), Reply("r", state, "it is not regrow's to stop")]
    ran = await shell("stop")
    assert ran.code == 1
    assert "it is not regrow's to stop" in ran.err
    assert ran.out == "queued: in a moment\n"


async def test_what_is_queued_is_shown_with_its_time(shell: Shell, keeper: StubKeeper) -> None:
    keeper.replies = [
        Reply("r", "queued", "it finishes first", 4_000_000_000.0),
        Reply("r", "queued", "it is due", 1_700_000_000.0),
        Reply("r", "done", "restarted"),
    ]
    ran = await shell("restart")
    told = ["queued until 2096-10-02 07:06:40: it finishes first", "queued: it is due", "done: restarted"]
    assert ran.out.splitlines() == told
    assert ran.code == 0
    ran = await shell("restart", "--json")
    assert [reply["state"] for reply in ran.lines] == ["queued", "queued", "done"]


async def test_one_need_not_wait(shell: Shell, keeper: StubKeeper) -> None:
    keeper.replies = [Reply("r", "queued", "it finishes first")]
    keeper.held.set()
    ran = await shell("restart", "--no-wait")
    assert (ran.code, ran.out) == (0, "queued: it finishes first\n")


async def test_ctrl_c_leaves_the_request_standing(shell: Shell, keeper: StubKeeper) -> None:
    keeper.replies = [Reply("r", "queued", "it finishes first")]
    keeper.held.set()
    process = await shell.start("restart")
    assert process.stdout is not None
    assert b"queued" in await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    ran = await finished(process)
    assert ran.code == 130
    assert "the request stands" in ran.err
    assert "Traceback" not in ran.err
    assert [wish.verb for wish in keeper.wishes] == ["restart"]


async def test_a_keeper_that_goes_away_is_told(shell: Shell) -> None:
    stub = StubKeeper()
    stub.replies = [Reply("r", "queued", "later")]
    stub.held.set()
    async with serving(shell.socket(), stub):
        process = await shell.start("stop")
        assert process.stdout is not None
        await process.stdout.readline()
    ran = await finished(process)
    assert ran.code == 3
    assert "the keeper ended before it answered" in ran.err


async def test_rpc_prints_the_payload(shell: Shell, keeper: StubKeeper) -> None:
    keeper.payload = {"channels": ["ü"]}
    ran = await shell("rpc", "health", "--params", '{"probe": true}', "--timeout", "5")
    assert (ran.code, ran.json) == (0, {"channels": ["ü"]})
    assert keeper.rpcs == [("health", {"probe": True}, 5.0)]
    await shell("rpc", "health", "--params", "-", "--timeout", "0", stdin='{"a": 1}')
    assert keeper.rpcs[1] == ("health", {"a": 1}, None)


async def test_an_error_of_the_gateway_is_on_stderr(shell: Shell, keeper: StubKeeper) -> None:
    keeper.rpc_error = GATEWAY_ERROR
    ran = await shell("rpc", "health")
    assert (ran.code, ran.out) == (1, "")
    assert "UNAVAILABLE: still starting" in ran.err
    ran = await shell("rpc", "health", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (1, "UNAVAILABLE")


@pytest.mark.parametrize("params", ["{", "[]", "7", '"x"', ""])
async def test_parameters_that_are_none_never_leave(shell: Shell, keeper: StubKeeper, params: str) -> None:
    ran = await shell("rpc", "health", "--params", params)
    assert (ran.code, ran.out, keeper.rpcs) == (64, "", [])
    assert "--params" in ran.err


async def test_events_are_followed_as_they_happen(shell: Shell, keeper: StubKeeper) -> None:
    process = await shell.start("events", "--follow", "--json", "--type", "exit")
    assert process.stdout is not None
    keeper.news.put_nowait({"id": 7, "at": 1_700_000_000.25, "type": "exit", "data": {"code": 1}})
    line = json.loads(await process.stdout.readline())
    assert line == {"id": 7, "at": 1_700_000_000_250, "type": "exit", "data": {"code": 1}}
    assert keeper.types == ("exit",)
    process.send_signal(signal.SIGINT)
    ran = await finished(process)
    assert (ran.code, ran.err) == (0, "")


async def test_followers_hear_that_the_keeper_ended(shell: Shell, keeper: StubKeeper) -> None:
    keeper.news.put_nowait({"id": 1, "at": 1.0, "type": "exit", "data": {"code": 1, "pid": 5}})
    process = await shell.start("events", "-f")
    assert process.stdout is not None
    assert b"pid 5" in await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    await finished(process)
    async with asyncio.timeout(5):
        await keeper.left.wait()


async def test_top_prints_once_where_there_is_no_terminal(shell: Shell, keeper: StubKeeper) -> None:
    ran = await shell("top", COLUMNS="100")
    assert ran.code == 0
    assert "OpenClaw 2026.9.6" in ran.out
    assert "\x1b" not in ran.out


async def test_a_named_keeper_is_another_keeper(shell: Shell) -> None:
    stub = StubKeeper()
    async with serving(shell.socket("second"), stub):
        assert (await shell("status")).code == 3
        assert (await shell("status", "--name", "second")).code == 0
        assert (await shell("status", REGROW_NAME="second")).code == 0
    ran = await shell("status", "--name", "../x")
    assert ran.code == 69
    assert "is not a name" in ran.err
