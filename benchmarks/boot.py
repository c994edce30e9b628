"""A real gateway, killed → answering again: by regrow, beside its default warm boot and its boot without a cache."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import psutil

import rig_path  # noqa: F401  (first of all: it finds the rig)
from machine import Keeper, clear, family, files, wait_up
from rig.real import RealGateway

DEFAULT, UNCACHED, REGROW, SPAWN, WANTED = "default", "uncached", "regrow", "spawn", "wanted"
NAMES = {
    UNCACHED: "boot without a compile cache",
    DEFAULT: "boot as it comes (its own cache, warm)",
    REGROW: "**killed → back, by regrow**",
    SPAWN: "the same, from the spawn",
    WANTED: "**wanted restart, by `regrow restart`**",
}


Took = tuple[float, float]  # seconds to `/startupz` 200, and the CPU seconds the gateway burnt for it


def burnt(gateway: RealGateway) -> float:
    """CPU seconds of all processes of the gateway so far: they hardly depend on what else the machine does."""
    total = 0.0
    for process in family(gateway):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def plain(gateway: RealGateway, *, cached: bool) -> Took:
    """One boot as a person would start it. Its cache is in a TMPDIR that lasts."""
    env = {k: v for k, v in gateway.env.items() if k not in ("NODE_COMPILE_CACHE", "OPENCLAW_NO_RESPAWN")}
    env.pop("OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED")
    if not cached:
        env["NODE_DISABLE_COMPILE_CACHE"] = "1"
    begun = time.monotonic()
    process = subprocess.Popen(
        gateway.argv, env=env, cwd=gateway.home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        return wait_up(gateway.port) - begun, burnt(gateway)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        clear(gateway)
        process.wait()


def kept(gateway: RealGateway) -> dict[str, Took]:
    """One gateway under a fresh keeper: killed and brought back, then restarted on request."""
    home = gateway.root.parent / "regrow"
    shutil.rmtree(home, ignore_errors=True)
    keeper = Keeper(gateway, home)
    keeper.start()
    try:
        before = keeper.wait_ready()
        time.sleep(2.0)
        process = psutil.Process(before["pid"])
        begun = time.monotonic()
        process.kill()
        back = wait_up(gateway.port) - begun
        cost = burnt(gateway)
        after = keeper.wait_ready()
        found = {REGROW: (back, cost), SPAWN: (begun + back - spawned(after["pid"]), cost)}
        time.sleep(2.0)
        before_cost = burnt(gateway)
        took = restarted(gateway, keeper)
        return {**found, WANTED: (took, burnt(gateway) - before_cost)}
    finally:
        keeper.kill()
        clear(gateway)


def spawned(pid: int) -> float:
    """When a process began, on the monotonic clock (psutil knows the boot to a second only)."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age


def restarted(gateway: RealGateway, keeper: Keeper) -> float:
    """`regrow restart` → a new boot of the same process is up."""
    before = keeper.status()
    begun = time.monotonic()
    asked = keeper.ask("restart")
    if asked.returncode:
        raise SystemExit(f"the restart was not done: {(asked.stdout + asked.stderr).decode()[-2000:]}")
    wait_up(gateway.port)
    took = time.monotonic() - begun
    after = keeper.wait_ready()
    if after["bootId"] == before["bootId"] or after["pid"] != before["pid"]:
        raise SystemExit("that was no restart in place")
    return took


def say(found: dict[str, list[Took]]) -> None:
    """Print the table and what became of the targets."""
    print("| | boots | min s | median | max | CPU-s, median |\n|---|---|---|---|---|---|")
    middle: dict[str, float] = {}
    for key, name in NAMES.items():
        times, costs = [took for took, _ in found[key]], [cost for _, cost in found[key]]
        middle[key] = statistics.median(times)
        print(
            f"| {name} | {len(times)} | {min(times):.2f} | {middle[key]:.2f} | {max(times):.2f} "
            f"| {statistics.median(costs):.1f} |"
        )
    print()
    for share, of, what, limit in (
        (REGROW, DEFAULT, "killed → back against the default warm boot", 1.0),
        (REGROW, UNCACHED, "killed → back against the boot without a cache", 0.75),
        (WANTED, UNCACHED, "wanted restart against a cold boot", 0.6),
    ):
        ratio = middle[share] / middle[of]
        print(f"- target: {what} ≤ {limit:g} x → {'met' if ratio <= limit else 'MISSED'} ({ratio:.2f} x)")


def main() -> None:
    """Measure, one of each after the other, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    samples = 2 if args.quick else args.samples
    found: dict[str, list[Took]] = {key: [] for key in NAMES}
    with files() as gateway:
        Path(gateway.env["TMPDIR"]).mkdir(exist_ok=True)
        warm(gateway)
        for number in range(samples):
            found[UNCACHED].append(plain(gateway, cached=False))
            found[DEFAULT].append(plain(gateway, cached=True))
            for key, seconds in kept(gateway).items():
                found[key].append(seconds)
            if os.environ.get("BENCH_VERBOSE"):
                print(number, {key: [round(n, 2) for n in took[-1]] for key, took in found.items()}, flush=True)
    say(found)


def warm(gateway: RealGateway) -> None:
    """First boots are slower: the state is made and each cache filled, unmeasured. A cache is written at a good end."""
    plain(gateway, cached=True)
    keeper = Keeper(gateway, gateway.root.parent / "warm")
    keeper.start()
    try:
        keeper.wait_ready()
        assert keeper.process is not None
        keeper.process.terminate()
        keeper.process.wait(60)
    finally:
        keeper.kill()
        clear(gateway)


if __name__ == "__main__":
    main()
