"""Whatever listens at the keeper's socket, the asking side ends with an answer or one clear sentence."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow.serve.client import LONGEST, NoAnswer, NotRunning, ask, one


@contextlib.contextmanager
def peer(path: Path, answer: bytes, *, hold: bool = False) -> Iterator[None]:
    """Something that takes one call, says this, and hangs up (or with `hold` stays silent)."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    done = threading.Event()

    def talk() -> None:
        with contextlib.suppress(OSError):
            line, _ = listener.accept()
            with line:
                line.recv(65536)
                line.sendall(answer)
                if hold:
                    done.wait(10)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        done.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("answer", [b"garbage\n", b"[1]\n", b"\xff\n", b"null\n", b'"x"\n', b"HTTP/1.1 400\r\n"])
def test_what_is_no_keeper_is_called_so(tmp_path: Path, answer: bytes) -> None:
    with peer(tmp_path / "s", answer), pytest.raises(NoAnswer, match="is no keeper"):
        one(tmp_path / "s", {"op": "status"})


def test_a_place_others_can_write_to_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    with peer(folder / "s", b'{"ok": true}\n'):
        with pytest.raises(NotRunning, match="others can write"):
            one(folder / "s", {"op": "status"})
        folder.chmod(0o755)
        assert one(folder / "s", {"op": "status"}) == {"ok": True}


def test_an_answer_cut_short_is_none(tmp_path: Path) -> None:
    with peer(tmp_path / "s", b'{"ok": tr'), pytest.raises(NoAnswer, match="middle of an answer"):
        one(tmp_path / "s", {"op": "status"})


def test_no_answer_at_all_is_told(tmp_path: Path) -> None:
    with peer(tmp_path / "s", b""), pytest.raises(NoAnswer, match="without an answer"):
        one(tmp_path / "s", {"op": "status"})


def test_a_silent_peer_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with peer(tmp_path / "s", b"", hold=True), pytest.raises(NoAnswer, match="has not answered"):
        one(tmp_path / "s", {"op": "status"}, patience=0.05)


def test_a_stream_gives_what_came_before_the_silence(tmp_path: Path) -> None:
    with peer(tmp_path / "s", b'{"event": {"id": 1}}\n', hold=True):
        answers = ask(tmp_path / "s", {"op": "events"}, patience=0.2)
        assert next(answers) == {"event": {"id": 1}}
        with pytest.raises(NoAnswer):
            next(answers)


def test_a_stream_ends_with_its_peer(tmp_path: Path) -> None:
    with peer(tmp_path / "s", b'{"a": 1}\n{"a": 2}\n'):
        assert list(ask(tmp_path / "s", {"op": "events"})) == [{"a": 1}, {"a": 2}]


def test_a_line_without_end_is_not_swallowed_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LONGEST < 1 << 30
    monkeypatch.setattr("regrow.serve.client.LONGEST", 1000)
    with peer(tmp_path / "s", b"x" * 5000), pytest.raises(NoAnswer, match="middle of an answer"):
        one(tmp_path / "s", {"op": "status"})


def test_nobody_there_names_the_next_step(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "no" / "such" / "place"):
        with pytest.raises(NotRunning, match="regrow run"):
            one(path, {"op": "status"})
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "dead"))
    left.close()
    with pytest.raises(NotRunning, match="no keeper is running"):
        one(tmp_path / "dead", {"op": "status"})
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotRunning, match=str(tmp_path / "file")):
        one(tmp_path / "file", {"op": "status"})


def test_a_path_too_long_for_a_socket_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="cannot reach"):
        one(tmp_path / ("x" * 200), {"op": "status"})
