"""A keeper in a process of its own that notes what it sees and kills itself at the point a test names.

`python keeper.py SETTINGS.json`: `config` is our configuration file, `policy` changes of the figures, `notes` where
every step is written, `kill` the step at which it ends itself with SIGKILL, `""` for never. A step is
`say:<event>[:<action>]`, `fact:<tag>`, `plan:<action>` or `child`; `#2` behind it means the second of its kind.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from regrow.config.load import load
from regrow.daemon import Daemon
from regrow.decide.engine import Outcome
from regrow.decide.profiles import DEFAULT
from regrow.host.child import Child
from regrow.model.actions import AnyAction
from regrow.model.facts import AnyFact
from regrow.record.log import configure


class Steps:
    """Every step, written down before anything else happens."""

    def __init__(self, notes: Path, deadly: str) -> None:
        self._file = notes.open("a", buffering=1)
        self._deadly = deadly
        self._seen: dict[str, int] = {}

    def step(self, name: str, data: Any = None) -> None:
        count = self._seen[name] = self._seen.get(name, 0) + 1
        self._file.write(json.dumps({"step": name, "data": data, "pid": os.getpid()}, default=str) + "\n")
        if self._deadly in ({name, f"{name}#1"} if count == 1 else {f"{name}#{count}"}):
            os.kill(os.getpid(), signal.SIGKILL)


class Mortal(Daemon):
    """Tells its steps."""

    steps: Steps

    async def _build(self) -> None:
        await super()._build()
        self.mind.listeners.append(self._saw)

    def _saw(self, fact: AnyFact, _outcome: Outcome) -> None:
        self.steps.step(f"fact:{fact.__struct_config__.tag}")

    def _submit(self, action: AnyAction) -> None:
        self.steps.step(f"plan:{action.kind}")
        super()._submit(action)

    def watch(self, child: Child) -> None:
        self.steps.step("child", child.process.pid)
        super().watch(child)


def main(path: str) -> int:
    """Keep the gateway that the settings name."""
    said = json.loads(Path(path).read_text())
    steps = Steps(Path(said["notes"]), said["kill"])

    def say(type_: str, data: dict[str, Any]) -> None:
        steps.step(f"say:{type_}" + (f":{data['action']}" if "action" in data else ""), data)

    def settings() -> Any:
        return load(Path(said["config"])).config

    configure("debug", "json", sys.stderr)
    policy = replace(DEFAULT, **{k: tuple(v) if isinstance(v, list) else v for k, v in said["policy"].items()})
    daemon = Mortal(settings(), say=say, reload=settings, policy=policy)
    daemon.steps = steps
    return asyncio.run(daemon.run())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
