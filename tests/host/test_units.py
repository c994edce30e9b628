"""Our own service: its text, installing it, and finding whose a gateway is."""

import os
import plistlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.host import services, units
from regrow.host.notify import notify, watchdog_interval
from regrow.model.errors import Fatal
from regrow.model.gateway import Process
from rig.limits import need

ARGV = [sys.executable, "-m", "regrow.cli", "run", "--config", "/tmp/a b/100%$HOME.toml"]


def lines(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_the_unit_lets_gateways_live_and_never_gives_up() -> None:
    unit = lines(units.systemd_unit(ARGV, env={}, systemd=254))
    wanted = {
        "Type": "notify", "WatchdogSec": "30", "Restart": "always", "RestartSec": "1", "RestartSteps": "5",
        "RestartMaxDelaySec": "60", "StartLimitIntervalSec": "0", "KillMode": "process", "TimeoutStopSec": "345",
    }  # fmt: skip
    assert wanted.items() <= unit.items()


def test_an_older_systemd_gets_only_keys_it_knows() -> None:
    unit = lines(units.systemd_unit(ARGV, env={}, systemd=252))
    assert unit["RestartSec"] == "2"
    assert "RestartSteps" not in unit


@pytest.mark.parametrize("template", [False, True])
def test_systemd_finds_nothing_wrong_with_it(template: bool, tmp_path: Path) -> None:
    need("systemd-analyze (Debian: systemd)", present=shutil.which("systemd-analyze") is not None)
    file = tmp_path / ("regrow@.service" if template else "regrow.service")
    text = units.systemd_unit(
        ARGV, env={"A": 'x "y" 50% \\n', "B": "$HOME"}, systemd=services.systemd_version(), template=template
    )
    file.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(file)],
        capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    ours = [line for line in done.stderr.splitlines() if "regrow" in line]
    assert not ours
    assert done.returncode == 0, done.stderr


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), min_size=1))
def test_a_word_stays_one_word(word: str) -> None:
    quoted = (
        units.systemd_unit(["regrow", word], env={}, systemd=254).split("ExecStart=regrow ")[1].split("\nExecReload")[0]
    )
    shown = quoted.replace("%%", "%").replace("$$", "$")
    assert shlex.split(shown, posix=True) == [word] if shown.startswith('"') else shown == word


def test_a_line_break_cannot_smuggle_a_key() -> None:
    with pytest.raises(ValueError, match="line break"):
        units.systemd_unit(["regrow", "x\nExecStartPre=evil"], env={}, systemd=254)


def test_the_property_list_reads_back() -> None:
    read = plistlib.loads(units.launchd_plist("home", ["regrow", "run"], env={"A": "1"}, log=Path("/tmp/log")))
    assert read["Label"] == "regrow.home"
    assert read["ProgramArguments"] == ["regrow", "run", "--name", "home"]
    assert (read["KeepAlive"], read["AbandonProcessGroup"], read["ExitTimeOut"]) == (True, True, 345)


# ── the service manager, as a program that notes what it is told ──

FAKE = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  *show-environment*) exit {up};;
  *--version*) echo "systemd 254 (254.1)";;
  *"show gateway.service"*) echo MainPID={pid};;
  *show*) printf 'ActiveState=active\\nMainPID=77\\nUnitFileState=enabled\\n';;
esac
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = tmp_path / "told"
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "systemctl"
    tool.write_text(FAKE.format(log=log, up=0, pid=os.getpid()))
    tool.chmod(0o755)
    login = tmp_path / "bin" / "loginctl"
    login.write_text("#!/bin/sh\necho no\n")
    login.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return log


def test_installing_writes_enables_and_starts(systemctl: Path, tmp_path: Path) -> None:
    status = services.install_service("home", ["/usr/bin/regrow", "run"])
    file = tmp_path / "config/systemd/user/regrow@.service"
    assert "ExecStart=/usr/bin/regrow run --name %i" in file.read_text()
    assert (status.name, status.installed, status.active, status.pid) == ("regrow@home.service", True, "active", 77)
    assert "enable-linger" in status.warnings[0]
    told = systemctl.read_text()
    assert told.index("daemon-reload") < told.index("enable regrow@home") < told.index("restart --no-block regrow@home")


def test_uninstalling_removes_what_was_installed(systemctl: Path, tmp_path: Path) -> None:
    services.install_service("default", ["/usr/bin/regrow", "run"])
    assert services.uninstall_service("default")
    assert not (tmp_path / "config/systemd/user/regrow.service").exists()
    assert "--user stop --no-block regrow.service" in systemctl.read_text()
    assert not services.uninstall_service("default")


def test_without_a_user_manager_it_says_what_to_do(systemctl: Path, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "systemctl"
    tool.write_text(FAKE.format(log=systemctl, up=1, pid=0))
    with pytest.raises(Fatal, match="enable-linger"):
        services.install_service("default", ["regrow"])


def test_a_name_that_is_a_path_is_refused(systemctl: Path) -> None:
    with pytest.raises(Fatal, match="not a name"):
        services.install_service("../evil", ["regrow"])
    assert not systemctl.exists()


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/openclaw.service",
            ("openclaw.service", "systemd-user"),
        ),
        ("0::/system.slice/openclaw.service/inner", ("openclaw.service", "systemd")),
        (
            "1:name=systemd:/system.slice/openclaw.service\n4:memory:/system.slice/x.service",
            ("openclaw.service", "systemd"),
        ),
        ("0::/user.slice/user-1000.slice/session-3.scope", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope", None),
        ("0::/", None),
        ("", None),
        ("garbage", None),
    ],
)
def test_the_control_group_names_the_service(text: str, unit: tuple[str, str] | None) -> None:
    found = services.unit_of_cgroup(text)
    assert (found and (found.name, found.kind)) == unit


def test_a_process_of_no_service_has_none() -> None:
    assert services.gateway_unit(Process(pid=2**22 + 1, started=1)) is None


# ── sd_notify ──


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    name = f"@regrow-test-{os.getpid()}" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(name.replace("@", "\0", 1) if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert notify("READY=1", "STATUS=two\nlines")
        assert ear.recv(200) == b"READY=1\nSTATUS=two lines"
    if not abstract:
        assert not notify("WATCHDOG=1")


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"), [("30000000", "", 15.0), ("", "", None), ("x", "", None), ("9", "1", None)]
)
def test_the_watchdog_is_fed_twice_as_often_as_needed(
    usec: str, pid: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))
    assert watchdog_interval() == seconds


@pytest.mark.parametrize(
    ("kind", "argv"),
    [
        ("systemd-user", ["systemctl", "--user", "--no-block", "restart", "x"]),
        ("systemd", ["systemctl", "--no-block", "restart", "x"]),
        ("launchd", ["launchctl", "kickstart", "-k", f"gui/{os.getuid()}/x"]),
    ],
)
def test_a_unit_is_restarted_through_its_own_manager(kind: str, argv: list[str]) -> None:
    assert services.Unit("x", kind).argv("restart") == argv  # type: ignore[arg-type]


def test_only_the_main_process_of_a_service_belongs_to_it(systemctl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "unit_of_cgroup", lambda _: services.Unit("gateway.service", "systemd-user"))
    found = services.gateway_unit(Process(pid=os.getpid(), started=1))
    assert found is not None
    assert found.name == "gateway.service"
    assert services.gateway_unit(Process(pid=os.getppid(), started=1)) is None  # the manager names another main process


LAUNCHCTL = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
  bootstrap) exit {refuses};;
  list) if [ -n "$2" ]; then echo '"PID" = 91;'; else printf '91\\t0\\tai.openclaw.gateway\\n-\\t0\\tother\\n'; fi;;
esac
"""


@pytest.fixture
def launchctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = tmp_path / "told"
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "launchctl"
    tool.write_text(LAUNCHCTL.format(log=log, refuses=0))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "regrow"))
    monkeypatch.setattr(sys, "platform", "darwin")
    return log


def test_launchd_runs_us_too(launchctl: Path, tmp_path: Path) -> None:
    status = services.install_service("default", ["/usr/bin/regrow", "run"])
    assert (status.name, status.installed, status.active, status.enabled, status.pid) == (
        "regrow",
        True,
        "active",
        True,
        91,
    )
    assert plistlib.loads(Path(status.file).read_bytes())["ProgramArguments"] == ["/usr/bin/regrow", "run"]
    assert f"bootstrap gui/{os.getuid()} {status.file}" in launchctl.read_text()
    assert services.uninstall_service("default")
    assert not Path(status.file).exists()
    assert not services.uninstall_service("default")


def test_a_refusing_launchd_is_told_of(launchctl: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "launchctl").write_text(LAUNCHCTL.format(log=launchctl, refuses=5))
    with pytest.raises(Fatal, match=r"bootstrap failed \(exit 5\)"):
        services.install_service("default", ["regrow"])


def test_launchd_knows_whose_a_gateway_is(launchctl: Path) -> None:
    assert services.gateway_unit(Process(pid=91, started=1)) == services.Unit("ai.openclaw.gateway", "launchd")
    assert services.gateway_unit(Process(pid=92, started=1)) is None


def test_a_named_service_belongs_to_whoever_has_it(tmp_path: Path) -> None:
    (tmp_path / "shared.service").write_text("[Service]\n")
    assert services.named("claw", platform="linux", system=tmp_path) == services.Unit("claw.service", "systemd-user")
    assert services.named("shared", platform="linux", system=tmp_path).kind == "systemd"
    assert services.named("ai.claw", platform="darwin") == services.Unit("ai.claw", "launchd")


@pytest.mark.parametrize(
    ("shown", "stopped"),
    [
        ("ActiveState=inactive\nResult=success", True),
        ("ActiveState=inactive\nResult=exit-code", False),
        ("ActiveState=activating\nResult=success", False),
        ("ActiveState=failed\nResult=signal", False),
        ("", False),
    ],
)
def test_a_persons_stop_is_told_from_a_failure(systemctl: Path, tmp_path: Path, shown: str, stopped: bool) -> None:
    tool = tmp_path / "bin" / "systemctl"
    tool.write_text(f"#!/bin/sh\nprintf '%b\\n' '{shown}'\n")
    tool.chmod(0o755)
    assert services.was_stopped(services.Unit("claw.service", "systemd-user")) is stopped
