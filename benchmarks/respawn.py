"""SIGKILL of a trivial child → its replacement runs: regrow beside other supervisors, in the same run."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rig_path
from peers import PEERS, launch
from rig.programs import ChildProgram

TARGET = 2.0
SETTLE = 1.3  # those that count short lives as failures shall not


def build(root: Path) -> Path:
    """Compile the child."""
    program = root / "stamp"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("a C compiler is needed: apt install gcc")
    source = str(rig_path.HERE / "stamp.c")
    subprocess.run([compiler, "-O2", "-static", "-D_GNU_SOURCE", "-o", str(program), source], check=True)
    return program


def read(stamps: Path) -> list[tuple[int, float]]:
    """(pid, monotonic seconds) of every start so far."""
    if not stamps.exists():
        return []
    return [(int(a), float(b)) for a, b in (line.split() for line in stamps.read_text().splitlines())]


def wait_for(stamps: Path, count: int, within: float) -> tuple[int, float]:
    """The newest start once there are `count`."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        found = read(stamps)
        if len(found) >= count:
            return found[-1]
        time.sleep(0.02)  # seldom: both cores belong to the supervisor and its child
    raise TimeoutError(f"the child was not started {count} times within {within:.0f} s")


def kill_and_time(stamps: Path, within: float) -> float:
    """Kill the newest child; milliseconds until the next one runs."""
    count = len(read(stamps))
    pid = read(stamps)[-1][0]
    before = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return (wait_for(stamps, count + 1, within)[1] - before) * 1000


def end(process: subprocess.Popen[bytes], stamps: Path) -> None:
    """End a supervisor without its consent, then the child it kept."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pid, _ in read(stamps)[-2:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def peer(name: str, program: Path, samples: int) -> list[float] | None:
    """Milliseconds for another supervisor; None if it is not installed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        stamps = root / "stamps"
        supervisor = launch(name, program, root, stamps)
        if supervisor is None:
            return None
        try:
            wait_for(stamps, 1, 20)
            times = []
            for _ in range(samples):
                time.sleep(SETTLE)
                times.append(kill_and_time(stamps, 20))
        except TimeoutError:
            return []
        else:
            return times
        finally:
            end(supervisor, stamps)


def keeper(root: Path, child: ChildProgram, program: Path, stamps: Path) -> subprocess.Popen[bytes]:
    """`regrow run` with everything it usually does; the state, and what it remembers, are new."""
    shutil.rmtree(child.state_dir)
    child.state_dir.mkdir(parents=True, mode=0o700)
    child.write_config({"gateway": {"mode": "local", "bind": "loopback", "port": child.port}})
    settings = root / "config.toml"
    settings.write_text(
        f'[gateway]\nmode = "own"\nstate_dir = "{child.state_dir}"\nport = {child.port}\nentry = "{child.entry}"\n'
        f'node = "{program}"\n'
    )
    names = {"HOME": child.home, "REGROW_HOME": root / "regrow", "STAMP_FILE": stamps}
    return subprocess.Popen(
        [sys.executable, "-m", "regrow", "run", "--config", str(settings)], cwd=root, start_new_session=True,
        env={**os.environ, **{name: str(value) for name, value in names.items()}},
        stdin=subprocess.DEVNULL, stdout=(root / "said").open("wb"), stderr=subprocess.STDOUT,
    )  # fmt: skip


def wait_served(root: Path, within: float) -> None:
    """Wait until the keeper says that its gateway is ready."""
    end = time.monotonic() + within
    while "ready" not in (root / "said").read_text():
        if time.monotonic() > end:
            raise TimeoutError((root / "said").read_text())
        time.sleep(0.1)


def ours(child: ChildProgram, program: Path, samples: int) -> list[float]:
    """Milliseconds for the whole keeper, journal and all: each sample is the first crash after a good life."""
    times = []
    for _ in range(samples):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            root = Path(folder)
            stamps = root / "stamps"
            process = keeper(root, child, program, stamps)
            try:
                wait_served(root, 40)  # a package written just now counts as an update under way for 20 s
                time.sleep(SETTLE)
                times.append(kill_and_time(stamps, 20))
            finally:
                end(process, stamps)
    return times


def row(name: str, times: list[float] | None, hint: str = "") -> str:
    """One line of the table."""
    if times is None:
        return f"| {name} | not installed ({hint}) | | | |"
    if not times:
        return f"| {name} | did not restart it within 20 s | | | |"
    ordered = sorted(times)
    p90 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]
    return f"| {name} | {ordered[0]:.1f} | **{statistics.median(ordered):.1f}** | {p90:.1f} | {ordered[-1]:.1f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", help="one name of the table, or regrow")
    args = parser.parse_args()
    samples = 5 if args.quick else args.samples
    with tempfile.TemporaryDirectory() as folder:
        program, child = build(Path(folder)), ChildProgram(Path(folder) / "package")
        print("| supervisor | min ms | median | p90 | max |\n|---|---|---|---|---|")
        for name, (_, _, hint) in PEERS.items():
            if args.only in (None, name):
                print(row(name, peer(name, program, min(samples, 10)), hint), flush=True)
        if args.only in (None, "regrow"):
            mine = ours(child, program, samples)
            print(row("**regrow** (`regrow run`, journal and all)", mine), flush=True)
            median = statistics.median(mine)
            print(f"\n- target: median ≤ {TARGET:g} ms → {'met' if median <= TARGET else 'MISSED'} ({median:.2f} ms)")


if __name__ == "__main__":
    main()
