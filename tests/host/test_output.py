"""Outputs are private, rotated at each start, cut when they grow too big, and read without losing a line."""

from __future__ import annotations

import os
import stat
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regrow.host.output import KEEP, LINE_CAP, Tail, create, last_lines, plain


def block_rotation(folder: Path) -> None:
    """The old file cannot be moved aside, so it is appended to."""
    for number in range(1, KEEP):
        (folder / f"x.log.{number}" / "full").mkdir(parents=True)


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_each_start_gets_a_fresh_private_file_and_five_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "gateway.log"
    for number in range(KEEP + 3):
        handle = create(log)
        os.write(handle, f"life {number}\n".encode())
        os.close(handle)
    kept = sorted(path.name for path in log.parent.iterdir())
    assert kept == ["gateway.log", *(f"gateway.log.{n}" for n in range(1, KEEP))]
    assert log.read_text() == f"life {KEEP + 2}\n"
    assert log.with_name("gateway.log.4").read_text() == f"life {KEEP - 2}\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_a_file_left_readable_to_others_is_closed_to_them(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    block_rotation(tmp_path)
    log.write_text("old\n")
    log.chmod(0o644)
    os.close(create(log))
    assert log.read_text() == "old\n"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_it_does_not_follow_a_link(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep me")
    block_rotation(tmp_path)
    (tmp_path / "x.log").symlink_to(target)
    with pytest.raises(OSError, match="ymbolic link"):
        create(tmp_path / "x.log")
    assert target.read_text() == "keep me"


lines = st.lists(st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"").replace(b"\x1b", b"").rstrip(b"\r")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=lines, cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_every_line_comes_once_however_it_was_written(tmp_path: Path, content: list[bytes], cuts: list[int]) -> None:
    path = tmp_path / "tail.log"
    path.unlink(missing_ok=True)
    raw = b"".join(line + b"\n" for line in content)
    tail = Tail(path)
    got: list[str] = []
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    for start, end in pairwise(edges):
        write(path, raw[start:end])
        got += tail.read()
    tail.close()
    assert got == [plain(line) for line in content]


def test_an_unfinished_last_line_comes_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    write(path, b"one\ntw")
    tail = Tail(path)
    assert list(tail.read()) == ["one"]
    assert list(tail.read()) == []
    assert list(tail.read(final=True)) == ["tw"]
    assert list(tail.read(final=True)) == []
    tail.close()


@pytest.mark.parametrize(
    ("backlog", "expected"), [(0, ["new"]), (4, ["two", "new"]), (6, ["two", "new"]), (999, ["one", "two", "new"])]
)
def test_a_backlog_begins_with_a_whole_line(tmp_path: Path, backlog: int, expected: list[str]) -> None:
    path = tmp_path / "x.log"
    write(path, b"one\ntwo\n")
    tail = Tail(path, backlog=backlog)
    first = list(tail.read())
    write(path, b"new\n")
    assert first + list(tail.read()) == expected
    tail.close()


def test_a_line_without_end_is_given_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    write(path, b"x" * (LINE_CAP * 6))
    tail = Tail(path)
    pieces = list(tail.read(final=True))
    assert pieces
    assert all(len(piece) <= LINE_CAP for piece in pieces)
    write(path, b"\nafter\n")
    assert list(tail.read())[-1] == "after"
    tail.close()


def test_an_oversized_file_is_cut_once_it_has_been_read(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    writer = create(path)
    tail = Tail(path)
    os.write(writer, b"a" * 500 + b"\nlast words\n")
    assert not tail.cut(cap=100), "not read yet"
    assert list(tail.read())[-1] == "last words"
    assert not tail.cut(cap=100_000), "not too big"
    assert tail.cut(cap=100)
    assert path.stat().st_size == 0
    assert (tmp_path / "x.log.1").read_bytes().endswith(b"last words\n")
    assert stat.S_IMODE((tmp_path / "x.log.1").stat().st_mode) == 0o600
    os.write(writer, b"life goes on\n")
    assert list(tail.read()) == ["life goes on"]
    os.close(writer)
    tail.close()


def test_somebody_elses_cut_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    write(path, b"a long first line\n")
    tail = Tail(path)
    list(tail.read())
    path.write_bytes(b"short\n")
    assert list(tail.read()) == ["short"]
    tail.close()


def test_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    assert last_lines(path) == ()
    assert last_lines(tmp_path) == ()
    write(path, b"".join(f"line {n}\n\n".encode() for n in range(100_000)))
    assert last_lines(path, 2) == ("line 99998", "line 99999")


def test_colours_go_and_broken_text_stays_readable() -> None:
    assert plain(b"\x1b[36m[gateway]\x1b[0m \x1b]8;;http://x\x07ready\x1b]8;;\x07\r") == "[gateway] ready"
    assert plain(b"\xff\xfeok") == "\ufffd\ufffdok"
