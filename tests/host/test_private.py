"""Small files of ours: private whatever lay there, whole or as they were, whoever writes at the same time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from regrow.host.private import write_private


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_private_even_where_a_wider_one_lay(tmp_path: Path, *, durable: bool) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new", durable=durable)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    assert [found.name for found in tmp_path.iterdir()] == ["token"]


def test_a_link_in_its_place_is_replaced_and_what_it_leads_to_left_alone(tmp_path: Path) -> None:
    theirs, path = tmp_path / "theirs", tmp_path / "token"
    theirs.write_text("theirs")
    path.symlink_to(theirs)
    write_private(path, b"ours")
    assert (theirs.read_text(), path.read_text(), path.is_symlink()) == ("theirs", "ours", False)


def test_what_does_not_fit_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    write_private(path, b"old")
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: real(handle, content[:2]))  # as a disk that gets full does
    with pytest.raises(OSError, match="No space left"):
        write_private(path, b"newer")
    assert (path.read_bytes(), [found.name for found in tmp_path.iterdir()]) == (b"old", ["token"])


def test_several_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    contents = [bytes([65 + number]) * 5000 for number in range(8)]

    def write(content: bytes) -> None:
        for _ in range(20):
            write_private(path, content)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_bytes() in contents
    assert [found.name for found in tmp_path.iterdir()] == ["token"]
