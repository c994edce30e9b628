"""Where files lie: private, named safely, and a socket path that fits."""

import os
import stat
from pathlib import Path

import pytest

from regrow.config.load import default_path
from regrow.host import paths
from regrow.host.sandbox import open_sandbox
from regrow.model.errors import Fatal


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_variable_moves_everything(home: Path) -> None:
    for path in (
        default_path(os.environ), paths.data_dir(), paths.cache_dir(), paths.state_dir("a"), paths.sandbox_dir(),
        paths.socket_path(paths.state_dir()),
    ):  # fmt: skip
        assert path.is_relative_to(home)


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "a" * 65, "a\n", "dot.", "%i", "-x"])
def test_a_name_never_leads_out_of_its_place(name: str) -> None:
    with pytest.raises(Fatal, match="not a name"):
        paths.state_dir(name)


def test_a_long_state_directory_still_gets_a_socket_that_can_be_bound(tmp_path: Path) -> None:
    import socket

    deep = tmp_path / ("d" * 90) / ("e" * 90)
    path = paths.socket_path(deep)
    assert len(os.fsencode(path)) <= paths.SOCKET_PATH_LIMIT
    assert path == paths.socket_path(deep)
    assert path != paths.socket_path(deep / "other")
    paths.private_dir(path.parent)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    path.unlink()


def test_directories_are_private_even_if_they_were_not(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    assert mode(paths.private_dir(tmp_path / "open")) == 0o700
    assert mode(paths.private_dir(tmp_path / "a" / "b")) == 0o700


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Fatal, match=r"file.*REGROW_HOME"):
        paths.private_dir(tmp_path / "file" / "below")


def test_a_sandbox_is_private_and_stays_the_same(home: Path) -> None:
    one = open_sandbox()
    assert one.root.is_relative_to(home)
    for file in (one.config, one.token_file):
        assert mode(file) == 0o600
    assert mode(one.state_dir) == 0o700
    assert len(one.token()) >= 40
    assert one.token() not in one.config.read_text()
    two = open_sandbox()
    assert (two, two.token()) == (one, one.token())
    assert open_sandbox("other").token() != one.token()


def test_a_sandbox_leaves_its_users_configuration_alone() -> None:
    one = open_sandbox()
    one.config.write_text('{"gateway": {"mode": "local"}, "mine": 1}')
    assert '"mine"' in open_sandbox().config.read_text()


def test_a_sandbox_moves_away_from_a_taken_port() -> None:
    import socket

    one = open_sandbox()
    with socket.socket() as other:
        other.bind(("127.0.0.1", one.port))
        other.listen()
        assert open_sandbox().port != one.port
