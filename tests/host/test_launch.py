"""A gateway is started with what was planned: no inherited trap, no secret in sight, no launcher above it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.host.launch import STRIPPED, Launch, compile_cache, package_version, plan, restart_signal
from regrow.model.errors import Fatal

TRAPS = dict.fromkeys(STRIPPED, "1") | {
    "WATCHDOG_USEC": "1",
    "WATCHDOG_PID": "1",
    "LISTEN_FDS": "1",
    "LISTEN_PID": "1",
    "REGROW_GATEWAY__TOKEN": "secret",
    "OPENCLAW_GATEWAY_PORT": "1",
}


def launch(tmp_path: Path = Path("/data"), **change: Any) -> Launch:
    given_: dict[str, Any] = {
        "port": 19001,
        "state_dir": tmp_path / "state",
        "cache_dir": tmp_path / "cache",
        "inherited": {"PATH": "/usr/bin", "HOME": "/home/a"},
    }
    return plan(Path("/opt/node/bin/node"), tmp_path / "openclaw.mjs", **(given_ | change))


def test_the_command_line() -> None:
    found = launch(allow_unconfigured=True, args=["--verbose"])
    assert found.argv == [
        "/opt/node/bin/node", "/data/openclaw.mjs", "gateway", "run", "--port", "19001", "--bind", "loopback",
        "--allow-unconfigured", "--verbose",
    ]  # fmt: skip
    assert found.port == 19001
    assert "--allow-unconfigured" not in launch().argv


@pytest.mark.parametrize("args", [["--port", "20002", "--bind", "lan"], ["--port=20002", "--bind=lan"]])
def test_the_users_own_arguments_win(args: list[str]) -> None:
    found = launch(args=args)
    assert found.port == 20002
    assert sum("--port" in part for part in found.argv) == 1
    assert sum("--bind" in part for part in found.argv) == 1


@pytest.mark.parametrize("args", [["--port"], ["--port", "x"], ["--port=0"], ["--port=70000"], ["--port", "-1"]])
def test_a_port_that_is_none_is_refused(args: list[str]) -> None:
    with pytest.raises(Fatal, match="--port"):
        launch(args=args)


def test_no_trap_is_inherited() -> None:
    found = launch(inherited={"PATH": "/usr/bin", "LANG": "C", **TRAPS})
    assert not {name for name, value in found.env.items() if name in TRAPS and value in {"1", "secret"}} - {
        "OPENCLAW_NO_RESPAWN"
    }
    assert found.env["OPENCLAW_NO_RESPAWN"] == "1"
    assert found.env["LANG"] == "C"
    assert "OPENCLAW_SUPERVISOR_MODE" not in found.env


def test_the_users_own_variables_win_except_over_supervision() -> None:
    own = {"HOME": "/home/b", "OPENCLAW_STATE_DIR": "/mine", "NODE_OPTIONS": "--inspect", "REGROW_X": "1"}
    found = launch(env=own)
    assert found.env["HOME"] == "/home/b"
    assert found.env["OPENCLAW_STATE_DIR"] == "/mine"
    assert "NODE_OPTIONS" not in found.env
    assert found.ignored == ("NODE_OPTIONS", "REGROW_X")


def test_by_default_it_inherits_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PROVIDER_KEY", "k")
    monkeypatch.setenv("INVOCATION_ID", "x")
    found = launch(inherited=None)
    assert found.env["SOME_PROVIDER_KEY"] == "k"
    assert "INVOCATION_ID" not in found.env


def test_it_knows_its_state_and_configuration() -> None:
    assert launch().env["OPENCLAW_STATE_DIR"] == "/data/state"
    assert launch().env["OPENCLAW_CONFIG_PATH"] == "/data/state/openclaw.json"
    assert launch(config_path=Path("/etc/oc.json")).env["OPENCLAW_CONFIG_PATH"] == "/etc/oc.json"
    assert launch().cwd == Path("/data")


def test_the_external_contract_is_spoken_on_request_only() -> None:
    found = launch(external=True)
    assert found.env["OPENCLAW_SUPERVISOR_MODE"] == "external"
    assert "OPENCLAW_NO_RESPAWN" not in found.env


def test_a_nodes_own_npm_is_found_last() -> None:
    assert launch().env["PATH"].split(os.pathsep) == ["/usr/bin", "/opt/node/bin"]
    assert launch(inherited={"PATH": "/opt/node/bin:/bin"}).env["PATH"] == "/opt/node/bin:/bin"
    assert launch(inherited={}).env["PATH"].endswith("/opt/node/bin")


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=12, max_size=40))
def test_the_token_is_in_the_environment_and_nowhere_to_be_seen(token: str) -> None:
    found = launch(
        token=token, args=["--password", token], env={"ANTHROPIC_API_KEY": token, "OPENCLAW_HOOK_TOKEN": token}
    )
    assert found.env["OPENCLAW_GATEWAY_TOKEN"] == token
    assert token not in found.argv[:-1]
    for shown in (found.summary(), repr(found), str(found), f"{found}"):
        assert token not in shown
        assert "--port 19001" in shown


def test_the_compile_cache_belongs_to_one_installation(tmp_path: Path) -> None:
    entry = tmp_path / "openclaw.mjs"
    assert package_version(entry) is None
    assert compile_cache(entry, tmp_path).parts[-2:] == ("unknown", "no-package-json")
    package = tmp_path / "package.json"
    package.write_text(json.dumps({"name": "openclaw", "version": "2026.9.6"}))
    assert package_version(entry) == "2026.9.6"
    first = compile_cache(entry, tmp_path)
    assert first.parent == tmp_path / "node-compile-cache" / "openclaw" / "2026.9.6"
    assert launch(tmp_path).env["NODE_COMPILE_CACHE"].endswith(str(first.relative_to(tmp_path)))
    assert launch(tmp_path).env["OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED"] == "1"
    os.utime(package, (1, 1))
    assert compile_cache(entry, tmp_path) != first, "a replaced package does not use the old one's code"
    package.write_text(json.dumps({"version": "../../evil"}))
    assert compile_cache(entry, tmp_path).is_relative_to(tmp_path / "node-compile-cache" / "openclaw")
    assert ".." not in compile_cache(entry, tmp_path).parts
    for broken in ("", "{", "[]", '{"version": 3}', '{"version": " "}'):
        package.write_text(broken)
        assert package_version(entry) is None


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2026.4.29", signal.SIGUSR1),
        ("v2026.1.5", signal.SIGUSR1),
        ("2026.7.1-2", signal.SIGUSR1),
        ("2026.8.2", signal.SIGUSR1),
        ("2026.9.1-beta.1", None),
        ("2026.9.5", None),
        ("2026.9.6-beta.1", None),
        ("2026.9.6-1", signal.SIGUSR2),
        ("2026.9.6", signal.SIGUSR2),
        ("2026.9.10", signal.SIGUSR2),
        ("2026.10.1", signal.SIGUSR2),
        ("2027.1.1", signal.SIGUSR2),
        ("2025.12.1", None),
        ("1.2.3", None),
        ("2026.9", None),
        ("latest", None),
        ("", None),
        (None, None),
    ],
)
def test_the_restart_signal_is_known_or_not_sent(version: str | None, expected: signal.Signals | None) -> None:
    assert restart_signal(version) == expected


@given(st.text(max_size=20))
def test_no_version_upsets_it(version: str) -> None:
    assert restart_signal(version) in {None, signal.SIGUSR1, signal.SIGUSR2}
