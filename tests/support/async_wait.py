"""Wait in an event loop for something to become true."""

import asyncio
from collections.abc import Callable

from tests.support.wait import POLL_S


async def until(condition: Callable[[], object], deadline_s: float = 10.0, what: str = "") -> None:
    """Return as soon as *condition* is true; fail the test after *deadline_s* seconds."""
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():  # noqa: ASYNC110 - most conditions here tell nobody when they come true
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"{what or 'the condition'}: not within {deadline_s:g} s") from None
