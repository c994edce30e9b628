"""Commands that need no keeper: help, configuration, journal, logs, checks, completion."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import regrow
from regrow.act.settings import ConfigStore
from regrow.cli import COMMANDS, cli, exit_code
from regrow.cli.place import Place
from regrow.config.load import default_path, load
from regrow.host.lives import Life, remember
from regrow.host.paths import private_dir
from regrow.model import errors
from regrow.record.journal import Journal
from regrow.serve.client import NotRunning
from rig.shell import Shell


@pytest.mark.parametrize("name", COMMANDS)
async def test_every_command_explains_itself(shell: Shell, name: str) -> None:
    ran = await shell(name, "--help")
    assert ran.code == 0, ran
    assert ran.out.startswith(f"Usage: regrow {name}")
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.help


async def test_help_names_every_command(shell: Shell) -> None:
    for args in (("--help",), ("-h",)):
        ran = await shell(*args)
        assert ran.code == 0
        assert [name for name in COMMANDS if not re.search(rf"^  {name} ", ran.out, re.MULTILINE)] == []


async def test_the_version_is_told(shell: Shell) -> None:
    ran = await shell("--version")
    assert (ran.code, ran.out) == (0, f"regrow {regrow.__version__}\n")


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("statsu",), "did you mean 'status'?"),
        (("zzz",), "regrow --help"),
        (("status", "--jsno"), "--json"),
        (("rpc",), "METHOD"),
        (("restart", "--delay", "x"), "--delay"),
        (("restart", "--delay", "61"), "--delay"),
        (("install", "--remove"), "which version"),
        (("doctor", "--apply", "--restore", "abcd"), "choose one"),
        (("doctor", "--restore", "abcd"), "regrow config kept"),
        (("logs", "-n", "-1"), "--lines"),
        (("completion", "tcsh"), "bash"),
        (("config", "shwo"), "show"),
    ],
)
async def test_a_mistyped_command_is_a_usage_error(shell: Shell, args: tuple[str, ...], hint: str) -> None:
    ran = await shell(*args)
    assert (ran.code, ran.out) == (64, ""), ran
    assert hint in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(("shell_name", "word"), [("bash", "complete"), ("zsh", "compdef"), ("fish", "complete")])
async def test_completion_is_made_for_each_shell(shell: Shell, shell_name: str, word: str) -> None:
    ran = await shell("completion", shell_name)
    assert ran.code == 0
    assert word in ran.out
    assert "_REGROW_COMPLETE" in ran.out


async def test_completion_completes(shell: Shell) -> None:
    ran = await shell(_REGROW_COMPLETE="bash_complete", COMP_WORDS="regrow re", COMP_CWORD="1")
    assert {line.split(",")[1] for line in ran.out.splitlines()} == {"restart", "reload", "reject", "resume"}
    ran = await shell(_REGROW_COMPLETE="bash_complete", COMP_WORDS="regrow restart --fo", COMP_CWORD="2")
    assert "--force" in ran.out


def test_status_imports_only_what_it_needs(shell: Shell) -> None:
    code = "import sys, regrow.cli.status as s; s.Place(None, None).socket; print(*sys.modules)"
    # measuring coverage imports modules of its own
    env = {name: value for name, value in shell.env.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"msgspec", "rich", "structlog", "asyncio", "websockets", "httpx2", "psutil", "cryptography", "sqlite3"}
    assert loaded & heavy == set()


def test_a_command_is_imported_when_it_is_called_and_not_before(shell: Shell) -> None:
    code = "import sys, regrow.cli; print(*(m for m in sys.modules if m.startswith('regrow.')))"
    done = subprocess.run([sys.executable, "-c", code], env=shell.env, capture_output=True, text=True, check=True)
    assert {f"regrow.cli.{name}" for name in COMMANDS} & set(done.stdout.split()) == set()


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        ("", {}),
        ('[regrow]\nstate_dir = "mine"\n', {}),
        ('[regrow]\nstate_dir = "~/mine"\n', {}),
        ('[regrow]\nname = "two"\n', {}),
        ('[regrow]\nname = "two"\n', {"REGROW_REGROW__NAME": "three"}),
        ("", {"REGROW_REGROW__STATE_DIR": "~/elsewhere"}),
    ],
)
def test_a_command_finds_the_state_where_the_keeper_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str, environ: dict[str, str]
) -> None:
    from regrow.daemon.place import place_of

    for name in [name for name in os.environ if name.startswith(("REGROW_", "OPENCLAW_"))]:
        monkeypatch.delenv(name)
    for name, value in {"REGROW_HOME": str(tmp_path / "r"), "HOME": str(tmp_path), **environ}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "r").mkdir()
    file = tmp_path / "r" / "config.toml"
    file.write_text(toml)
    for place in (Place(None, None), Place(file, None)):
        told = place_of(place.load().config)
        assert (place.state, place.socket, place.journal) == (told.folder, told.socket, told.journal)
    assert Place(None, None).file == default_path() == load().path


def test_a_name_given_is_the_keepers_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGROW_HOME", str(tmp_path))
    place = Place(None, "third")
    assert place.load().config.regrow.name == "third"
    assert place.state == tmp_path / "state" / "third"


async def test_a_bad_configuration_is_told_whole_by_every_command(shell: Shell) -> None:
    shell.root.mkdir()
    (shell.root / "config.toml").write_text('[gateway]\nprot = 1\nport = "x"\n[regorw]\n')
    for args in (("run",), ("config", "show")):
        ran = await shell(*args)
        assert ran.code == 78
        for words in ("gateway.prot", "did you mean 'port'?", "gateway.port", "regorw"):
            assert words in ran.err, ran
    ran = await shell("check", "--json")
    assert ran.code == 78
    told = " ".join(row["text"] for row in ran.json["findings"])
    for words in ("gateway.prot", "gateway.port", "regorw", "OpenClaw is not installed", "openclaw.json"):
        assert words in told
    (shell.root / "config.toml").write_text("[gateway\n")
    for name in ("run", "status", "stop", "check"):
        ran = await shell(name)
        assert (ran.code, "not valid TOML" in ran.err + ran.out) == (78, True), ran
    assert (await shell("status", "--config", "missing.toml")).code == 78


async def test_run_without_openclaw_names_the_ways_on(shell: Shell) -> None:
    ran = await shell("run", PATH="/usr/bin:/bin")
    assert ran.code == 69
    for words in ("OpenClaw is not installed", "regrow run --sandbox", "regrow run --install", "[gateway] entry"):
        assert words in ran.err, ran
    assert list(shell.home.glob(".openclaw")) == [], "nothing of the user's is made"


async def test_config_is_shown_without_secrets(shell: Shell) -> None:
    shell.root.mkdir()
    (shell.root / "config.toml").write_text('[gateway]\ntoken = "s3cr3t-token"\nport = 19001\nenv = {API = "s3cr3t"}\n')
    (shell.root / "config.toml").chmod(0o600)
    ran = await shell("config", "show", REGROW_REGROW__DRY_RUN="true")
    assert ran.code == 0
    assert "s3cr3t" not in ran.out + ran.err
    assert "port = 19001" in ran.out
    assert re.search(r"dry_run = true +# REGROW_REGROW__DRY_RUN", ran.out)
    ran = await shell("config", "show", "--json")
    assert "s3cr3t" not in ran.out
    assert ran.json["config"]["gateway"]["port"] == 19001
    assert ran.json["sources"]["gateway.port"] == str(shell.root / "config.toml")
    assert (await shell("config", "path")).out == f"{shell.root / 'config.toml'}\n"
    assert (await shell("config", "schema")).json["$defs"].keys() >= {"GatewayConfig", "RegrowConfig"}


async def test_kept_configurations_are_listed_newest_first(shell: Shell) -> None:
    assert "none yet" in (await shell("config", "kept")).out
    store = ConfigStore(shell.state() / "kept")
    for age, text in ((100, b'{"a": 1}'), (50, b'{"a": 2}')):
        kept = store.keep(text, "2026.9.6")
        os.utime(kept.path, (1_700_000_000 - age, 1_700_000_000 - age))
    found = (await shell("config", "kept", "--json")).json
    assert [row["at"] for row in found] == [1_699_999_950_000, 1_699_999_900_000]
    assert found[0]["digest"][:12] in (await shell("config", "kept")).out
    store.keep_composed("c" * 64, {Path("/x/openclaw.json"): b"{}", Path("/x/part.json5"): None}, "2026.9.6")
    assert [row["composed"] for row in (await shell("config", "kept", "--json")).json] == [True, False, False]
    assert "several files, which regrow does not put back" in (await shell("config", "kept")).out.splitlines()[0]


async def journal(shell: Shell, *events: tuple[str, dict[str, Any], float]) -> None:
    private_dir(shell.state())
    book = await Journal.open(shell.state() / "journal.db")
    for type_, data, at in events:
        book.append(type_, data, at)
    await book.commit()
    await book.close()


async def test_events_are_read_from_the_journal_without_a_keeper(shell: Shell) -> None:
    ran = await shell("events")
    assert ran.code == 69
    assert "no keeper of this name has run yet" in ran.err
    await journal(
        shell,
        ("status", {"phase": "starting", "ready": False}, 1_700_000_000.0),
        ("fact:heard", {}, 1_700_000_001.0),
        ("gateway:ready", {"version": "2026.9.6", "took": 4.25}, 1_700_000_002.5),
        ("exit", {"code": -9, "pid": 77, "expected": False}, 1_700_000_003.0),
        ("episode:opened", {"domain": "liveness", "subject": "process", "evidence": "killed"}, 1_700_000_003.0),
    )
    told = (await shell("events")).out
    for words in ("OpenClaw 2026.9.6 is ready after 4.2 s", "(pid 77) ended by itself: signal 9",
                  "trouble with the gateway: killed", "2023-11-14 22:13:22"):  # fmt: skip
        assert words in told
    assert "fact:" not in told
    rows = (await shell("events", "--json")).lines
    assert [(row["type"], row["at"]) for row in rows][1] == ("gateway:ready", 1_700_000_002_500)
    assert [row["type"] for row in (await shell("events", "--json", "-n", "1")).lines] == ["episode:opened"]
    assert [row["type"] for row in (await shell("events", "--json", "--type", "episode:*")).lines] == ["episode:opened"]
    assert [row["type"] for row in (await shell("events", "--json", "--type", "fact:*")).lines] == ["fact:heard"]
    after = (await shell("events", "--json", "--after", str(rows[1]["id"]))).lines
    assert [row["type"] for row in after] == ["exit", "episode:opened"]
    ran = await shell("events", "--follow", "--json")
    assert (ran.code, len(ran.lines)) == (3, 4)


async def test_a_damaged_journal_is_one_clear_message(shell: Shell) -> None:
    private_dir(shell.state())
    (shell.state() / "journal.db").write_bytes(b"not a database at all" * 1000)
    ran = await shell("events")
    assert ran.code == 69
    assert "journal.db" in ran.err
    assert "Traceback" not in ran.err


async def test_logs_are_shown_without_secrets_or_colours(shell: Shell) -> None:
    ran = await shell("logs")
    assert ran.code == 69
    log = shell.state() / "logs" / "gateway.log"
    log.parent.mkdir(parents=True, mode=0o700)
    log.write_text("".join(f"line {n}\n" for n in range(200)) + "\x1b[31mtoken=abcdef1234567890\x1b[0m\n")
    ran = await shell("logs", "-n", "3")
    assert ran.out.splitlines() == ["line 198", "line 199", "token=***"]
    assert (await shell("logs", "--path")).out == f"{log}\n"
    (log.parent / "regrow.log").write_text("ours\n")
    assert (await shell("logs", "--regrow")).out == "ours\n"
    other = shell.home / "other.log"
    other.write_text("adopted\n")
    remember(shell.state(), Life(port=1, log=str(other)))
    assert (await shell("logs")).out == "adopted\n"
    other.write_text("it said plainwordsecret to nobody\n")
    remember(shell.state(), Life(port=1, log=str(other), token="plainwordsecret"))
    assert (await shell("logs")).out == "it said *** to nobody\n", "a known token is hidden wherever it stands"


async def test_no_line_of_a_key_is_shown_wherever_the_shown_lines_begin(shell: Shell) -> None:
    log = shell.state() / "logs" / "gateway.log"
    log.parent.mkdir(parents=True)
    body = "".join(f"{letter * 64}\n" for letter in "QRSTUV")
    log.write_text(f"first\n-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\nlast\n")
    for count, shown in (("10", "first\n***\nlast\n"), ("2", "***\nlast\n"), ("1", "last\n")):
        assert (await shell("logs", "-n", count)).out == shown
    log.write_text(f"{body}-----END PRIVATE KEY-----\nlast\n")
    assert (await shell("logs")).out == "***\nlast\n", "its beginning went with an older file"


async def test_logs_are_followed_into_the_next_file(shell: Shell) -> None:
    log = shell.state() / "logs" / "gateway.log"
    log.parent.mkdir(parents=True, mode=0o700)
    log.write_text("old\nlast\n")
    process = await shell.start("logs", "-f", "-n", "1")
    assert process.stdout is not None
    assert await process.stdout.readline() == b"last\n"
    log.rename(log.with_suffix(".log.1"))
    log.write_text("a new life\n")
    async with asyncio.timeout(10):
        assert await process.stdout.readline() == b"a new life\n"
    process.terminate()
    await process.communicate()


async def test_check_lists_everything_at_once(shell: Shell) -> None:
    gateway = shell.home / ".openclaw"
    gateway.mkdir()
    (gateway / "openclaw.json").write_text("{ gateway: { port: 'x' ")
    (gateway / "openclaw.json").chmod(0o644)
    ran = await shell("check", PATH="/usr/bin:/bin")
    assert ran.code == 78
    for words in (
        "OpenClaw is not installed",
        "ends too early: line 1",
        "others can read",
        "MB left",
        "none is running yet",
    ):
        assert words in ran.out, ran
    as_json = (await shell("check", "--json", PATH="/usr/bin:/bin")).json
    assert as_json["ok"] is False
    assert {row["level"] for row in as_json["findings"]} == {"ok", "note", "problem"}


async def test_a_taken_port_is_named_with_who_has_it(shell: Shell) -> None:
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ran = await shell("check", REGROW_GATEWAY__PORT=str(port))
    server.close()
    await server.wait_closed()
    assert ran.code == 78
    assert f"{port} is taken by" in ran.out
    assert f"pid {os.getpid()}" in ran.out


async def test_installed_versions_are_listed(shell: Shell) -> None:
    assert (await shell("install", "--list", "--json")).json == []
    ran = await shell("install", "--remove", "2026.9.6")
    assert ran.code == 1
    assert "not installed by regrow" in ran.err
    home = shell.root / "data" / "openclaw" / "2026.1.2" / "node_modules" / "openclaw"
    home.mkdir(parents=True)
    (home / "package.json").write_text(json.dumps({"name": "openclaw", "version": "2026.1.2"}))
    (home / "openclaw.mjs").write_text("")
    assert [row["version"] for row in (await shell("install", "--list", "--json")).json] == ["2026.1.2"]
    ran = await shell("install", "--remove", "2026.1.2")
    assert (ran.code, home.exists()) == (0, False), ran


async def test_a_version_that_is_none_is_refused(shell: Shell) -> None:
    ran = await shell("install", "../../etc")
    assert ran.code == 69
    assert "is not an OpenClaw version" in ran.err


async def test_colours_are_for_terminals_that_want_them(shell: Shell) -> None:
    import pty

    async def status(**env: str) -> bytes:
        main, end = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "regrow", "status", env={**shell.env, **env}, stderr=end, stdout=end
        )
        os.close(end)
        await process.wait()
        told = os.read(main, 65536)
        os.close(main)
        return told

    assert b"\x1b[31m" in await status(TERM="xterm")
    assert b"\x1b" not in await status(TERM="xterm", NO_COLOR="1")
    assert b"\x1b" not in await status(TERM="dumb")


async def test_a_reader_that_has_had_enough_is_no_error(shell: Shell) -> None:
    process = await shell.start("config", "schema")
    assert process.stdout is not None
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert process.stderr is not None
    assert b"Traceback" not in await process.stderr.read()
    assert await process.wait() in {0, 1, 141}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError(["x"]), 78),
        (errors.Retryable("x"), 75),
        (errors.Fatal("x"), 69),
        (NotRunning("x"), 3),
        (errors.Refused("x", by="y"), 1),
        (errors.GatewayError("X", "x"), 1),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error: errors.RegrowError, code: int) -> None:
    assert exit_code(error) == code
