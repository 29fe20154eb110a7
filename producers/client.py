"""The synchronous client: submit messages to the fleet from threads and scripts.

    with PersonaClient() as client:
        response = client.process("배포가 또 실패했어요. 어떻게 해야 하죠?")

Errors: InvalidInput for what the caller has to change; producers.errors for the rest.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
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
    from producers.settings import ClientSettings

ResultT = TypeVar("ResultT")


class JobHandle(Generic[ResultT]):
    """A job under way.  It always ends: at the latest, as expired, at its deadline."""

    def __init__(
        self, core: "ClientCore[Future[Any]]", ref: TaskRef[ResultT], job_id: str, future: "Future[Any]"
    ) -> None:
        self.job_id = job_id
        self._core, self._ref, self._future = core, ref, future

    def done(self) -> bool:
        """Tell whether the job has ended."""
        return self._future.done()

    def outcome(self, timeout_s: float | None = None) -> JobOutcome[ResultT]:
        """Wait for the job's end and return how it ended; TimeoutError after *timeout_s*."""
        return self._core.read(self._ref, self.job_id, self._future.result(timeout_s))

    def result(self, timeout_s: float | None = None) -> ResultT:
        """Wait for the job's end and return its result, or raise what it ended in."""
        return self.outcome(timeout_s).unwrap()


class PersonaClient:
    """Submits to the fleet and waits.  One per process is enough; threads and forks may share it.

    Making one connects to nothing; the first job does.  Close it, or use it in a ``with`` block.
    """

    def __init__(self, settings: "ClientSettings | None" = None) -> None:
        self._core: ClientCore[Future[Any]] = ClientCore(settings, _new_future, _wake)

    def process(
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
        return self.submit(request).result()

    def submit(self, request: PersonaRequest) -> JobHandle[Response]:
        """Send a message without waiting; raise InvalidInput, Overloaded or Unavailable."""
        job_id, future = self._core.submit(PROCESS, PROCESS.queue, request)
        return JobHandle(self._core, PROCESS, job_id, future)

    def send(self, request: PersonaRequest) -> JobHandle[Response]:
        """Send a message as a durable job, and return as soon as the broker has it.

        From then on its outcome can be asked for by its id, whatever becomes of this process.  Raises
        InvalidInput, Overloaded or Unavailable; then nothing was accepted, or it is not known.
        """
        job_id, future, sent = self._core.send(PROCESS, PROCESS.queue, request)
        ended = sent.result()
        if isinstance(ended, Exception):
            raise ended
        return JobHandle(self._core, PROCESS, job_id, future)

    def process_many(self, requests: Iterable[PersonaRequest]) -> list[JobOutcome[Response]]:
        """Return how each request ended, in their order; a bad one does not disturb the others.

        They travel on the interactive queue in as few messages as the limits allow.  What the fleet did
        not accept ends as ``unsent``, with its Overloaded or Unavailable.
        """
        batches = self._core.submit_all(PROCESS, names.INTERACTIVE, requests)
        return [o for ids, future in batches for o in self._core.read_all(PROCESS, ids, future.result())]

    def submit_batch(
        self, requests: Sequence[PersonaRequest], *, queue: str = names.BULK, note: str = ""
    ) -> "Future[list[JobOutcome[Response]]]":
        """Send *requests* together; the future holds how each ended, in their order.

        They travel as one message, unless they are over 5,000 or 8 MiB.  *note* is what operators see of
        it in Flower beside its size: no words of people.

        A bad request ends as rejected without being sent.  Raises Overloaded or Unavailable.
        """
        return self.submit_batch_as(PROCESS, requests, queue, note)

    def submit_batch_as(
        self, ref: TaskRef[ResultT], requests: Sequence[PersonaRequest], queue: str, note: str = ""
    ) -> "Future[list[JobOutcome[ResultT]]]":
        """Do what ``submit_batch`` does, for the task and the type of results that *ref* names."""
        ids, waiter = self._core.submit_batch(ref, queue, requests, note)
        ended: Future[list[JobOutcome[ResultT]]] = _new_future()

        def read(done: "Future[Any]") -> None:
            try:
                ended.set_result(self._core.read_all(ref, ids, done.result()))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                ended.set_exception(error)

        waiter.add_done_callback(read)
        return ended

    def recommend(
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
        return JobHandle(self._core, RECOMMEND, job_id, future).result()

    def outcome(self, job_id: str) -> JobOutcome[Response] | None:
        """Return how a durable job ended, whichever process sent it; None: not yet, or nobody knows it.

        It can be asked for an hour.  Raises Unavailable.
        """
        return self._core.outcome(PROCESS, job_id)

    def outcomes(self, job_ids: Sequence[str]) -> list[JobOutcome[Response] | None]:
        """Return how each of these durable jobs ended, as ``outcome`` does, in one round trip."""
        return self._core.outcomes(PROCESS, job_ids)

    def knows(self, job_id: str) -> bool:
        """Tell whether a durable job of this id was sent in the last hour.  Raises Unavailable."""
        return self._core.knows(job_id)

    def close(self, patience: timedelta = timedelta(seconds=5)) -> None:
        """Send what is gathered and wait up to *patience* for it; what is left ends as ClientClosed."""
        self._core.close(patience.total_seconds())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _new_future() -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # a job on its way cannot be called back
    return future


def _wake(woken: list[Woken]) -> None:
    for future, ended in woken:
        future.set_result(ended)
