"""Other supervisors, each told to keep the trivial child; as far as they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

Command = tuple[list[str], dict[str, str]]


def supervisord(program: Path, root: Path) -> Command:
    """supervisor 4, its fastest legal setting."""
    (root / "s.conf").write_text(
        f"[supervisord]\nnodaemon=true\nlogfile={root}/s.log\npidfile={root}/s.pid\n"
        f"[program:child]\ncommand={program}\nstartsecs=0\nautorestart=true\n"
    )
    return ["supervisord", "-n", "-c", str(root / "s.conf")], {}


def circus(program: Path, root: Path) -> Command:
    """circus with a check delay of 0.1 s."""
    (root / "c.ini").write_text(
        f"[circus]\ncheck_delay = 0.1\nendpoint = ipc://{root}/e\npubsub_endpoint = ipc://{root}/p\n"
        f"[watcher:child]\ncmd = {program}\ncopy_env = true\n"
    )
    return ["circusd", str(root / "c.ini")], {}


def pm2(program: Path, root: Path) -> Command:
    """pm2 with its defaults."""
    (root / "p.json").write_text(f'{{"apps": [{{"name": "child", "script": "{program}", "interpreter": "none"}}]}}')
    return ["pm2", "start", str(root / "p.json"), "--no-daemon"], {"PM2_HOME": str(root / "pm2")}


def _service(root: Path, program: Path) -> Path:
    folder = root / "child"
    folder.mkdir()
    (folder / "run").write_text(f"#!/bin/sh\nexec {program}\n")
    (folder / "run").chmod(0o755)
    return folder


def runit(program: Path, root: Path) -> Command:
    """runsv with its defaults."""
    return ["runsv", str(_service(root, program))], {}


def daemontools(program: Path, root: Path) -> Command:
    """supervise with its defaults."""
    return ["supervise", str(_service(root, program))], {}


def s6(program: Path, root: Path) -> Command:
    """s6-supervise with its defaults."""
    return ["s6-supervise", str(_service(root, program))], {}


def monit(program: Path, root: Path) -> Command:
    """monit looking every second, its fastest legal setting."""
    (root / "m.rc").write_text(
        f"set daemon 1\nset pidfile {root}/monit.pid\nset statefile {root}/monit.state\nset idfile {root}/monit.id\n"
        f'check process child with pidfile {root}/child.pid\n  start program = "{root}/go"\n'
    )
    (root / "m.rc").chmod(0o600)
    (root / "go").write_text(
        f"#!/bin/sh\nSTAMP_FILE={os.environ.get('STAMP_FILE', root / 'stamps')} setsid {program} >/dev/null 2>&1 &\n"
        f"echo $! > {root}/child.pid\n"
    )
    (root / "go").chmod(0o755)
    return ["monit", "-I", "-c", str(root / "m.rc")], {}


PEERS: dict[str, tuple[str, Callable[[Path, Path], Command], str]] = {
    "daemontools": ("supervise", daemontools, "apt: daemontools"),
    "runit": ("runsv", runit, "apt: runit"),
    "s6": ("s6-supervise", s6, "apt: s6"),
    "pm2": ("pm2", pm2, "npm: pm2"),
    "circus (check_delay 0.1)": ("circusd", circus, "pip: circus"),
    "supervisord (startsecs 0)": ("supervisord", supervisord, "pip: supervisor"),
    "monit (1 s)": ("monit", monit, "apt: monit"),
}


def launch(name: str, program: Path, root: Path, stamps: Path) -> subprocess.Popen[bytes] | None:
    """Start a peer over the child in a session of its own; None if it is not installed."""
    command, configure, _ = PEERS[name]
    if shutil.which(command) is None:
        return None
    os.environ["STAMP_FILE"] = str(stamps)
    argv, env = configure(program, root)
    return subprocess.Popen(
        argv, env={**os.environ, **env, "STAMP_FILE": str(stamps)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
