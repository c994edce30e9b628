"""What regrow costs when nothing happens: memory and CPU beside a real gateway, `regrow status`, `import regrow`."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import psutil

import rig_path  # noqa: F401  (first of all: it finds the rig)
from machine import Keeper, files


def cpu(process: psutil.Process) -> float:
    """CPU seconds of it and what it reaped."""
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def timed(argv: list[str], **options: object) -> float:
    """Wall milliseconds of one command."""
    begun = time.monotonic()
    subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, **options)  # type: ignore[call-overload]
    return (time.monotonic() - begun) * 1000


def line(what: str, found: float, unit: str, target: float | None) -> None:
    """One line of the table."""
    verdict = "" if target is None else f"≤ {target:g} {unit} | {'met' if found <= target else 'MISSED'}"
    print(f"| {what} | {found:.2f} {unit} | {verdict or '| '} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    seconds, times = (15.0, 8) if args.quick else (args.seconds, 20)
    print("| | found | target | |\n|---|---|---|---|")
    bare = statistics.median(timed([sys.executable, "-c", "pass"]) for _ in range(times))
    full = statistics.median(timed([sys.executable, "-c", "import regrow"]) for _ in range(times))
    client = statistics.median(timed([sys.executable, "-c", "from regrow import GatewayClient"]) for _ in range(times))
    line("bare Python, wall", bare, "ms", None)
    line("`import regrow`, beyond bare Python", full - bare, "ms", 60)
    line("`from regrow import GatewayClient`, beyond bare Python", client - bare, "ms", None)
    with files() as gateway:
        keeper = Keeper(gateway, gateway.root.parent / "regrow")
        keeper.start()
        try:
            keeper.wait_ready()
            assert keeper.process is not None
            process = psutil.Process(keeper.process.pid)
            walls = [timed(keeper.argv("status"), env=keeper.env, cwd=keeper.home) for _ in range(times)]
            line("`regrow status`, wall", statistics.median(walls), "ms", 150)
            time.sleep(5)
            begun, before = time.monotonic(), cpu(process)
            time.sleep(seconds)
            share = (cpu(process) - before) / (time.monotonic() - begun) * 100
            line(f"keeper idle for {seconds:.0f} s, of one core", share, "%", 0.3)
            memory = process.memory_full_info()
            line("keeper, RSS", memory.rss / 2**20, "MB", 60)
            line("keeper, PSS", memory.pss / 2**20, "MB", None)
        finally:
            keeper.kill()


if __name__ == "__main__":
    main()
