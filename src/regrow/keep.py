"""Restarts our own tasks when they fail: at once, but with a pause when they keep failing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

HALF_LIFE = 30.0  # seconds in which a failure loses half its weight
MOST = 5.0  # failures that may weigh at once before there is a pause
PAUSE = 15.0


async def keep(
    run: Callable[[], Awaitable[None]],
    failed: Callable[[BaseException, int], None],
    *,
    half_life: float = HALF_LIFE,
    most: float = MOST,
    pause: float = PAUSE,
) -> None:
    """Run a task for ever; what it raises is told and it is begun again. Only cancelling ends it.

    Args:
        run: Begins the task; called again after each end.
        failed: Told each failure and how many there were.
        half_life: Failures count with exponential decay: no window with edges.
        most: Above this weight it pauses.
        pause: Seconds of the pause.
    """
    loop = asyncio.get_running_loop()
    score, last, count = 0.0, loop.time(), 0
    while True:
        try:
            await run()
        except Exception as error:  # noqa: BLE001  (one part's fault must not end the others)
            count += 1
            failed(error, count)
        else:
            return
        now = loop.time()
        score = score * 0.5 ** ((now - last) / half_life) + 1.0
        last = now
        if score > most:
            await asyncio.sleep(pause)
            score = 0.0
        else:
            await asyncio.sleep(0)


async def once(run: Callable[[], Awaitable[None]], failed: Callable[[BaseException, int], None]) -> None:
    """Run a task once; what it raises is told and goes no further.

    Args:
        run: Begins the task.
        failed: Told the failure.
    """
    try:
        await run()
    except Exception as error:  # noqa: BLE001  (as above)
        failed(error, 1)
