"""A time limit on an answer from elsewhere, which a busy event loop of ours does not use up.

``asyncio.timeout`` takes a loop that was held up for as long as the limit for a server that was silent:
timers that are due run before the answer, which has long been there, is read.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

_STEPS = 20  # turns of the loop that an answer has at least, and some have to follow each other


@contextlib.asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError in the block after *seconds* of a loop that turns.

    They pass in steps, and a turn of the loop is one step at most, however long it took.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def step(left: int) -> None:
            nonlocal timer
            if left:
                timer = loop.call_later(seconds / _STEPS, step, left - 1)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(seconds / _STEPS, step, _STEPS - 1)
        try:
            yield
        finally:
            timer.cancel()
