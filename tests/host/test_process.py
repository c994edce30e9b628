"""A process is who its pid and start time say; signals reach nobody else; secrets stay out of command lines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regrow.host import process as processes
from regrow.host.process import (
    HIDDEN,
    alive,
    catches,
    command,
    environ,
    identify,
    look,
    redact_argv,
    send,
    tree,
    uid,
)
from regrow.model.gateway import Process

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def anyone(_: Process) -> bool:
    return True


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)", "--token", "s3cret"],
        env={**os.environ, "OPENCLAW_STATE_DIR": "/some/state", "OPENCLAW_GATEWAY_TOKEN": "s3cret"},
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def state_of(child: subprocess.Popen[bytes]) -> str:
    found = look(Process(pid=child.pid, started=processes.started(child.pid) or 0))
    return "" if found is None else found[0]


def await_state(child: subprocess.Popen[bytes], state: str) -> None:
    while state_of(child) != state:
        os.sched_yield()


def test_it_knows_a_live_process(sleeper: subprocess.Popen[bytes]) -> None:
    found = identify(sleeper.pid)
    assert found is not None
    assert found.pid == sleeper.pid
    assert alive(found)
    seen = look(found)
    assert seen is not None
    assert seen[0] in "RS"
    assert seen[2] > 100_000
    assert uid(found) == os.getuid()


def test_a_wrong_start_time_is_another_life(sleeper: subprocess.Popen[bytes]) -> None:
    found = identify(sleeper.pid)
    assert found is not None
    other = Process(pid=found.pid, started=found.started + 1)
    assert not alive(other)
    assert look(other) is None
    assert command(other) == []
    assert environ(other) == {}
    assert tree(other) == []
    assert uid(other) is None
    assert not send(other, signal.SIGKILL, proof=anyone)
    assert alive(found)


def test_a_zombie_is_gone_but_can_still_be_looked_at() -> None:
    child = subprocess.Popen(["/bin/sh", "-c", "exit 0"])
    begun = processes.started(child.pid)
    assert begun is not None
    await_state(child, "Z")
    ghost = Process(pid=child.pid, started=begun)
    assert identify(child.pid) is None
    assert not alive(ghost)
    assert look(ghost) is not None
    child.wait()
    assert look(ghost) is None


@linux
def test_a_thread_is_no_process() -> None:
    stop, known = threading.Event(), threading.Event()
    ids: list[int] = []

    def body() -> None:
        ids.append(threading.get_native_id())
        known.set()
        stop.wait()

    thread = threading.Thread(target=body)
    thread.start()
    try:
        known.wait()
        assert Path(f"/proc/{ids[0]}/stat").exists()
        assert identify(ids[0]) is None
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("pid", [-1, 0, 2**30])
def test_impossible_pids_are_nobody(pid: int) -> None:
    assert identify(pid) is None


def test_a_name_with_spaces_and_parentheses_does_not_confuse_it(tmp_path) -> None:
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([str(program), "600"])
    try:
        found = identify(child.pid)
        assert found is not None
        me = identify(os.getpid())
        assert me is not None
        assert found.started >= me.started
        assert look(found) is not None
    finally:
        child.kill()
        child.wait()


def test_stopped_is_seen_and_continued(sleeper: subprocess.Popen[bytes]) -> None:
    found = identify(sleeper.pid)
    assert found is not None
    assert send(found, signal.SIGSTOP, proof=anyone)
    await_state(sleeper, "T")
    assert alive(found)
    assert send(found, signal.SIGCONT, proof=anyone)
    await_state(sleeper, "S")


def test_the_signal_arrives_only_after_the_proof(sleeper: subprocess.Popen[bytes]) -> None:
    found = identify(sleeper.pid)
    assert found is not None
    assert not send(found, signal.SIGKILL, proof=lambda _: False)
    assert alive(found)
    asked: list[Process] = []
    assert send(found, signal.SIGKILL, proof=lambda it: asked.append(it) or True)
    assert asked == [found]
    assert sleeper.wait() == -signal.SIGKILL


def test_a_process_that_dies_during_the_proof_is_not_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    found = identify(sleeper.pid)
    assert found is not None

    def proof(_: Process) -> bool:
        sleeper.kill()
        sleeper.wait()
        return True

    assert not send(found, signal.SIGTERM, proof=proof)


def test_it_never_signals_itself_or_init() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert not send(me, signal.SIGTERM, proof=anyone)
    assert not send(Process(pid=1, started=0), signal.SIGTERM, proof=anyone)
    assert not send(Process(pid=-1, started=0), signal.SIGTERM, proof=anyone)


def test_without_process_handles_the_identity_still_decides(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    found = identify(sleeper.pid)
    assert found is not None
    assert not send(Process(pid=found.pid, started=found.started - 1), signal.SIGKILL, proof=anyone)
    assert not send(found, signal.SIGKILL, proof=lambda _: False)
    assert send(found, signal.SIGKILL, proof=anyone)
    assert sleeper.wait() == -signal.SIGKILL


def test_psutil_agrees_where_there_is_no_proc(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LINUX", False)
    found = identify(sleeper.pid)
    assert found is not None
    assert alive(found)
    seen = look(found)
    assert seen is not None
    assert seen[0] in "RS"
    assert command(found)[-2:] == ["--token", HIDDEN]
    assert environ(found) == environ(found, processes.PLAIN_ENVIRON)
    assert environ(found)["OPENCLAW_STATE_DIR"] == "/some/state"
    assert look(Process(pid=found.pid, started=found.started + 5)) is None
    assert processes.started(sleeper.pid) == found.started


def test_command_and_environment_keep_secrets_to_themselves(sleeper: subprocess.Popen[bytes]) -> None:
    found = identify(sleeper.pid)
    assert found is not None
    assert command(found)[-2:] == ["--token", HIDDEN]
    assert environ(found)["OPENCLAW_STATE_DIR"] == "/some/state"
    assert "s3cret" not in repr(environ(found))
    assert environ(found, ["OPENCLAW_GATEWAY_TOKEN"]) == {"OPENCLAW_GATEWAY_TOKEN": "s3cret"}


@linux
def test_it_sees_which_signals_are_caught() -> None:
    me = identify(os.getpid())
    assert me is not None
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    try:
        assert catches(me, signal.SIGUSR2) is True
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        assert catches(me, signal.SIGUSR2) is False
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert catches(Process(pid=2**30, started=0), signal.SIGUSR2) is None


def test_the_tree_holds_descendants_of_other_sessions() -> None:
    script = (
        "import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " start_new_session=True); print(c.pid, flush=True); c.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    grandchild = int(parent.stdout.readline())
    try:
        found = identify(parent.pid)
        assert found is not None
        assert [child.pid for child in tree(found)] == [grandchild]
    finally:
        os.kill(grandchild, signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
    assert tree(found) == []


words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=20)
names = st.sampled_from(
    ["--token", "--password", "--gateway-token", "-token", "--api-key", "--auth_token", "--client-secret"]
)
variables = st.sampled_from(
    ["OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_TOKEN", "ANTHROPIC_API_KEY", "--token", "--password", "--hook-token"]
)


@given(before=st.lists(words), name=names, secret=words, after=st.lists(words))
def test_the_value_after_a_secret_option_is_hidden(before, name, secret, after) -> None:
    marked = f"S:{secret}:S"
    shown = redact_argv([*before, name, marked, *after])
    assert shown == [*before, name, HIDDEN, *after]


@given(before=st.lists(words), name=variables, secret=words)
def test_a_secret_after_an_equals_sign_is_hidden(before, name, secret) -> None:
    shown = redact_argv([*before, f"{name}=S:{secret}=x:S"])
    assert shown == [*before, f"{name}={HIDDEN}"]


@given(user=words, secret=words, key=st.sampled_from(["token", "password", "auth", "TOKEN"]))
def test_secrets_in_addresses_are_hidden(user, secret, key) -> None:
    shown = redact_argv(["--url", f"ws://{user}:S-{secret}-S@host:1/p?a=1&{key}=S+{secret}+S&b=2"])
    assert f"S-{secret}-S" not in shown[1]
    assert f"S+{secret}+S" not in shown[1]
    assert "b=2" in shown[1]


def test_what_is_no_secret_is_shown() -> None:
    argv = ["node", "openclaw.mjs", "gateway", "run", "--port", "19001", "--bind=loopback", "--tokenizer", "x", "-v"]
    assert redact_argv(argv) == argv
