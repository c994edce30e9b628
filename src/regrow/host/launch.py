"""The command line and environment a gateway is started with, and the signal its version restarts on."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from regrow.host.process import HIDDEN, is_secret, redact_argv
from regrow.model.errors import Fatal

# A leaked marker makes the gateway believe that a service manager relaunches it: it then exits 0 and waits for ever.
# NODE_OPTIONS is meant for somebody else's Node, and the compile cache must be exactly the one chosen below.
STRIPPED = frozenset(
    {
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "SYSTEMD_EXEC_PID",
        "OPENCLAW_SYSTEMD_UNIT",
        "OPENCLAW_LAUNCHD_LABEL",
        "OPENCLAW_WINDOWS_TASK_NAME",
        "OPENCLAW_SERVICE_MARKER",
        "OPENCLAW_SERVICE_KIND",
        "LAUNCH_JOB_LABEL",
        "LAUNCH_JOB_NAME",
        "XPC_SERVICE_NAME",
        "NOTIFY_SOCKET",
        "MANAGERPID",
        "NODE_OPTIONS",
        "NODE_COMPILE_CACHE",
        "OPENCLAW_SUPERVISOR_MODE",
        "OPENCLAW_NO_RESPAWN",
    }
)
STRIPPED_PREFIXES = ("WATCHDOG_", "LISTEN_", "REGROW_")


class Launch(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Everything needed to spawn a gateway; made once by `plan`, so that a respawn has nothing to work out.

    Attributes:
        node: The Node binary.
        entry: OpenClaw's `openclaw.mjs`.
        args: What follows the entry.
        env: The whole environment, the token in it.
        cwd: The working directory.
        port: The port it will listen on.
        ignored: Variables of the user's own `env` that were not passed on, because they would break supervision.
    """

    node: Path
    entry: Path
    args: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    port: int
    ignored: tuple[str, ...] = ()

    @property
    def argv(self) -> list[str]:
        """Program and arguments."""
        return [str(self.node), str(self.entry), *self.args]

    def summary(self) -> str:
        """The command line with the variables we set, secrets removed, for people."""
        shown = [name for name in sorted(self.env) if name.startswith("OPENCLAW_") or name == "NODE_COMPILE_CACHE"]
        pairs = [f"{name}={HIDDEN if is_secret(name) else self.env[name]}" for name in shown]
        return " ".join([*pairs, *redact_argv(self.argv)])

    def __repr__(self) -> str:
        return f"<Launch {self.summary()}>"


def plan(
    node: Path,
    entry: Path,
    *,
    port: int,
    state_dir: Path,
    cache_dir: Path,
    config_path: Path | None = None,
    token: str | None = None,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    inherited: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    allow_unconfigured: bool = False,
    external: bool = False,
) -> Launch:
    """Work out how to start a gateway.

    Args:
        node: The Node binary.
        entry: OpenClaw's `openclaw.mjs`.
        port: The port to listen on; `--port` in `args` wins.
        state_dir: The gateway's state directory.
        cache_dir: Where the compile cache may live, on a disk that lasts.
        config_path: Its configuration file; `openclaw.json` in the state directory if None.
        token: The gateway's token, passed by environment only; None leaves it to the configuration.
        args: The user's own arguments, appended.
        env: The user's own variables; they win, except over what would break supervision.
        inherited: Our environment, unless told.
        cwd: The working directory; the state directory's parent if None.
        allow_unconfigured: Start although the configuration does not say `gateway.mode`.
        external: Speak the gateway's external-supervisor contract: it exits for a restart and we relaunch it.

    Raises:
        Fatal: `--port` in `args` is not a port.
    """
    own = dict(env or {})
    base = dict(os.environ if inherited is None else inherited)
    ignored = tuple(sorted(name for name in own if _is_stripped(name)))
    merged = {name: value for name, value in base.items() if not _is_stripped(name)}
    merged.pop("OPENCLAW_GATEWAY_PORT", None)  # of the shell we were started from; the argument decides
    merged |= {
        "OPENCLAW_STATE_DIR": str(state_dir),
        "OPENCLAW_CONFIG_PATH": str(config_path or state_dir / "openclaw.json"),
        # this exact directory and this flag keep OpenClaw's start script from re-executing itself:
        # the process we spawn is the gateway, not a launcher above it
        "NODE_COMPILE_CACHE": str(compile_cache(entry, cache_dir)),
        "OPENCLAW_PACKAGED_COMPILE_CACHE_RESPAWNED": "1",
    }
    merged["PATH"] = _search_path(merged.get("PATH", ""), node)
    merged |= {"OPENCLAW_SUPERVISOR_MODE": "external"} if external else {"OPENCLAW_NO_RESPAWN": "1"}
    if token is not None:
        merged["OPENCLAW_GATEWAY_TOKEN"] = token
    merged |= {name: value for name, value in own.items() if not _is_stripped(name)}
    line = ["gateway", "run"]
    wanted = _option(args, "--port")
    if wanted is None:
        line += ["--port", str(port)]
    elif not wanted.isdecimal() or not 0 < int(wanted) < 65536:
        raise Fatal(f"gateway.args: --port {wanted!r} is not a port")
    if _option(args, "--bind") is None:
        line += ["--bind", "loopback"]
    if allow_unconfigured and "--allow-unconfigured" not in args:
        line.append("--allow-unconfigured")
    return Launch(
        node=node,
        entry=entry,
        args=(*line, *args),
        env=merged,
        cwd=cwd or state_dir.parent,
        port=port if wanted is None else int(wanted),
        ignored=ignored,
    )


def compile_cache(entry: Path, cache_dir: Path) -> Path:
    """A compile cache directory of its own for this very installation; Node adds its own version below it."""
    package = entry.parent / "package.json"
    try:
        status = package.stat()
        marker = f"{status.st_mtime_ns // 1_000_000}-{status.st_size}"
    except OSError:
        marker = "no-package-json"
    return cache_dir / "node-compile-cache" / "openclaw" / _segment(package_version(entry) or "unknown") / marker


class _Package(Struct):
    version: str


def package_version(entry: Path) -> str | None:
    """The version of the installation this entry belongs to, or None if it does not say."""
    try:
        return msgspec.json.decode((entry.parent / "package.json").read_bytes(), type=_Package).version.strip() or None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


_VERSION = re.compile(r"^v?(\d{4})\.(\d{1,2})\.(\d{1,3})(?:[-+.]|$)")
_LAST_USR1 = (2026, 9)  # releases before September 2026 all restart on SIGUSR1
_FIRST_USR2 = (2026, 9, 6)  # the first release known to restart on SIGUSR2, and to open a debugger on SIGUSR1


def restart_signal(version: str | None) -> signal.Signals | None:
    """The signal on which a gateway of this version restarts inside its process, or None if that is not known.

    The wrong one is worse than none: SIGUSR1 opens an unauthenticated debugger on current versions, and SIGUSR2
    ends a process that has no handler for it. In between, and before 2026, ask over RPC instead.
    """
    if sys.platform == "win32":
        return None
    found = _VERSION.match(version or "")
    if found is None:
        return None
    year, month, patch = (int(part) for part in found.groups())
    if (year, month, patch) == _FIRST_USR2 and re.search(r"-[a-z]", version or ""):
        return None  # a pre-release of the release that changed; `-1` is a later packing of the same
    if (year, month, patch) >= _FIRST_USR2:
        return signal.SIGUSR2
    if (2026, 1) <= (year, month) < _LAST_USR1:
        return signal.SIGUSR1
    return None


def _search_path(path: str, node: Path) -> str:
    """The same search path, ending where this Node and its npm are: a managed Node is on nobody's path."""
    parts = [part for part in path.split(os.pathsep) if part] or os.defpath.split(os.pathsep)
    folder = str(node.parent)
    return os.pathsep.join(parts if folder in parts or folder == "." else [*parts, folder])


def _is_stripped(name: str) -> bool:
    return name.upper() in STRIPPED or name.upper().startswith(STRIPPED_PREFIXES)


def _option(args: Sequence[str], name: str) -> str | None:
    """The value of `--name value` or `--name=value`; "" if it is there without one."""
    for index, part in enumerate(args):
        if part == name:
            return args[index + 1] if index + 1 < len(args) else ""
        if part.startswith(f"{name}="):
            return part.partition("=")[2]
    return None


def _segment(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("_") or "unknown"
