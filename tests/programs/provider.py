"""The provider as a program, `python provider.py PORT`: POST /_mode tells it what to do, GET /_calls what it got."""

import asyncio
import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from rig.provider import Provider


async def main(port: int) -> None:
    async with Provider(port) as provider:
        print(provider.root, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
