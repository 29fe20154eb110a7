"""The asynchronous client: submit messages to the fleet from an event loop, e.g. a FastAPI app.

    async with AsyncPersonaClient() as client:
        response = await client.process("배포가 또 실패했어요. 어떻게 해야 하죠?")

It is the same core as the synchronous client.  Only the first job holds the loop up, while things are set
up: for 0.1 s inside ``async with``, which imports in a thread, and 0.4 s without.
"""

import asyncio
import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from persona_system.models import Context, Recommendation, Response
from persona_system.vocabulary import ResonanceKey
from producers.core import ClientCore
from producers.pending import Woken
from producers.requests import JobOutcome, PersonaRequest
from workers.contract import names
from workers.contract.refs import PROCESS, RECOMMEND, TaskRef

if TYPE_CHECKING:
    from persona_system.cache.redis_cache import RedisCache
    from producers.settings import ClientSettings
    from workers.operations.measuring import Measuring

ResultT = TypeVar("ResultT")


class AsyncJobHandle(Generic[ResultT]):
    """A job under way; ``await handle`` gives its result.  It always ends, at the latest at its deadline."""

    def __init__(
        self,
        core: "ClientCore[asyncio.Future[Any]]",
        ref: TaskRef[ResultT],
        job_id: str,
        future: "asyncio.Future[Any]",
    ) -> None:
        self.job_id = job_id
        self._core, self._ref, self._future = core, ref, future

    def done(self) -> bool:
        """Tell whether the job has ended."""
        return self._future.done()

    async def outcome(self) -> JobOutcome[ResultT]:
        """Wait for the job's end and return how it ended; cancelling the wait leaves the job alone."""
        future = self._future
        ended = future.result() if future.done() else await asyncio.shield(future)
        return self._core.read(self._ref, self.job_id, ended)

    def __await__(self) -> Generator[Any, None, ResultT]:
        ended = yield from asyncio.shield(self._future).__await__()
        return self._core.read(self._ref, self.job_id, ended).unwrap()


class AsyncPersonaClient:
    """Submits to the fleet and waits, in one event loop: the one it is first used in.

    Making one connects to nothing; the first job does.  Close it, or use it in an ``async with`` block.
    """

    def __init__(
        self,
        settings: "ClientSettings | None" = None,
        measuring: "Callable[[], Measuring] | None" = None,
    ) -> None:
        """*measuring* gives what this process measures with already; without it, the client opens its own."""
        self._core: ClientCore[asyncio.Future[Any]] = ClientCore(
            settings, self._new_future, self._wake, measuring
        )
        self._loop: asyncio.AbstractEventLoop | None = None

    async def process(
        self,
        user_input: str,
        resonance_key: str | ResonanceKey | None = None,
        *,
        context: Context | None = None,
        metadata: dict[str, Any] | None = None,
        deadline: timedelta | None = None,
        use_cache: bool = True,
    ) -> Response:
        """Return the mentor's prompt for a message; raise what the job ended in."""
        request = PersonaRequest(user_input, resonance_key, context, metadata, deadline, use_cache=use_cache)
        job_id, future = self._core.submit(PROCESS, PROCESS.queue, request)
        return self._core.read(PROCESS, job_id, await future).unwrap()

    def submit(self, request: PersonaRequest) -> AsyncJobHandle[Response]:
        """Send a message without waiting; raise InvalidInput, Overloaded or Unavailable."""
        job_id, future = self._core.submit(PROCESS, PROCESS.queue, request)
        return AsyncJobHandle(self._core, PROCESS, job_id, future)

    async def send(self, request: PersonaRequest) -> AsyncJobHandle[Response]:
        """Send a message as a durable job, and return as soon as the broker has it.

        From then on its outcome can be asked for by its id, whatever becomes of this process.  Raises
        InvalidInput, Overloaded or Unavailable; then nothing was accepted, or it is not known.
        """
        job_id, future, sent = self._core.send(PROCESS, PROCESS.queue, request)
        ended = await sent
        if isinstance(ended, Exception):
            raise ended
        return AsyncJobHandle(self._core, PROCESS, job_id, future)

    async def process_many(self, requests: Iterable[PersonaRequest]) -> list[JobOutcome[Response]]:
        """Return how each request ended, in their order; a bad one does not disturb the others.

        They travel on the interactive queue in as few messages as the limits allow.  What the fleet did
        not accept ends as ``unsent``, with its Overloaded or Unavailable.
        """
        batches = self._core.submit_all(PROCESS, names.INTERACTIVE, requests)
        return [o for ids, future in batches for o in self._core.read_all(PROCESS, ids, await future)]

    async def process_batch(
        self, requests: Sequence[PersonaRequest], *, queue: str = names.BULK, note: str = ""
    ) -> list[JobOutcome[Response]]:
        """Send *requests* together and return how each ended, in their order.

        They travel as one message, unless they are over 5,000 or 8 MiB.  *note* is what operators see of
        it in Flower beside its size: no words of people.

        A bad request ends as rejected without being sent.  Raises Overloaded or Unavailable.
        """
        ids, future = self._core.submit_batch(PROCESS, queue, requests, note)
        return self._core.read_all(PROCESS, ids, await future)

    async def recommend(
        self,
        scenario: str,
        resonance_key: str | ResonanceKey | None = None,
        *,
        deadline: timedelta | None = None,
        use_cache: bool = True,
    ) -> Recommendation:
        """Return which mentor suits a scenario; raise what the job ended in."""
        request = PersonaRequest(scenario, resonance_key, deadline=deadline, use_cache=use_cache)
        job_id, future = self._core.submit(RECOMMEND, RECOMMEND.queue, request)
        return self._core.read(RECOMMEND, job_id, await future).unwrap()

    async def outcome(self, job_id: str) -> JobOutcome[Response] | None:
        """Return how a durable job ended, whichever process sent it; None: not yet, or nobody knows it.

        It can be asked for an hour.  Raises Unavailable.
        """
        return await asyncio.to_thread(self._core.outcome, PROCESS, job_id)

    async def outcomes(self, job_ids: Sequence[str]) -> list[JobOutcome[Response] | None]:
        """Return how each of these durable jobs ended, as ``outcome`` does, in one round trip."""
        return await asyncio.to_thread(self._core.outcomes, PROCESS, job_ids)

    async def knows(self, job_id: str) -> bool:
        """Tell whether a durable job of this id was sent in the last hour.  Raises Unavailable."""
        return await asyncio.to_thread(self._core.knows, job_id)

    def cache(self) -> "RedisCache | None":
        """Return this client's part in the fleet's cache, for use in a thread; None: there is no cache.

        What is invalidated through it is void in this process at once, and then in every other.
        """
        return self._core.cache()

    async def close(self, patience: timedelta = timedelta(seconds=5)) -> None:
        """Send what is gathered and wait up to *patience* for it; what is left ends as ClientClosed."""
        await asyncio.to_thread(self._core.close, patience.total_seconds())

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._core.load)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def _new_future(self) -> "asyncio.Future[Any]":
        loop = self._loop
        if loop is None or loop.is_closed():  # asyncio itself refuses a future of another loop
            loop = self._loop = asyncio.get_running_loop()
        return loop.create_future()

    def _wake(self, woken: list[Woken]) -> None:
        """Complete futures in their own loop: one call into it for all that a reply settles."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and with it all that waited
                self._loop.call_soon_threadsafe(_complete, woken)


def _complete(woken: list[Woken]) -> None:
    for future, ended in woken:
        if not future.done():  # its caller may have gone
            future.set_result(ended)
