"""Tells how jobs ended, whichever process sent them: one question to the reply store for all who ask.

Units: seconds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from persona_system.models import Response
from producers.errors import ProducerError
from producers.requests import JobOutcome

EVERY_S = 0.1
KEEP_ALIVE_S = 15.0

_End = JobOutcome[Response] | None
_Asking = dict[str, list["asyncio.Future[_End]"]]


class Outcomes(Protocol):
    """Knows how durable jobs ended."""

    async def outcomes(self, job_ids: Sequence[str]) -> list[JobOutcome[Response] | None]:
        """Return how each ended; None: it has not.  Raises a ProducerError."""


class JobWatch:
    """Looks at jobs and follows them, in one event loop.

    Whoever asks while a question is under way is part of the next one, so a slow store has one question at a
    time to answer, and all who wait for it are told at once when it does not.
    """

    def __init__(
        self, outcomes: Outcomes, every_s: float = EVERY_S, keep_alive_s: float = KEEP_ALIVE_S
    ) -> None:
        self._outcomes, self._every_s, self._keep_alive_s = outcomes, every_s, keep_alive_s
        self._looking: _Asking = {}
        self._following: _Asking = {}
        self._look_task: asyncio.Task[None] | None = None
        self._follow_task: asyncio.Task[None] | None = None
        self._closed = False

    async def look(self, job_id: str) -> JobOutcome[Response] | None:
        """Return how the job ended, None if it has not; raise a ProducerError."""
        told = self._join(self._looking, job_id)
        if self._look_task is None or self._look_task.done():
            self._look_task = asyncio.create_task(self._answer_looks())
        return await told

    async def follow(self, job_id: str) -> AsyncIterator[JobOutcome[Response] | None]:
        """Yield how the job ended, once it has, and None every now and then until that.

        It ends early when the watch is closed; whoever listens may ask another process.
        """
        while not self._closed:
            ended = self._join(self._following, job_id)
            if self._follow_task is None or self._follow_task.done():
                self._follow_task = asyncio.create_task(self._answer_followers())
            try:
                async with asyncio.timeout(self._keep_alive_s):
                    outcome = await ended
            except TimeoutError:
                yield None
                continue
            finally:
                self._leave(job_id, ended)
            if outcome is not None:
                yield outcome
                return

    def close(self) -> None:
        """End all that follow."""
        self._closed = True
        for job_id in list(self._following):
            self._tell(job_id, None)

    async def _answer_looks(self) -> None:
        while self._looking:
            asking, self._looking = self._looking, {}
            try:
                ends = await self._outcomes.outcomes(list(asking))
            except ProducerError as error:
                later, self._looking = self._looking, {}
                _fail(asking, error)
                _fail(later, error)  # another try would keep them waiting for as long again
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked must not wait for ever
                _fail(asking, error)
                continue
            for asked, end in zip(asking.values(), ends, strict=True):
                _resolve(asked, end)

    async def _answer_followers(self) -> None:
        """Ask about all that is followed, until nothing is."""
        while self._following:
            began = time.monotonic()
            job_ids = list(self._following)
            try:
                ends = await self._outcomes.outcomes(job_ids)
            except ProducerError:  # the store is away: the jobs are still under way
                ends = []
            for job_id, end in zip(job_ids, ends, strict=False):
                if end is not None:
                    self._tell(job_id, end)
            await asyncio.sleep(max(0.0, self._every_s - (time.monotonic() - began)))

    def _tell(self, job_id: str, end: _End) -> None:
        _resolve(self._following.pop(job_id, []), end)

    def _leave(self, job_id: str, ended: "asyncio.Future[_End]") -> None:
        waiting = self._following.get(job_id, [])
        if ended in waiting:
            waiting.remove(ended)
        if not waiting:
            self._following.pop(job_id, None)

    @staticmethod
    def _join(asking: _Asking, job_id: str) -> "asyncio.Future[_End]":
        told: asyncio.Future[_End] = asyncio.get_running_loop().create_future()
        asking.setdefault(job_id, []).append(told)
        return told


def _resolve(asked: list["asyncio.Future[_End]"], end: _End) -> None:
    for told in asked:
        if not told.done():  # whoever asked may have gone
            told.set_result(end)


def _fail(asking: _Asking, error: Exception) -> None:
    """Raise *error* for all who ask, each its own: one object would gather all their tracebacks."""
    for told in (one for asked in asking.values() for one in asked if not one.done()):
        told.set_exception(type(error)(*error.args) if isinstance(error, ProducerError) else error)
