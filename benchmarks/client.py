"""Round trips per second: `GatewayClient` beside a Node `ws` client, on the same real gateway, round by round."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import time
from typing import Self

import rig_path
from machine import files, wait_up
from regrow import GatewayClient
from rig.real import RealGateway

TARGET = 0.9
SHAPES = (("one after the other", 1, 400), ("16 at a time", 16, 1600))


async def ours(client: GatewayClient, method: str, count: int, window: int) -> float:
    """Seconds for so many calls."""
    left = count

    async def caller() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await client.call(method)

    begun = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(window):
            tasks.create_task(caller())
    return time.monotonic() - begun


class Node:
    """The other client, in a process of its own."""

    def __init__(self, gateway: RealGateway, method: str) -> None:
        self._gateway = gateway
        self._method = method

    async def __aenter__(self) -> Self:
        gateway = self._gateway
        env = {"BENCH_ENTRY": gateway.installation.entry, "BENCH_URL": gateway.url, "BENCH_TOKEN": gateway.token}
        self._process = await asyncio.create_subprocess_exec(
            gateway.installation.node.path, str(rig_path.HERE / "client.mjs"),
            env={**gateway.env, **env, "BENCH_METHOD": self._method},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert await self._line() == "open"
        return self

    async def _line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            return (await self._process.stdout.readline()).decode().strip()

    async def round(self, count: int, window: int) -> float:
        """Seconds for so many calls."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"count": count, "window": window}).encode() + b"\n")
        return float(await self._line())

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def measure(gateway: RealGateway, methods: list[str], rounds: int) -> None:
    """Print the table."""
    print("| method | calls | regrow /s | Node ws /s | ratio | |\n|---|---|---|---|---|---|")
    for method in methods:
        async with GatewayClient(gateway.url, token=gateway.token) as client, Node(gateway, method) as node:
            for name, window, count in SHAPES:
                await ours(client, method, count, window)  # both and the gateway are warm then
                await node.round(count, window)
                mine, theirs = [], []
                for number in range(rounds):
                    turns = (mine, theirs) if number % 2 else (theirs, mine)  # neither is always the first
                    for turn in turns:
                        took = await (
                            ours(client, method, count, window) if turn is mine else node.round(count, window)
                        )
                        turn.append(count / took)
                ratio = statistics.median(mine) / statistics.median(theirs)
                verdict = f"target ≥ {TARGET} x → {'met' if ratio >= TARGET else 'MISSED'}"
                print(
                    f"| `{method}` | {name} | {statistics.median(mine):,.0f} | {statistics.median(theirs):,.0f} "
                    f"| {ratio:.2f} x | {verdict} |",
                    flush=True,
                )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--methods", nargs="+", default=["system-presence", "health"])
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    with files() as gateway:
        with gateway.log.open("ab") as log:
            process = subprocess.Popen(
                gateway.argv, env=gateway.env, cwd=gateway.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        try:
            wait_up(gateway.port)
            time.sleep(3)
            asyncio.run(measure(gateway, args.methods, 3 if args.quick else args.rounds))
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
