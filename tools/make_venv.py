"""Makes a virtual environment with locked dependencies and regrow in it; needs nothing but Python itself."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1500  # seconds for one pip run: a slow network is waited for, a dead one is not


def main() -> int:
    """Make what is missing or out of date, and nothing else."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venv", type=Path, help="its directory")
    parser.add_argument("lock", help="which file of requirements/: run or test")
    parser.add_argument("--editable", action="store_true", help="use the sources in place instead of a built wheel")
    args = parser.parse_args()
    if sys.version_info < (3, 11):
        return stop(
            f"regrow needs Python 3.11 or later and this is {sys.version.split()[0]}; try: make PYTHON=python3.12 …"
        )
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        return stop("this Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv")
    venv = args.venv.absolute()
    lock = ROOT / "requirements" / f"{args.lock}.txt"
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    try:
        if not fresh(venv / ".lock", digest([lock])) or not python.exists():
            print(f"setting up {args.venv} (a minute, the first time)", flush=True)
            shutil.rmtree(venv, ignore_errors=True)
            run([sys.executable, "-m", "venv", str(venv)])
            # the lock is complete: without a resolver no newer release of anything can come between
            run([*pip(python), "install", "--no-deps", "--require-hashes", "-r", str(lock)])
            (venv / ".lock").write_text(digest([lock]))
        sources = [ROOT / "pyproject.toml", ROOT / "README.md", *sorted((ROOT / "src").rglob("*.py"))]
        wanted = "editable" if args.editable else digest(sources)
        if not fresh(venv / ".regrow", wanted):
            install_regrow(python, editable=args.editable)
            (venv / ".regrow").write_text(wanted)
    except subprocess.TimeoutExpired as error:
        return stop(f"gave up after {LIMIT} s: {' '.join(error.cmd[:6])} …")
    except subprocess.CalledProcessError as error:
        return stop(f"failed (exit {error.returncode}): {' '.join(error.cmd[:6])} …")
    return 0


def install_regrow(python: Path, *, editable: bool) -> None:
    """Install regrow: the wheel, exactly as it would be published, unless the sources shall be used in place."""
    common = [*pip(python), "install", "--no-deps", "--no-build-isolation"]
    if editable:
        run([*common, "--editable", str(ROOT)])
        return
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run([*pip(python), "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(dist), str(ROOT)])
    (wheel,) = dist.glob("regrow-*.whl")
    run([*common, "--force-reinstall", str(wheel)])


def pip(python: Path) -> list[str]:
    """The command line of the environment's own pip."""
    return [str(python), "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input"]


def run(argv: list[str]) -> None:
    """Run a command, loudly if it fails."""
    subprocess.run(argv, check=True, timeout=LIMIT, stdin=subprocess.DEVNULL, cwd=ROOT)


def fresh(stamp: Path, wanted: str) -> bool:
    """Whether a step was completed with the same inputs."""
    return stamp.exists() and stamp.read_text() == wanted


def digest(files: list[Path]) -> str:
    """Names what a step depends on, the Python included."""
    total = hashlib.sha256(sys.version.encode())
    for file in files:
        total.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


def stop(why: str) -> int:
    """Say why it cannot go on."""
    print(f"make_venv: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
