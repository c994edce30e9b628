"""Where people are told: what contradicts itself or would give a secret away is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.config.load import load
from regrow.config.people import address, private
from regrow.config.schema import Config
from regrow.model.errors import ConfigError


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file, {})
    return error.value.problems


@pytest.mark.parametrize("repo", ["owner", "owner/", "/name", "owner/name/more", "own er/name", "-o/n", "owner/na me"])
def test_a_repository_is_owner_and_name(tmp_path: Path, repo: str) -> None:
    assert "github.repo" in problems(tmp_path, f'[github]\nrepo = "{repo}"')[0]


def test_every_contradiction_is_listed(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        '[github]\ntoken_env = "A"\ntoken_file = "t"\napi = "http://github.example.com/api"\ncooldown = 299\n',
    )
    assert len(found) == 3
    assert any("github.cooldown" in line and "299" in line for line in found)
    assert any("keep one of them" in line for line in found)
    assert any("unencrypted" in line for line in found)


@pytest.mark.parametrize(
    ("api", "words"),
    [
        ("https://me:word@github.example.com", "must not hold a token"),
        ("https://github.example.com/api?token=x", "must not hold a token"),
        ("https://[half", "no address"),
        ("https:///path", "no address"),
        ("https://host:99999", "no address"),
        ("ftp://host", "github.api"),
    ],
)
def test_an_address_of_the_api_is_one_and_holds_no_secret(tmp_path: Path, api: str, words: str) -> None:
    (found,) = problems(tmp_path, f'[github]\napi = "{api}"')
    assert words in found
    assert "word" not in found.replace("password", "")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com", True),
        ("http://example.com", False),
        ("http://localhost:8080/x", True),
        ("http://127.0.0.1", True),
        ("http://127.9.8.7:1", True),
        ("http://[::1]:3000", True),
        ("http://127.0.0.1.example.com", False),
        ("http://[::2]", False),
        ("http://", False),
    ],
)
def test_what_is_sent_is_encrypted_or_stays_here(url: str, expected: bool) -> None:
    assert private(url) is expected


def test_an_address_needs_a_host() -> None:
    assert address("https://") is None
    assert address("https://host:0") is None
    assert address("https://host:1") is not None


def test_nothing_has_to_be_set() -> None:
    assert Config().github.repo is None
    assert Config().github.label == "regrow"
