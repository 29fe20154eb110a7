"""Tells when jobs end, whichever process sent them: one question to the reply store for all that are followed.

Units: seconds.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from persona_system.models import Response
from producers.errors import ProducerError
from producers.requests import JobOutcome

EVERY_S = 0.1
KEEP_ALIVE_S = 15.0


class Outcomes(Protocol):
    """Knows how durable jobs ended."""

    async def outcomes(self, job_ids: Sequence[str]) -> list[JobOutcome[Response] | None]:
        """Return how each ended; None: it has not.  Raises a ProducerError."""


class JobWatch:
    """Follows jobs, in one event loop."""

    def __init__(
        self, outcomes: Outcomes, every_s: float = EVERY_S, keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        self._outcomes, self._every_s, self._keep_alive_s = outcomes, every_s, keep_alive_s
        self._followed: dict[str, list[asyncio.Future[JobOutcome[Response] | None]]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._closed = False

    async def follow(self, job_id: str) -> AsyncIterator[JobOutcome[Response] | None]:
        """Yield how the job ended, once it has, and None every now and then until that.

        It ends early when the watch is closed; whoever listens may ask another process.
        """
        while not self._closed:
            ended: asyncio.Future[JobOutcome[Response] | None] = asyncio.get_running_loop().create_future()
            self._followed.setdefault(job_id, []).append(ended)
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            try:
                async with asyncio.timeout(self._keep_alive_s):
                    outcome = await ended
            except TimeoutError:
                yield None
                continue
            finally:
                self._forget(job_id, ended)
            if outcome is not None:
                yield outcome
                return

    def close(self) -> None:
        """End all that follow."""
        self._closed = True
        self._tell(dict.fromkeys(self._followed))

    def _forget(self, job_id: str, ended: "asyncio.Future[JobOutcome[Response] | None]") -> None:
        waiting = self._followed.get(job_id, [])
        if ended in waiting:
            waiting.remove(ended)
        if not waiting:
            self._followed.pop(job_id, None)

    def _tell(self, outcomes: dict[str, JobOutcome[Response] | None]) -> None:
        for job_id, outcome in outcomes.items():
            for ended in self._followed.pop(job_id, []):
                if not ended.done():
                    ended.set_result(outcome)

    async def _ask(self) -> None:
        """Ask about all that is followed, until nothing is."""
        while self._followed:
            began = time.monotonic()
            job_ids = list(self._followed)
            with contextlib.suppress(ProducerError):  # the store is away: the jobs are still under way
                outcomes = await self._outcomes.outcomes(job_ids)
                self._tell({one: end for one, end in zip(job_ids, outcomes, strict=True) if end is not None})
            await asyncio.sleep(max(0.0, self._every_s - (time.monotonic() - began)))
