"""A keeper in a process of its own over a scripted gateway: killed at any step, ended, signalled, looked at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from regrow.decide.profiles import DEFAULT
from regrow.host import paths
from regrow.serve import client
from rig.kept import HASTY, PATIENCE
from rig.programs import ChildProgram

PROGRAM = Path(__file__).parent.parent / "programs" / "keeper.py"


class Mortal:
    """`tests/programs/keeper.py` at work."""

    def __init__(self, program: ChildProgram, folder: Path, kill: str, policy: dict[str, Any], more: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = folder.parent
        self.folder = folder
        self.notes = root / f"steps-{folder.name}.jsonl"
        self.notes.unlink(missing_ok=True)
        self.config = root / f"config-{folder.name}.toml"
        self.config.write_text(
            f'[gateway]\nmode = "own"\nstate_dir = "{program.state_dir}"\nport = {program.port}\n'
            f'token = "{program.token}"\nentry = "{program.entry}"\nnode = "{program.node}"\n'
            f'env = {{ HOME = "{program.home}" }}\n{more}\n[regrow]\nstate_dir = "{folder}"\n'
        )
        self.config.chmod(0o600)
        hasty, plain = to_builtins(replace(HASTY, **policy)), to_builtins(DEFAULT)
        said = {
            "config": str(self.config), "notes": str(self.notes), "kill": kill,
            "policy": {key: value for key, value in hasty.items() if value != plain[key]},
        }  # fmt: skip
        self.settings = root / f"settings-{folder.name}.json"
        self.settings.write_text(json.dumps(said))
        self.env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(root), "REGROW_HOME": str(root / "regrow")}
        for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONPATH"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.process: asyncio.subprocess.Process | None = None
        self.err = ""

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What it noted, in order."""
        if not self.notes.exists():
            return []
        return [json.loads(line) for line in self.notes.read_text().splitlines() if line.endswith("}")]

    @property
    def names(self) -> list[str]:
        return [step["step"] for step in self.steps]

    @property
    def socket(self) -> Path:
        return paths.socket_path(self.folder)

    async def until(self, claim: Callable[[], Any], within: float = PATIENCE) -> Any:
        """Wait until something is so, or the keeper ended."""
        try:
            async with asyncio.timeout(within):
                while not (found := claim()):
                    if self.process is not None and self.process.returncode is not None:
                        raise AssertionError(f"the keeper ended with {self.process.returncode}: {self.err[-2000:]}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"it did not come about; {self.names[-30:]} {self.err[-2000:]}") from None
        return found

    async def step(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait for the count-th step of a name."""
        await self.until(lambda: self.names.count(name) >= count)
        return [step for step in self.steps if step["step"] == name][count - 1]

    async def ask(self, verb: str, **more: Any) -> list[dict[str, Any]]:
        """Every answer; none once the keeper is dead."""

        def talk() -> list[dict[str, Any]]:
            replies: list[dict[str, Any]] = []
            with contextlib.suppress(client.NotRunning, client.NoAnswer), contextlib.closing(
                client.ask(self.socket, {"op": "ask", "verb": verb, "by": "test", **more})
            ) as answers:  # fmt: skip
                for answer in answers:
                    replies.append(answer.get("reply", answer))
                    if replies[-1].get("state") != "queued":
                        break
            return replies

        return await asyncio.to_thread(talk)

    async def status(self) -> dict[str, Any]:
        answer = await asyncio.to_thread(client.one, self.socket, {"op": "status"})
        found: dict[str, Any] = answer["result"]
        return found

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end."""
        assert self.process is not None
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def mortal(
    program: ChildProgram, folder: Path, *, kill: str = "", more: str = "", env: dict[str, str] | None = None,
    **policy: Any,
) -> AsyncIterator[Mortal]:  # fmt: skip
    """A keeper in a process of its own; it is killed at the end of the block if it still runs."""
    keeper = Mortal(program, folder, kill, policy, more)
    log = folder.parent / f"stderr-{folder.name}.log"
    with log.open("w") as errors:
        keeper.process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), str(keeper.settings), env={**keeper.env, **(env or {})},
            stdin=asyncio.subprocess.DEVNULL, stdout=errors, stderr=errors,
        )  # fmt: skip
    try:
        yield keeper
    except AssertionError as error:
        error.add_note(log.read_text()[-3000:])
        raise
    finally:
        if keeper.process.returncode is None:
            keeper.process.send_signal(signal.SIGKILL)
        await keeper.process.wait()
        keeper.err = log.read_text()
