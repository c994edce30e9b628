"""Finding Node and OpenClaw, and saying clearly what is missing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.host import openclaw
from regrow.host.openclaw import find_node, find_openclaw, installed, resolve_entry, satisfies
from regrow.model.errors import Fatal

MakeNode = Callable[..., Path]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with nothing on it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "regrow"))
    monkeypatch.delenv("NPM_CONFIG_PREFIX", raising=False)
    monkeypatch.delenv("npm_config_prefix", raising=False)
    monkeypatch.setattr(openclaw, "bundled_node", lambda: None)
    monkeypatch.setattr(openclaw, "_SYSTEM", ())
    monkeypatch.setattr(openclaw, "_PREFIXES", ())


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def node(path: Path, version: str = "24.19.0") -> Path:
    return program(path, f"echo v{version}")


def package(root: Path, version: str = "2026.9.6", needs: str | None = ">=24.16.0 <25 || >=26.1.0") -> Path:
    root.mkdir(parents=True)
    (root / "openclaw.mjs").write_text("")
    said = {"name": "openclaw", "version": version, "bin": {"openclaw": "openclaw.mjs"}}
    (root / "package.json").write_text(json.dumps(said | ({"engines": {"node": needs}} if needs else {})))
    return root / "openclaw.mjs"


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("24.19.0", ">=24.16.0 <25 || >=26.1.0", True),
        ("24.15.9", ">=24.16.0 <25 || >=26.1.0", False),
        ("25.1.0", ">=24.16.0 <25 || >=26.1.0", False),
        ("26.1.0", ">=24.16.0 <25 || >=26.1.0", True),
        ("20.20.2", ">=22.14.0", False),
        ("22.14.0", "^22.12.0", True),
        ("23.0.0", "^22.12.0", False),
        ("22.14.3", "~22.14.0", True),
        ("22.15.0", "~22.14.0", False),
        ("22.9.0", "22.x", True),
        ("22.9.0", "*", True),
        ("22.9.0", "22", True),
        ("22.9.0", ">22", False),
        ("22.9.0", "<=22", True),
        ("22.9.0", "whatever", True),
    ],
)
def test_version_ranges(version: str, wanted: str, fits: bool) -> None:
    assert satisfies(version, wanted) is fits


@given(st.text(), st.text())
def test_no_range_makes_it_raise(version: str, wanted: str) -> None:
    assert satisfies(version, wanted) in (True, False)


def test_the_first_node_that_fits_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'old'}:{tmp_path / 'new'}")
    node(tmp_path / "old" / "node", "20.20.2")
    new = node(tmp_path / "new" / "node", "24.19.0")
    found = find_node(needs=">=24.16.0")
    assert (found.path, found.version) == (str(new), "24.19.0")


def test_without_node_it_says_what_was_found_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r'no Node.js >=24 on this machine; .*pip install "regrow\[managed\]"'):
        find_node(needs=">=24")
    node(tmp_path / "bin" / "node", "20.20.2")
    with pytest.raises(Fatal, match=r"bin/node is version 20\.20\.2"):
        find_node(needs=">=24")


@pytest.mark.parametrize("body", ["exit 3", "kill -9 $$", "echo hello"])
def test_a_dead_node_is_named(body: str, tmp_path: Path) -> None:
    dead = program(tmp_path / "dead", body)
    with pytest.raises(Fatal, match=r"\[gateway\] node: .*dead is broken"):
        find_node(str(dead))


def test_a_configured_node_that_is_not_there_is_named() -> None:
    with pytest.raises(Fatal, match=r"/nowhere/node cannot be started \(No such file"):
        find_node("/nowhere/node")


def test_openclaw_is_found_on_path_through_a_link(tmp_path: Path) -> None:
    entry = package(tmp_path / "lib" / "openclaw")
    node(tmp_path / "bin" / "node")
    (tmp_path / "bin" / "openclaw").symlink_to(entry)
    entry.chmod(0o755)
    found = find_openclaw()
    assert (found.entry, found.version, found.managed) == (str(entry), "2026.9.6", False)
    assert found.argv("gateway", "run") == [str(tmp_path / "bin" / "node"), str(entry), "gateway", "run"]


@pytest.mark.parametrize(
    "line", ['exec node  "$basedir/../lib/openclaw/openclaw.mjs" "$@"', "exec node '{lib}/openclaw/openclaw.mjs'"]
)
def test_a_wrapper_script_is_looked_through(line: str, tmp_path: Path) -> None:
    entry = package(tmp_path / "lib" / "openclaw")
    wrapper = program(tmp_path / "bin" / "openclaw", line.format(lib=tmp_path / "lib"))
    assert resolve_entry(wrapper) == entry


def test_a_global_npm_package_is_found_without_path(tmp_path: Path) -> None:
    node(tmp_path / "bin" / "node")
    entry = package(tmp_path / "home" / ".npm-global/lib/node_modules/openclaw")
    assert find_openclaw().entry == str(entry)


def test_the_newest_managed_version_is_taken_and_half_ones_are_not(tmp_path: Path) -> None:
    node(tmp_path / "bin" / "node")
    into = tmp_path / "managed"
    for version in ("2026.4.29", "2026.10.1", "2026.9.6"):
        package(into / version / "node_modules" / "openclaw", version)
    package(into / ".staging-2027.1.1-x" / "node_modules" / "openclaw", "2027.1.1")
    (into / "2028.1.1").mkdir()
    assert list(installed(into)) == ["2026.10.1", "2026.9.6", "2026.4.29"]
    found = find_openclaw(into=into)
    assert (found.version, found.managed) == ("2026.10.1", True)
    assert find_openclaw(found.entry, into=into).managed, "naming it does not make it somebody else's"


def test_one_that_cannot_run_gives_way_to_one_that_can(tmp_path: Path) -> None:
    node(tmp_path / "bin" / "node", "22.20.0")
    package(tmp_path / "managed" / "2026.9.6" / "node_modules" / "openclaw")
    package(tmp_path / "managed" / "2026.4.29" / "node_modules" / "openclaw", "2026.4.29", ">=22.14.0")
    assert find_openclaw(into=tmp_path / "managed").version == "2026.4.29"


def test_when_none_can_run_each_is_named(tmp_path: Path) -> None:
    node(tmp_path / "bin" / "node", "18.0.0")
    package(tmp_path / "managed" / "2026.9.6" / "node_modules" / "openclaw")
    with pytest.raises(Fatal, match=r"no OpenClaw here can run:\n.*2026\.9\.6.*version 18\.0\.0"):
        find_openclaw(into=tmp_path / "managed")


def test_without_openclaw_the_next_step_is_named() -> None:
    with pytest.raises(Fatal, match="regrow install"):
        find_openclaw()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "other"}', "\xff"])
def test_a_damaged_package_is_no_openclaw(text: str, tmp_path: Path) -> None:
    entry = package(tmp_path / "openclaw")
    (entry.parent / "package.json").write_text(text, encoding="latin-1")
    with pytest.raises(Fatal, match=r"\[gateway\] entry: "):
        find_openclaw(str(entry))


def test_a_loop_of_links_is_no_entry(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert resolve_entry(tmp_path / "a") is None
