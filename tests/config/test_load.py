"""A configuration is read from file, variables and command line, and every problem in it is named at once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.config.load import Loaded, _readable_by_others, default_path, keeper, load, redacted
from regrow.config.schema import Config, Secret
from regrow.model.errors import ConfigError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, so that nobody's configuration is read."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home/.config"))
    return tmp_path / "home"


@pytest.fixture
def read(tmp_path: Path):
    """Read a configuration with this text and these variables."""

    def read(text: str = "", **variables: str) -> Loaded:
        path = tmp_path / "regrow.toml"
        path.write_text(text)
        path.chmod(0o600)
        return load(path, variables)

    return read


@pytest.fixture
def problems(read):
    """The problems of a configuration with this text and these variables."""

    def problems(text: str = "", **variables: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text, **variables)
        return caught.value.problems

    return problems


def test_nothing_needs_to_be_configured():
    loaded = load(None, {})
    assert loaded == Loaded(config=Config())
    assert loaded.config.regrow.name == "default"
    assert loaded.config.heal.liveness.auto_start is True
    assert set(loaded.config.domains()) >= {"liveness", "settings"}


def test_the_file_is_found_in_the_usual_place_by_variable_and_by_argument(home: Path, tmp_path: Path):
    usual = default_path({})
    usual.parent.mkdir(parents=True)
    usual.write_text("[gateway]\nport = 1111\n")
    assert load(None, {}).config.gateway.port == 1111
    assert home in usual.parents

    named = tmp_path / "named.toml"
    named.write_text("[gateway]\nport = 2222\n")
    assert load(None, {"REGROW_CONFIG": str(named)}).config.gateway.port == 2222

    argument = home / "argument.toml"
    argument.write_text("[gateway]\nport = 3333\n")
    loaded = load(Path("~/argument.toml"), {"REGROW_CONFIG": str(named)})
    assert loaded.config.gateway.port == 3333
    assert loaded.path == argument

    other = tmp_path / "other"
    other.mkdir()
    (other / "config.toml").write_text("[gateway]\nport = 4444\n")
    assert load(None, {"REGROW_HOME": str(other)}).config.gateway.port == 4444


def test_variables_win_over_the_file_and_the_command_line_over_both(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text('[gateway]\nport = 1\nmode = "own"\n[regrow]\ndry_run = false\n')
    variables = {"REGROW_GATEWAY__PORT": "2", "REGROW_REGROW__DRY_RUN": "false", "REGROW_GATEWAY__UNIT": ""}
    loaded = load(path, variables, {"regrow.dry_run": True})
    assert (loaded.config.gateway.port, loaded.config.regrow.dry_run) == (2, True)
    assert loaded.sources == {
        "gateway.port": "REGROW_GATEWAY__PORT",
        "gateway.mode": str(path),
        "regrow.dry_run": "command line",
    }


@pytest.mark.parametrize(
    ("variable", "text", "dotted", "value"),
    [
        ("REGROW_GATEWAY__PORT", "18789", "gateway.port", 18789),
        ("REGROW_REGROW__DRY_RUN", "true", "regrow.dry_run", True),
        ("REGROW_REGROW__DRY_RUN", "1", "regrow.dry_run", True),
        ("REGROW_REGROW__DRY_RUN", "Yes", "regrow.dry_run", True),
        ("REGROW_REGROW__CONFIG_WATCH", "off", "regrow.config_watch", False),
        ("REGROW_REGROW__JOURNAL_DAYS", "1.5", "regrow.journal_days", 1.5),
        ("REGROW_GATEWAY__ARGS", '["--verbose", "--x=1"]', "gateway.args", ("--verbose", "--x=1")),
        ("REGROW_GATEWAY__ENV", '{"A": "1"}', "gateway.env", {"A": "1"}),
        ("REGROW_GATEWAY__TOKEN", "12345678", "gateway.token", Secret("12345678")),
        ("REGROW_HEAL__LIVENESS__MODE", "observe", "heal.liveness.mode", "observe"),
        ("REGROW_HEAL__SETTINGS__KEEP", "5", "heal.settings.keep", 5),
    ],
)
def test_a_variable_is_read_by_the_type_of_its_setting(variable: str, text: str, dotted: str, value: object):
    loaded = load(None, {variable: text})
    found: object = loaded.config
    for name in dotted.split("."):
        found = getattr(found, name)
    assert found == value
    assert loaded.sources == {dotted: variable}


def test_paths_know_home_and_begin_at_the_file(read, home: Path, tmp_path: Path):
    (tmp_path / "token").write_text("abc\n")
    (tmp_path / "token").chmod(0o600)
    text = '[gateway]\nstate_dir = "~/.openclaw"\ntoken_file = "token"\nnode = "/usr/bin/node"\n'
    gateway = read(text).config.gateway
    assert gateway.state_dir == home / ".openclaw"
    assert gateway.token_file == tmp_path / "token"
    assert gateway.node == Path("/usr/bin/node")
    variables = {"REGROW_GATEWAY__STATE_DIR": "here", "REGROW_GATEWAY__NODE": "~/node"}
    gateway = read(text, **variables).config.gateway
    assert gateway.state_dir == Path.cwd() / "here"
    assert gateway.node == home / "node"


EVERYTHING_WRONG = """
gatewy = 1
[gateway]
prot = 99
port = 99999
mode = "owm"
args = ["a", 1]
token = 5
node = "~nobody-of-this-name/n"
config = ""
[gateway.env]
A = 1
[regrow]
dry_run = "x"
journal_days = 0
name = "a b"
stateDir = "x"
[heal.livness]
[heal.liveness]
mode = "atuo"
kil = 1
"""


def test_every_problem_is_listed_at_once_with_its_path_and_a_suggestion(problems):
    found = problems(
        EVERYTHING_WRONG,
        REGROW_GATEWAY__PROT="1",
        REGROW_GATEWY__PORT="1",
        REGROW_REGROW__LOG_LEVEL="loud",
        REGROW_HEAL__LIVENESS="{}",
        REGROW_HEAL__LIVENESS__MODE__X="1",
        REGROW_HEAL__LIVENESS__START_BUDGET="99999",
        REGROW_GATEWAY__ENV="not json",
    )
    expected = {
        "gatewy: there is no such setting; did you mean 'gateway'?",
        "REGROW_GATEWY__PORT: there is no section 'gatewy'; did you mean 'gateway'?",
        "gateway.prot: there is no such setting; did you mean 'port'?",
        "REGROW_GATEWAY__PROT: there is no such setting; did you mean 'port'?",
        "gateway.port: expected a whole number <= 65535, got 99999",
        "gateway.mode: expected one of auto, own, service, attach, got 'owm'; did you mean 'own'?",
        "gateway.args[1]: expected a text",
        "gateway.token: expected a text",
        "gateway.node: expected a path; the home directory of that user is unknown, got '~nobody-of-this-name/n'",
        "gateway.config: expected a path, got ''",
        "REGROW_GATEWAY__ENV: expected a table",
        "regrow.dry_run: expected true or false, got 'x'",
        "regrow.journal_days: expected a number >= 1.0, got 0",
        "regrow.name: expected a text matching regex '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$', got 'a b'",
        "regrow.stateDir: there is no such setting; did you mean 'state_dir'?",
        "REGROW_REGROW__LOG_LEVEL: expected one of debug, info, warning, error, got 'loud'",
        "heal.livness: there is no such setting; did you mean 'liveness'?",
        "heal.liveness.kil: there is no such setting; did you mean 'kill'?",
        "heal.liveness.mode: expected one of off, observe, ask, auto, got 'atuo'; did you mean 'auto'?",
        "REGROW_HEAL__LIVENESS: is a section; set what is in it one by one, as REGROW_HEAL__LIVENESS__<KEY>",
        "REGROW_HEAL__LIVENESS__MODE__X: there is no such setting; did you mean 'mode'?",
        "REGROW_HEAL__LIVENESS__START_BUDGET: expected a number <= 900.0, got '99999'",
    }
    assert set(found) == expected
    assert len(found) == len(expected)


def test_wrong_variables_of_other_programs_are_nobodys_business():
    assert load(None, {"REGROW_REQUIRE_ALL": "1", "REGROW_XQJ__A": "1", "REGROW___X": "1", "GATEWAY__PORT": "x"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[gateway\n", r"regrow\.toml: is not valid TOML: .*line 1"),
        ("[gateway]\nport = 1\nport = 2\n", r"regrow\.toml: is not valid TOML: .*line 3"),
        ("gateway = 3\n", r"gateway: is a section; write it as \[gateway\]"),
        ("[xqj]\n", r"^xqj: there is no such section$"),
        ("[regrow]\njournal_days = nan\n", "regrow.journal_days: expected a number >= 1.0, got NaN"),
        ('[gateway]\ntoken = "a"\ntoken_env = "B"\n', "gateway.token_env: there is also gateway.token; keep one"),
        ('[gateway]\nurl = "ws://x"\nmode = "own"\n', "gateway.url: only attaching uses it"),
        ('[gateway]\nurl = "ws://x"\nport = 1\n', "gateway.port: gateway.url already says"),
        ('[gateway]\nurl = "ws://u:p4ss@x"\n', "gateway.url: must not hold a token or password"),
        ('[gateway]\nurl = "ws://x?token=abc"\n', "gateway.url: must not hold a token or password"),
        ('[gateway]\nurl = "ftp://u:p4ss@x"\n', "gateway.url: expected a text matching"),
        ('[gateway]\nunit = "a.service"\nmode = "attach"\n', "gateway.unit: only a service has one"),
        ('[gateway]\ntoken_file = "missing"\n', "gateway.token_file: .*missing cannot be read"),
        ('[gateway]\ntoken_env = "MISSING"\n', "gateway.token_env: the token is empty"),
        ('[gateway]\ntoken = " "\n', "gateway.token: the token is empty"),
        ('[gateway]\ntoken = "a b"\n', "gateway.token: a token is one line"),
    ],
)
def test_one_clear_problem(problems, text: str, problem: str):
    (found,) = problems(text)
    assert re.search(problem, found)
    assert "p4ss" not in found


def test_a_token_file_that_is_not_text(problems, tmp_path: Path):
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert problems('[gateway]\ntoken_file = "token"\n') == [
        f"gateway.token_file: {tmp_path / 'token'} cannot be read (it is not text)"
    ]


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no such file; leave out --config"):
        load(tmp_path / "missing.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b"# \xe4\n")
    with pytest.raises(ConfigError, match=r"is not UTF-8 text \(byte 3\)"):
        load(tmp_path / "latin.toml", {})


def test_a_byte_order_mark_is_no_problem(tmp_path: Path):
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbf[gateway]\nport = 7\n")
    assert load(tmp_path / "c.toml", {}).config.gateway.port == 7


@pytest.mark.parametrize("text", ['[gateway]\ntoken = "t0ken-of-mine"\n', '[gateway.env]\nKEY = "t0ken-of-mine"\n'])
def test_a_file_with_a_secret_that_others_can_read_is_warned_about(tmp_path: Path, text: str):
    path = tmp_path / "c.toml"
    path.write_text(text)
    path.chmod(0o644)
    (warning,) = load(path, {}).warnings
    assert warning == f"{path} holds a secret and others can read it: run `chmod 600 {path}`"
    path.chmod(0o600)
    assert load(path, {}).warnings == ()


def test_the_token_comes_from_wherever_it_is_kept(read, tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("from-file\n")
    file.chmod(0o640)
    loaded = read('[gateway]\ntoken_file = "token"\n')
    assert loaded.token == Secret("from-file")
    assert loaded.warnings == (f"others can read {file}: run `chmod 600 {file}`",)
    file.chmod(0o600)
    assert read('[gateway]\ntoken_file = "token"\n').warnings == ()
    assert read('[gateway]\ntoken_env = "MINE"\n', MINE="from-variable").token == Secret("from-variable")
    assert read('[gateway]\ntoken = "from-setting"\n').token == Secret("from-setting")
    assert read().token is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6).filter(lambda t: t.strip("*")))
def test_a_token_is_never_shown(token: str):
    variables = {
        "REGROW_GATEWAY__TOKEN": token,
        "REGROW_GATEWAY__ENV": json.dumps({"OPENAI_API_KEY": token}),
        "REGROW_GATEWAY__ARGS": json.dumps(["--verbose", "--token", token]),
    }
    loaded = load(None, variables)
    shown = redacted(loaded.config)
    assert shown["gateway"]["token"] == "***"
    assert shown["gateway"]["env"] == {"OPENAI_API_KEY": "***"}
    assert shown["gateway"]["args"] == ["--verbose", "--token", "***"]
    safe = load(None, {})
    if token not in repr(safe) + repr(loaded.sources) + "token,args,env***Secret":
        assert token not in repr(loaded)
    assert loaded.token is not None
    assert loaded.token.reveal() == token
    assert f"{loaded.token} {loaded.token!r}" == "*** Secret(***)"


def test_what_is_shown_is_everything_there_is(read):
    shown = redacted(read('[gateway]\nurl = "wss://host:1/path"\nargs = ["--token=abc", "x"]\n').config)
    assert shown["gateway"]["url"] == "wss://host:1/path"
    assert shown["gateway"]["args"] == ["--token=***", "x"]
    assert shown["regrow"]["journal_mb"] == 64
    assert shown["heal"]["liveness"]["mode"] == "auto"
    json.dumps(shown)


def test_the_keepers_own_section_is_read_when_the_others_are_broken(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text('[regrow]\nname = "b"\nstate_dir = "s"\n[heal.livness]\n[gateway]\nport = 0\n')
    found = keeper(path, {"REGROW_REGROW__LOG_LEVEL": "debug", "REGROW_GATEWAY__PORT": "x"}, {"regrow.name": "c"})
    assert (found.name, found.state_dir, found.log_level) == ("c", tmp_path / "s", "debug")
    assert keeper(None, {}) == load(None, {}).config.regrow
    with pytest.raises(ConfigError, match=r"^REGROW_REGROW__NAM: there is no such setting; did you mean 'name'\?$"):
        keeper(path, {"REGROW_REGROW__NAM": "x"})


def test_an_override_that_is_wrong_is_named():
    with pytest.raises(ConfigError, match=r"regrow\.dryrun: there is no such setting; did you mean 'dry_run'\?"):
        load(None, {}, {"regrow.dryrun": True})


def test_a_file_that_vanished_is_not_called_readable(tmp_path: Path):
    assert _readable_by_others(tmp_path / "missing") is False


def test_secrets_are_equal_by_their_text():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
