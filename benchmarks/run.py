"""Runs the benchmarks, all or those named, and prints one report in Markdown."""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
import sys

import rig_path
from machine import host

ALL = {
    "respawn": "A trivial child killed → its replacement started",
    "policy": "Policies of restart, simulated",
    "client": "Round trips of the client",
    "idle": "Idle",
    "boot": "A real gateway killed → back",
}

QUICK = {"policy": ["50"]}  # the others know the word


def main() -> int:
    """Run them one after the other: two at once would measure each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="|".join(ALL), help="all if none is named")
    parser.add_argument("--quick", action="store_true", help="few samples: shows that they run, proves little")
    args = parser.parse_args()
    unknown = set(args.names) - set(ALL)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    today = dt.datetime.now(tz=dt.UTC).date()
    print(f"# Benchmarks, {today}\n\n{host()}", flush=True)
    if args.quick:
        print("\nQuick: few samples.", flush=True)
    failed, missed = [], 0
    for name in args.names or ALL:
        script = rig_path.HERE / f"{name}.py"
        if not script.exists():
            continue
        print(f"\n## {ALL[name]}\n", flush=True)
        command = [sys.executable, str(script), *(QUICK.get(name, ["--quick"]) if args.quick else [])]
        with subprocess.Popen(command, cwd=rig_path.HERE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                missed += "MISSED" in line
        if process.returncode:
            failed.append(name)
            print(f"\n**{name} failed with {process.returncode}**", flush=True)
    print(f"\n{missed} targets missed, {len(failed)} benchmarks failed" + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
