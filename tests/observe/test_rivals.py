"""Other supervisors, found by what they leave on a machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow.observe.rivals import find_rivals, watchdog_name


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/usr/local/bin/openclaw-watchdog"], "openclaw-watchdog"),
        (["bash", "/opt/openclaw-guardian/guardian.sh"], "openclaw-guardian"),
        (["/usr/bin/python3", "-u", "/srv/openclaw_watchdog.py"], "openclaw_watchdog.py"),
        (["node", "/usr/lib/node_modules/alphaclaw/cli.js"], "alphaclaw"),
        (["python3", "-m", "openclaw-watchdog"], "openclaw-watchdog"),
        (["vim", "/opt/openclaw-guardian/guardian.sh"], ""),
        (["grep", "-r", "openclaw-watchdog", "."], ""),
        (["bash", "-c", "sleep 1; echo openclaw-watchdog"], ""),
        (["openclaw-gateway"], ""),
        (["node", "/usr/lib/node_modules/openclaw/openclaw.mjs", "gateway", "run"], ""),
        ([], ""),
    ],
)
def test_only_the_program_itself_counts(argv: list[str], name: str) -> None:
    assert watchdog_name(argv) == name


@contextlib.contextmanager
def watchdog(folder: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    script = folder / "openclaw-watchdog.py"
    script.write_text("import sys\nprint('up', flush=True)\nsys.stdin.read()\n")
    process = subprocess.Popen(
        [sys.executable, str(script)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
    )
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.communicate()


def test_a_watchdog_of_this_user_is_found(tmp_path: Path) -> None:
    config = tmp_path / "openclaw.json"
    with watchdog(tmp_path, {}) as process:
        assert f"openclaw-watchdog.py (pid {process.pid})" in find_rivals(tmp_path, config)
    assert find_rivals(tmp_path, config) == ()


def test_a_watchdog_of_another_gateway_is_not_ours(tmp_path: Path) -> None:
    with watchdog(tmp_path, {"OPENCLAW_STATE_DIR": "/somewhere/else"}):
        assert find_rivals(tmp_path, tmp_path / "openclaw.json") == ()
    with watchdog(tmp_path, {"OPENCLAW_STATE_DIR": str(tmp_path)}) as process:
        assert find_rivals(tmp_path, tmp_path / "x") == (f"openclaw-watchdog.py (pid {process.pid})",)


@pytest.mark.parametrize(
    ("plugins", "found"),
    [
        ('{"entries": {"openclaw-self-healing-elvatis": {"enabled": true}}}', True),
        ('{"entries": {"openclaw-self-healing": {}}}', True),
        ("{entries: {'self-heal': {config: {}}}, }", True),
        ('{"entries": {"openclaw-self-healing": {"enabled": false}}}', False),
        ('{"entries": {"telegram": {"enabled": true}}}', False),
        ('{"enabled": false, "entries": {"openclaw-self-healing": {}}}', False),
        ("[]", False),
        ("{", False),
    ],
)
def test_a_healing_plugin_in_the_gateway(tmp_path: Path, plugins: str, found: bool) -> None:
    config = tmp_path / "openclaw.json"
    config.write_text(f'{{"plugins": {plugins}}}')
    rivals = find_rivals(tmp_path, config)
    assert bool(rivals) is found
    assert all("inside the gateway" in name for name in rivals)


def test_a_healing_plugin_in_an_included_file(tmp_path: Path) -> None:
    config = tmp_path / "openclaw.json"
    config.write_text('{"plugins": {"$include": "plugins.json5"}}')
    assert find_rivals(tmp_path, config) == ()
    (tmp_path / "plugins.json5").write_text('{entries: {"openclaw-self-healing": {enabled: true}}}')
    assert find_rivals(tmp_path, config) == ("the plugin openclaw-self-healing inside the gateway",)


def unit(home: Path, name: str, text: str, *, enabled: bool) -> None:
    folder = home / "systemd" / "user"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    if enabled:
        wants = folder / "default.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / name).symlink_to(folder / name)


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_enabled_services_of_this_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, state = tmp_path / "config", tmp_path / "state"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    run = "[Service]\nExecStart=/usr/bin/node /x/openclaw.mjs gateway --port 1\nEnvironment=OPENCLAW_STATE_DIR={}\n"
    unit(home, "openclaw-gateway.service", run.format(state), enabled=True)
    unit(home, "openclaw-gateway-off.service", run.format(state), enabled=False)
    unit(home, "openclaw-gateway-work.service", run.format("/other"), enabled=True)
    unit(home, "openclaw-backup.service", "[Service]\nExecStart=/bin/true\n", enabled=True)
    unit(home, "regrow.service", run.format(state), enabled=True)
    config = state / "openclaw.json"
    assert find_rivals(state, config) == ("the enabled service openclaw-gateway.service",)
    assert find_rivals(state, config, service=True) == ()
    assert find_rivals(state, config, unit="openclaw-gateway.service") == ()


def test_we_are_no_rival_of_ourselves(tmp_path: Path) -> None:
    assert not any(str(os.getpid()) in name for name in find_rivals(tmp_path, tmp_path / "x"))
