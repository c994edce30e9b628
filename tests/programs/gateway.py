"""A gateway process for supervision tests: behaves like OpenClaw's, boots in a fraction of a second, fails on demand.

Run as `node openclaw.mjs gateway run --port N`, where `node` is a wrapper around this Python. What each boot does is
read from `script.json` in the state directory: a list of `Boot` tables, the last one for ever; see `rig.programs`.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

STATE = Path(os.environ.get("OPENCLAW_STATE_DIR", str(Path.home() / ".openclaw")))
CONFIG = Path(os.environ.get("OPENCLAW_CONFIG_PATH", str(STATE / "openclaw.json")))


def say(text: str, *, error: bool = False) -> None:
    """Print a line as the gateway does: time, colour and all."""
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    (sys.stderr if error else sys.stdout).write(f"\x1b[90m{at}\x1b[39m \x1b[36m[gateway]\x1b[39m {text}\n")
    (sys.stderr if error else sys.stdout).flush()


def problems() -> list[dict[str, str]] | None:
    """What is wrong with the configuration; None if there is none."""
    try:
        import pyjson5

        config = pyjson5.decode(CONFIG.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return [{"path": "", "message": f"JSON5 parse failed: {error}"}]
    if not isinstance(config, dict):
        return [{"path": "", "message": "Expected object"}]
    bad = [("", key) for key in config if key.startswith("bogus")]
    gateway = config.get("gateway", {})
    bad += [("gateway", key) for key in gateway if key.startswith("bogus")]
    return [{"path": path, "message": f'Unrecognized key: "{key}"'} for path, key in bad]


def started(pid: int | str) -> int | None:
    """A process's start time in clock ticks, None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Lock:
    """The gateway's lock on its state directory, in its own format: JSON padded with blanks, left behind by a kill."""

    def __init__(self, port: int) -> None:
        folder = STATE / "tmp" / f"openclaw-{os.getuid()}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest = hashlib.sha256(os.fsencode(CONFIG)).hexdigest()[:8]
        self.files = [folder / "gateway.state.lock", folder / f"gateway.{digest}.lock"]
        self.port = port

    def holder(self) -> int | None:
        """Another live gateway that holds it."""
        try:
            said = json.loads(self.files[0].read_text().strip())
        except (OSError, ValueError):
            return None
        pid = said.get("pid")
        return pid if pid != os.getpid() and started(pid) == said.get("startTime") is not None else None

    def take(self) -> None:
        """Write both files."""
        payload = {
            "pid": os.getpid(),
            "ownerId": f"fake-{os.getpid()}",
            "createdAt": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "configPath": str(CONFIG),
            "stateDir": str(STATE),
            "port": self.port,
            "startTime": started("self"),
        }
        for file in self.files:
            file.write_text(json.dumps(payload).ljust(600) + "\n")
            file.chmod(0o600)

    def drop(self) -> None:
        """Remove both files."""
        for file in self.files:
            file.unlink(missing_ok=True)


def this_boot() -> dict[str, Any]:
    """What the script says about this boot, which is noted."""
    try:
        script = json.loads((STATE / "script.json").read_text())
    except (OSError, ValueError):
        script = [{}]
    notes = STATE / "boots.jsonl"
    count = len(notes.read_text().splitlines()) if notes.exists() else 0
    kept = {key: value for key, value in os.environ.items() if "TOKEN" not in key}
    with notes.open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "at": time.time(), "argv": sys.argv[1:], "env": kept}) + "\n")
    boot: dict[str, Any] = script[min(count, len(script) - 1)]
    return boot


def leave(code: int, words: str) -> NoReturn:
    """End with last words."""
    say(words, error=True)
    raise SystemExit(code)


async def serve(port: int, boot: dict[str, Any]) -> int:
    """Listen until told to end; give the exit code."""
    gateway = _gateway(port, boot)
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work = _obey(gateway, boot, ended)
    try:
        async with gateway:
            say(f"http server listening (0 plugins; {boot.get('before', 0):.1f}s)")
            await gateway.wait_for("ready")
            say("ready")
            loop = asyncio.get_running_loop()
            faults = [loop.call_later(boot[key], act) for key, act in _faults(boot, ended).items() if key in boot]
            code = await ended
            for timer in faults:
                timer.cancel()
            for task in work:
                task.cancel()
    except OSError as error:
        leave(1, f"another gateway instance is already listening on ws://127.0.0.1:{port}: {error}")
    return code


def _gateway(port: int, boot: dict[str, Any]) -> Any:
    from regrow.testing import FakeGateway

    class Gateway(FakeGateway):
        """Valid is what lies on disk."""

        @property
        def config_valid(self) -> bool:
            return not problems()

        @config_valid.setter
        def config_valid(self, _: bool) -> None:
            return

    gateway = Gateway(
        token=os.environ.get("OPENCLAW_GATEWAY_TOKEN"), port=port, protocol=boot.get("protocol", 4),
        version=boot.get("version"), state_dir=str(STATE), boot_time=boot.get("boot", 0.0),
        restart_time=boot.get("restart", 0.05), tick=boot.get("tick", 30.0),
    )  # fmt: skip
    for method, answer in boot.get("answers", {}).items():
        gateway.on(method, answer)
    gateway.active_work = boot.get("active", 0)
    gateway.suppressed = tuple(boot.get("suppressed", ()))
    return gateway


def _obey(gateway: Any, boot: dict[str, Any], ended: asyncio.Future[int]) -> set[asyncio.Task[None]]:
    """Do on each signal what a gateway of this version does; the set holds what is under way."""
    loop = asyncio.get_running_loop()
    work: set[asyncio.Task[None]] = set()

    def on(number: signal.Signals, act: Any) -> None:
        def run() -> None:
            task = loop.create_task(act(number))
            work.add(task)
            task.add_done_callback(work.discard)

        loop.add_signal_handler(number, run)

    async def terminate(number: signal.Signals) -> None:
        say(f"signal {number.name} received")
        if boot.get("ignore_term"):
            return
        loop.add_signal_handler(number, lambda: say(f"received {number.name} during shutdown; ignoring"))
        await gateway.emit("shutdown", {"reason": "gateway stopping", "restartExpectedMs": None})
        takes = boot.get("term_takes", 0.0)
        if takes:
            await gateway.become("draining")
            await asyncio.sleep(takes)
        if not ended.done():
            ended.set_result(boot.get("term_code", 0))

    busy = asyncio.Lock()

    async def restart(number: signal.Signals) -> None:
        if busy.locked():
            say(f"received {number.name} during restart; ignoring")
            return
        async with busy:
            await restart_once(number)

    async def restart_once(number: signal.Signals) -> None:
        say(f"signal {number.name} received; restarting")
        if boot.get("zombie_on_restart"):
            await gateway.become("zombie")
            say("startup failed: scripted. Process will stay alive; fix the issue and restart.", error=True)
            return
        await gateway.restart()
        if problems():
            say("startup failed: Invalid config. Process will stay alive; fix the issue and restart.", error=True)

    async def debugger(_: signal.Signals) -> None:
        sys.stderr.write("Debugger listening on ws://127.0.0.1:9229/scripted\n")
        sys.stderr.flush()

    old = boot.get("protocol", 4) < 4
    on(signal.SIGTERM, terminate)
    on(signal.SIGINT, terminate)
    on(signal.SIGUSR1, restart if old else debugger)
    if not old:
        on(signal.SIGUSR2, restart)
    return work


def _faults(boot: dict[str, Any], ended: asyncio.Future[int]) -> dict[str, Any]:
    def hang() -> None:
        time.sleep(boot.get("hang_for", 1e6))

    def die() -> None:
        os.kill(os.getpid(), boot.get("exit_signal", signal.SIGKILL))

    def end() -> None:
        for line in boot.get("last_words", ()):
            sys.stderr.write(line + "\n")
        sys.stderr.flush()
        if not ended.done():
            ended.set_result(boot.get("exit_code", 1))

    return {"exit_after": end, "hang_after": hang, "signal_after": die}


def run(port: int) -> int:
    """Boot."""
    boot = this_boot()
    say("loading configuration…")
    for line in boot.get("says", ()):
        sys.stderr.write(line + "\n")
    sys.stderr.flush()
    lock = Lock(port)
    holder = lock.holder()
    if holder:
        if boot.get("protocol", 4) < 4:
            leave(0, f"gateway already running (pid {holder}); lock timeout after 5000ms")
        leave(78, "Doctor could not enter maintenance. another OpenClaw process owns gateway-lifecycle")
    if boot.get("reverts"):
        CONFIG.rename(CONFIG.with_name(f"{CONFIG.name}.clobbered.2026-11-25T00-00-00Z"))
        CONFIG.write_text(boot["reverts"])
        say(f"Config auto-restored from backup: {CONFIG} (missing-meta-vs-last-good)", error=True)
    wrong = problems()
    if wrong or wrong is None:
        leave(1 if boot.get("protocol", 4) < 4 else 78, f"Invalid config at {CONFIG}: {wrong}")
    if "exit_code" in boot and "exit_after" not in boot:
        leave(boot["exit_code"], "\n".join(boot.get("last_words", ["scripted end"])))
    lock.take()
    if boot.get("child"):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    time.sleep(boot.get("before", 0.0))
    if boot.get("no_listener"):
        while True:
            signal.pause()
    code = asyncio.run(serve(port, boot))
    if not boot.get("keep_lock"):
        lock.drop()
    return code


def main(args: list[str]) -> int:
    """The few subcommands a supervisor uses."""
    match args:
        case ["--version"]:
            sys.stdout.write("OpenClaw 2026.9.6 (scripted)\n")
            return 0
        case ["config", "validate", *_]:
            wrong = problems()
            if not wrong and wrong is not None:
                sys.stdout.write(json.dumps({"valid": True, "path": str(CONFIG), "warnings": []}) + "\n")
                return 0
            sys.stdout.write(
                json.dumps({"ok": False, "valid": False, "path": str(CONFIG), "issues": wrong or []}) + "\n"
            )
            return 1
        case ["gateway", "run", *rest]:
            return run(int(rest[rest.index("--port") + 1]))
        case ["doctor", *_]:
            with contextlib.suppress(OSError):
                CONFIG.write_text('{"gateway": {"mode": "local"}, "meta": {"by": "doctor"}}\n')
            return 0
    sys.stderr.write(f"unknown command {args}\n")
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
