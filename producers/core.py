"""What the two clients share: one dispatcher per process, and the way from request to waiter.

A client that was made before a fork works after it: the child gets a dispatcher of its own on first
use and leaves the parent's, with its threads, locks and sockets, alone.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec

from persona_system.errors import InvalidInput
from producers.batching import Lane, PackedJob
from producers.dispatch import Dispatcher
from producers.errors import ClientClosed, ProducerError, Unavailable
from producers.metering import JobMeter
from producers.pending import Asked, Gathered, Woken, cached_outcome
from producers.ports import Fleet, NoLimit, Outcomes, Rations
from producers.requests import (
    JobOutcome,
    PersonaRequest,
    Settled,
    check_job_id,
    check_request,
    digest_of,
    pack_job,
    read_outcome,
)
from producers.tracing import active
from workers.contract.payloads import Outcome
from workers.contract.refs import TaskRef
from workers.observability.context import bound

if TYPE_CHECKING:
    from persona_system.cache.redis_cache import RedisCache  # needs redis: see load
    from producers.answers import ClientAnswers  # likewise
    from producers.settings import ClientSettings  # takes 0.3 s to import; loaded when a client is made
    from workers.operations.measuring import Measuring


class Waiter(Protocol):
    """What both kinds of future can do, in the thread they belong to."""

    def set_result(self, result: Any, /) -> None:
        """Wake whoever waits."""


ResultT = TypeVar("ResultT")
WaiterT = TypeVar("WaiterT", bound=Waiter)

_CLOSE_PATIENCE_S = 5.0


class ClientCore(Generic[WaiterT]):
    """Prepares requests and hands them to this process's dispatcher.

    *new_waiter* makes what a caller waits on, a future of its kind; *wake* completes such futures.
    *measuring* gives the process's own; without it, the client opens one, and closes it.
    Safe to use from many threads.
    """

    def __init__(
        self,
        settings: "ClientSettings | None",
        new_waiter: Callable[[], WaiterT],
        wake: Callable[[list[Woken]], None],
        measuring: "Callable[[], Measuring] | None" = None,
    ) -> None:
        if settings is None:
            from producers.settings import ClientSettings  # noqa: PLC0415

            settings = ClientSettings()
        self.settings = settings
        self._new_waiter = new_waiter
        self._wake = wake
        self._making = threading.Lock()
        self._dispatcher: Dispatcher | None = None
        self._answers: ClientAnswers | None = None
        self._given_measuring = measuring
        self._measuring: Measuring | None = None  # our own
        self._meter = JobMeter()
        self._closed = False
        forget = weakref.WeakMethod(self._forget_parent)
        os.register_at_fork(after_in_child=lambda: (method := forget()) and method())
        self._decoders: dict[type[Any], Callable[[msgspec.Raw], Any]] = {}

    def submit(self, ref: TaskRef[Any], queue: str, request: PersonaRequest) -> tuple[str, WaiterT]:
        """Check and send one request; return its job id and what wakes when it ended.

        Raises InvalidInput, Overloaded, Unavailable or ClientClosed; then nothing was accepted.
        """
        dispatcher = self._here()
        lane = (ref, queue)
        with dispatcher.traces.submitting(queue, 1):
            taken = self._meter.taken(lane)
            try:
                job, deadline_s, asked, answer = self._prepare(dispatcher, lane, request)
                waiter = self._new_waiter()
                if answer is not None:
                    waiter.set_result(answer)
                    self._meter.here(taken)
                else:
                    dispatcher.submit(lane, job, waiter, deadline_s, asked, taken=taken)
            except (InvalidInput, ProducerError) as error:
                self._meter.refused(taken, 1, error)
                raise
        return job[0], waiter

    def send(self, ref: TaskRef[Any], queue: str, request: PersonaRequest) -> tuple[str, WaiterT, WaiterT]:
        """Check and send one request as a durable job; return its id and two waiters.

        The first wakes when the job ended, the second as soon as the broker has it (with None) or it ended
        before that (with how).  Raises as ``submit`` does.
        """
        dispatcher = self._here()
        lane = (ref, queue)
        with dispatcher.traces.submitting(queue, 1):
            taken = self._meter.taken(lane)
            try:
                durable = msgspec.structs.replace(request, durable=True)
                job, deadline_s, asked, _ = self._prepare(dispatcher, lane, durable)
                waiter, sent = self._new_waiter(), self._new_waiter()
                dispatcher.submit(lane, job, waiter, deadline_s, asked, sent, taken)
            except (InvalidInput, ProducerError) as error:
                self._meter.refused(taken, 1, error)
                raise
        return job[0], waiter, sent

    def submit_batch(
        self, ref: TaskRef[Any], queue: str, requests: Sequence[PersonaRequest], note: str = ""
    ) -> tuple[list[str], WaiterT]:
        """Check *requests* and send the good ones together; return job ids and one waiter.

        *note* is what operators see of the batch beside its size; no words of people.

        The waiter is woken with one settled job per request, in their order; a bad request is settled
        as its InvalidInput, without being sent.  The latest deadline among them counts for all.  Raises
        Overloaded, Unavailable or ClientClosed; then nothing was accepted.
        """
        dispatcher = self._here()
        with dispatcher.traces.submitting(queue, len(requests)):
            return self._submit_batch(dispatcher, (ref, queue), requests, note)

    def _submit_batch(
        self, dispatcher: Dispatcher, lane: Lane, requests: Sequence[PersonaRequest], note: str
    ) -> tuple[list[str], WaiterT]:
        taken = self._meter.taken(lane)
        gathered = Gathered(self._new_waiter(), [None] * len(requests), 0, taken)
        ids, jobs, places, asked, latest = [], [], [], [], 0.0
        here = 0
        for place, request in enumerate(requests):
            try:
                job, deadline_s, about, answer = self._prepare(dispatcher, lane, request)
            except InvalidInput as error:
                ids.append(request.job_id or "")
                gathered.outcomes[place] = _detached(error)
                self._meter.refused(taken, 1, error)
                continue
            ids.append(job[0])
            if answer is not None:
                gathered.outcomes[place] = answer
                here += 1
                continue
            jobs.append(job)
            places.append(place)
            asked.append(about)
            latest = max(latest, deadline_s)
        gathered.missing = len(jobs)
        if jobs:
            try:
                dispatcher.submit_batch(lane, jobs, places, gathered, latest, asked, note)
            except (InvalidInput, ProducerError) as error:
                self._meter.refused(taken, len(jobs), error)
                raise
        else:
            gathered.waiter.set_result(gathered.outcomes)
        if here:
            self._meter.here(taken, here)
        return ids, gathered.waiter

    def submit_all(
        self, ref: TaskRef[Any], queue: str, requests: Iterable[PersonaRequest]
    ) -> list[tuple[list[str], WaiterT]]:
        """Send *requests* in messages of the largest size; return job ids and a waiter for each message.

        Never raises for the fleet's sake: the waiter of a refused message is woken with the refusal.
        """
        everything = list(requests)
        size = self.settings.max_batch_jobs
        batches = []
        for start in range(0, len(everything), size):
            part = everything[start : start + size]
            try:
                batches.append(self.submit_batch(ref, queue, part))
            except ProducerError as error:
                waiter = self._new_waiter()
                self._wake([(waiter, [error] * len(part))])
                batches.append(([request.job_id or "" for request in part], waiter))
        return batches

    def _prepare(self, dispatcher: Dispatcher, lane: Lane, request: PersonaRequest) -> "_Prepared":
        """Check *request*, and answer it if this process knows the answer, else pack it."""
        settings = self.settings
        deadline_s = settings.deadline_s
        if request.deadline is not None:
            deadline_s = request.deadline.total_seconds()
            if deadline_s <= 0:
                raise InvalidInput("deadline", "is not in the future", "give a positive time")
        durable = request.durable
        if request.job_id is None:
            job_id = dispatcher.new_job_id()
        else:
            job_id, durable = check_job_id(request.job_id), True
        key = check_request(request, settings.max_text_chars)
        if request.context is not None and request.context.user_id is not None:
            self._meter.saw(request.context.user_id)
        use_cache, asked, answers = request.use_cache, None, self._answers
        if answers is not None and use_cache and not durable:  # a worker has to write a durable job's outcome
            use_cache = answers.admits(lane, request.user_input)
            if use_cache:
                asked = answers.asked(lane, request, key)
                value = answers.here(lane, asked)
                if value is not None:
                    return (job_id, b"", None), deadline_s, asked, cached_outcome(job_id, value, asked)
        deadline_ms = int((time.time() + deadline_s) * 1000)
        origin = active()
        came_in = (bound().get("request_id"), None if origin is None else origin.traceparent)
        packed = pack_job(
            request, key, job_id, deadline_ms, use_cache=use_cache, durable=durable, came_in=came_in
        )
        if origin is not None:
            dispatcher.traces.remember(job_id, origin)
        digest = digest_of(lane[0].name, request, key) if durable else None
        return (job_id, packed, digest), deadline_s, asked, None

    def outcome(self, ref: TaskRef[ResultT], job_id: str) -> JobOutcome[ResultT] | None:
        """Return how a durable job ended; None: it has not, or nobody knows it.  Raises Unavailable.

        Asks the reply store, in the caller's thread.
        """
        found = self._here().outcomes.find(check_job_id(job_id))
        return None if found is None else self.read(ref, job_id, found)

    def outcomes(self, ref: TaskRef[ResultT], job_ids: Sequence[str]) -> list[JobOutcome[ResultT] | None]:
        """Return how each of these durable jobs ended, as ``outcome`` does, in one round trip."""
        found = self._here().outcomes.find_all([check_job_id(job_id) for job_id in job_ids])
        return [
            None if outcome is None else self.read(ref, job_id, outcome)
            for job_id, outcome in zip(job_ids, found, strict=True)
        ]

    def knows(self, job_id: str) -> bool:
        """Tell whether a durable job of this id was sent in the last hour.  Raises Unavailable."""
        return self._here().outcomes.knows(check_job_id(job_id))

    def read(self, ref: TaskRef[ResultT], job_id: str, settled: Settled) -> JobOutcome[ResultT]:
        """Return how the job ended, with its result unpacked."""
        decode = self._decoders.get(ref.result_type)
        if decode is None:
            decode = self._decoders[ref.result_type] = msgspec.msgpack.Decoder(ref.result_type).decode
        return read_outcome(job_id, settled, decode)

    def read_all(
        self, ref: TaskRef[ResultT], ids: Sequence[str], settled: Sequence[Settled]
    ) -> list[JobOutcome[ResultT]]:
        """Return how each job of a batch ended."""
        return [self.read(ref, job_id, one) for job_id, one in zip(ids, settled, strict=True)]

    def cache(self) -> "RedisCache | None":
        """Return this process's part in the fleet's cache; None: there is no cache.  Raises ClientClosed."""
        self._here()
        return None if self._answers is None else self._answers.redis

    def close(self, patience_s: float = _CLOSE_PATIENCE_S) -> None:
        """Send what is gathered, wait up to *patience_s* for it, and end what is left as ClientClosed."""
        with self._making:
            self._closed = True
            dispatcher = self._dispatcher
        if dispatcher is not None:
            dispatcher.close(patience_s)
            self._meter.measure()
            if self._measuring is not None:
                self._measuring.close()

    def _here(self) -> Dispatcher:
        if self._dispatcher is not None:
            return self._dispatcher
        with self._making:
            if self._closed:
                raise ClientClosed("the client is closed")
            if self._dispatcher is None:
                self._answers = self._open_cache()
                self._meter = self._open_meter(self._answers)
                self._dispatcher = Dispatcher(
                    self.settings, self._connect, self._wake, self._answers, self._meter
                )
            return self._dispatcher

    def _forget_parent(self) -> None:
        """Start afresh in a forked child: the parent's threads are not here, its lock may be held."""
        self._making = threading.Lock()
        self._dispatcher = self._answers = self._measuring = None
        self._meter = JobMeter()

    @staticmethod
    def load() -> None:
        """Import what the first job needs; it takes a third of a second, better spent off an event loop."""
        from producers import answers, broker, outcomes, replies  # noqa: F401, PLC0415
        from workers.operations import measuring  # noqa: F401, PLC0415

    def _open_meter(self, answers: "ClientAnswers | None") -> JobMeter:
        from workers.operations.measuring import open_measuring  # noqa: PLC0415 - redis: see load

        settings = self.settings
        if self._given_measuring is not None:
            measuring = self._given_measuring()
        elif settings.monitoring:
            if self._measuring is None:
                self._measuring = open_measuring("producer", settings.region, *settings.urls())
            measuring = self._measuring
        else:
            return JobMeter()
        meter = JobMeter(measuring.recorder)
        measuring.look(lambda _: meter.measure())
        if answers is not None:
            answers.measure_into(measuring)
        return meter

    def _open_cache(self) -> "ClientAnswers | None":
        from producers.answers import ClientAnswers  # noqa: PLC0415 - redis: see load

        settings = self.settings
        url = settings.cache_address()
        if url is None:
            return None
        room = int(settings.cache_mb * 2**20)
        try:
            return ClientAnswers(url, settings.cache_timeout_ms / 1000, settings.cache_entries, room)
        except ValueError:  # it may quote the URL, and with it a password
            raise Unavailable(
                "the cache store", "ION_CACHE_URL is no redis:// or unix:// address; correct or unset it"
            ) from None

    def _connect(self, client_id: str) -> Fleet:
        from producers.broker import BrokerPublisher  # noqa: PLC0415 - celery and redis: see load
        from producers.outcomes import RedisOutcomes  # noqa: PLC0415
        from producers.replies import ReplyReader, open_reply_store  # noqa: PLC0415

        settings = self.settings
        broker_url, reply_url = settings.urls()
        patience = (settings.connect_timeout_s, settings.publish_timeout_s)
        outcomes: Outcomes = RedisOutcomes(open_reply_store(reply_url, *patience))
        rations: Rations = NoLimit()
        if settings.rate_limit_per_s is not None:
            from producers.rate_limit import RateLimit, RateLimiter  # noqa: PLC0415

            limit = RateLimit(settings.rate_limit_per_s, settings.rate_limit_burst)
            rations = RateLimiter(open_reply_store(reply_url, *patience), limit)
        return Fleet(
            BrokerPublisher(broker_url, *patience),
            ReplyReader(reply_url, client_id, settings.connect_timeout_s),
            outcomes,
            rations,
        )


_Prepared = tuple[PackedJob, float, Asked | None, Outcome | None]
"""A checked request: packed, its deadline in s and what the cache needs for it; or its answer."""


def _detached(error: InvalidInput) -> InvalidInput:
    """Return *error* without the frames it came through: they hold the whole batch, in a cycle."""
    error.__context__ = None
    return error.with_traceback(None)
