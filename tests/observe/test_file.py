"""Whatever may lie where openclaw.json should be."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from regrow.observe.file import CAP, read_config, signature


def write(tmp_path: Path, raw: bytes) -> Path:
    path = tmp_path / "openclaw.json"
    path.write_bytes(raw)
    return path


def test_json5_is_read(tmp_path: Path) -> None:
    raw = b"\xef\xbb\xbf{gateway: {mode: 'local'}, /* so */ x: [1, 2,],}"
    found = read_config(write(tmp_path, raw))
    assert (found.parsed, found.problems, found.missing, found.includes) == (True, (), False, False)
    assert found.data == {"gateway": {"mode": "local"}, "x": [1, 2]}
    assert found.digest == hashlib.sha256(raw).hexdigest()


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b'{"a": {', "it ends too early: line 1, column 7"),
        (b'{\n  "a": 1,\n  "token": @hunter2\n}', "it is not JSON5: line 3"),
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"[1]", "it holds no object"),
        (b"\xff\xfe{\x00", "it is not UTF-8"),
        (b'{"a":' * 5000, "it is not JSON5"),
        (b"{} {}", "it is not JSON5"),
    ],
)
def test_what_is_wrong_is_said_without_quoting(tmp_path: Path, raw: bytes, problem: str) -> None:
    found = read_config(write(tmp_path, raw))
    assert not found.parsed
    assert found.digest == hashlib.sha256(raw).hexdigest()
    assert len(found.problems) == 1
    assert problem in found.problems[0]
    assert "hunter2" not in found.problems[0]


def test_no_file(tmp_path: Path) -> None:
    found = read_config(tmp_path / "gone" / "openclaw.json")
    assert (found.missing, found.parsed, found.digest) == (True, False, "")


@pytest.mark.parametrize("kind", ["pipe", "directory", "loop"])
def test_what_is_no_file_is_unknown(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "openclaw.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(path)
    found = read_config(path)
    assert (found.parsed, found.data, found.digest, found.missing) == (True, None, "", False)
    assert "cannot be read" in found.problems[0]


def test_a_huge_file_is_named_and_not_parsed(tmp_path: Path) -> None:
    raw = b"{" + b" " * (CAP + 5) + b"}"
    found = read_config(write(tmp_path, raw))
    assert (found.parsed, found.data) == (True, None)
    assert found.digest == hashlib.sha256(raw).hexdigest()
    assert "larger than" in found.problems[0]


def test_copies_put_aside_are_seen(tmp_path: Path) -> None:
    path = write(tmp_path, b"{}")
    for name in ("openclaw.json.bak", "openclaw.json.clobbered.2026", "openclaw.json.rejected.7", "other.clobbered.1"):
        (tmp_path / name).touch()
    assert read_config(path).clobbered == ("openclaw.json.clobbered.2026", "openclaw.json.rejected.7")


def test_included_files_belong_to_it(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"gateway": {"$include": "./gateway.json5"}}')
    without = read_config(path)
    part = tmp_path / "gateway.json5"
    seen = [signature(path, without.parts)]
    part.write_text("{mode: 'local'}")
    seen.append(signature(path, without.parts))
    found = read_config(path)
    assert (found.includes, found.parts, found.data) == (True, (part,), {"gateway": {"mode": "local"}})
    assert found.own == without.own == hashlib.sha256(path.read_bytes()).hexdigest()
    part.write_text("{mode: 'remote'}")
    seen.append(signature(path, found.parts))
    assert len({without.digest, found.digest, read_config(path).digest}) == 3
    assert len(set(seen)) == 3
    assert read_config(write(tmp_path, b'{"$include": ')).includes, "broken, and perhaps composed"


def test_a_signature_follows_links_renames_and_neighbours(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "real.json"
    target.parent.mkdir()
    target.write_text("{}")
    home = tmp_path / "home"
    home.mkdir()
    path = home / "openclaw.json"
    path.symlink_to(target)
    seen = [signature(path)]
    target.write_text("{a: 1}")
    seen.append(signature(path))
    fresh = target.with_name("fresh")
    fresh.write_text("{a: 2}")
    fresh.replace(target)
    seen.append(signature(path))
    time.sleep(0.01)  # the clock of the file system is coarse
    (home / "openclaw.json.clobbered.1").touch()
    seen.append(signature(path))
    path.unlink()
    seen.append(signature(path))
    assert len(set(seen)) == 5
    assert signature(path) == seen[-1]
