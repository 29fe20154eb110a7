"""The core of both clients: gather jobs, send batches, wake whoever waits.

Two threads a client: the sender takes batches from the coalescer to the broker; the receiver takes
replies to the waiting callers and ends jobs whose deadline passed.  Callers only touch the coalescer
and the table of pending jobs, under one lock.

Every job that ``submit`` accepts is settled exactly once: with its outcome, as expired, with
Unavailable or Overloaded when its batch could not be sent, or with ClientClosed.
"""

import contextlib
import itertools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from persona_system.errors import InvalidInput
from producers.admission import QueueHealth, QueueState, hint_s
from producers.batching import BatchLimits, Coalescer, Lane, Leaving, PackedJob
from producers.errors import ClientClosed, Overloaded, ProducerError, Unavailable
from producers.metering import JobMeter, Taken
from producers.outgoing import Outgoing, limited, pack_batch
from producers.pending import Asked, Gathered, Gone, PendingJobs, Woken
from producers.ports import Answers, Fleet
from producers.requests import Settled
from producers.tracing import Traces
from workers.contract.names import BULK
from workers.contract.payloads import Outcome, Reply, Status
from workers.contract.trail import Accepted
from workers.contract.wire import Unreadable, decompress

if TYPE_CHECKING:
    from producers.settings import ClientSettings  # takes 0.3 s to import; whoever has one has paid

logger = logging.getLogger(__name__)

_TICK_S = 0.1  # how often deadlines are looked at
_RECONNECT_S = 0.2  # pause between tries to reach the reply store
_FIRST_CONNECTION_S = 1.2  # patience of the first batch with the connection it will be answered on

_decode_reply = msgspec.msgpack.Decoder(Reply).decode


class Dispatcher:
    """Accepts packed jobs, and hands each waiter back to *wake* with how its job ended.

    *wake* is called from the receiver or the sender thread with all that one reply settles.
    """

    def __init__(
        self,
        settings: "ClientSettings",
        connect: Callable[[str], Fleet],
        wake: Callable[[list[Woken]], None],
        answers: Answers | None = None,
        meter: JobMeter | None = None,
    ) -> None:
        self.meter = JobMeter() if meter is None else meter
        self.traces = Traces()
        self.client_id = uuid.uuid4().hex[:16]
        self._settings = settings
        self._wake = wake
        self._counter = itertools.count()
        fleet = connect(self.client_id)
        self._publisher, self._replies, self._rations = fleet.publisher, fleet.replies, fleet.rations
        self.outcomes = fleet.outcomes
        self._outgoing = Outgoing(
            answers, fleet.outcomes, fleet.rations, settings.rate_limit_key, self._asked, self._settle
        )
        self._coalescer = Coalescer(
            BatchLimits(settings.linger_ms / 1000, settings.max_batch_jobs, settings.max_batch_bytes)
        )
        self._changed = threading.Condition(threading.Lock())
        self._pending = PendingJobs()
        self._under_way: dict[str, tuple[str, float]] = {}  # batch -> queue, sent at; oldest first
        self._health: dict[str, QueueHealth] = {}  # by queue
        self._replies_connected: bool | None = None  # None: not tried yet
        self._replies_trouble = Unavailable("the reply store", "no connection yet; the client keeps trying")
        self._closing = False
        self._sender_waits = False
        self._threads = [
            threading.Thread(target=self._send_loop, name="ion-sender", daemon=True),
            threading.Thread(target=self._receive_loop, name="ion-receiver", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def new_job_id(self) -> str:
        """Return an id that no other job of any client has."""
        return f"{self.client_id}-{next(self._counter):x}"

    # -- callers' side -------------------------------------------------------------------------------

    def submit(
        self,
        lane: Lane,
        job: PackedJob,
        waiter: Any,
        deadline_s: float,
        asked: Asked | None = None,
        sent: Any = None,
        taken: Taken | None = None,
    ) -> None:
        """Accept a packed job; *waiter* will be woken once.  *deadline_s* counts from now.

        *asked*: the store is looked at before a worker is; None: it is not.  *sent*: woken as soon as the
        broker has this durable job, or it has ended.  A durable job that is under way already is not sent
        again: *waiter* waits for that one.  *taken*: since when its caller waits, for the metrics.
        Raises Overloaded, Unavailable, ClientClosed or IdempotencyConflict; then nothing was accepted.
        """
        now = time.monotonic()
        job_id, _, digest = job
        with self._changed:
            self._admit(lane, 1, now)
            under_way = job_id in self._pending
            if under_way:
                self._pending.join(job_id, waiter, -1, digest)
            else:
                self._pending.add(job_id, waiter, -1, now + deadline_s, asked, digest, taken)
            known = sent is not None and self._pending.tell_sent(job_id, sent)
            if not under_way and self._coalescer.add(lane, job, now) and self._sender_waits:
                self._changed.notify()
        if known:
            self._wake([(sent, None)])

    def submit_batch(
        self,
        lane: Lane,
        jobs: list[PackedJob],
        places: list[int],
        gathered: Gathered,
        deadline_s: float,
        asked: Sequence[Asked | None] | None = None,
        note: str = "",
    ) -> None:
        """Accept *jobs* that travel together; ``gathered.outcomes[places[i]]`` will hold job i's end.

        *asked* as in ``submit``, one for each job.  *note* is what operators see of the batch.  A job whose
        id is another one's ends as IdempotencyConflict.  Raises as ``submit`` does, and InvalidInput for a
        pipeline's batch that is over the burst of the rate limit.
        """
        if lane[1] == BULK:
            self._rations.check(len(jobs))
        now, taken = time.monotonic(), gathered.taken
        accepted: list[PackedJob] = []
        conflicts: list[Gone] = []
        with self._changed:
            self._admit(lane, len(jobs), now)
            for job, place, about in zip(jobs, places, asked or [None] * len(jobs), strict=True):
                if job[0] not in self._pending:
                    self._pending.add(job[0], gathered, place, now + deadline_s, about, job[2], taken)
                    accepted.append(job)
                    continue
                try:
                    self._pending.join(job[0], gathered, place, job[2])
                except InvalidInput as error:
                    gathered.outcomes[place] = error.with_traceback(None)
                    gathered.missing -= 1
                    conflicts.append((taken, error))
            ended = gathered.missing == 0
            if accepted:
                self._coalescer.add_batch(lane, accepted, note)
                self._changed.notify()
        self.meter.ended(conflicts)
        if ended:
            self._wake([(gathered.waiter, gathered.outcomes)])

    def _admit(self, lane: Lane, jobs: int, now: float) -> None:
        """Refuse work that would only wait; called under the lock."""
        if self._closing:
            raise ClientClosed("the client is closed")
        pending, most = len(self._pending) + jobs, self._settings.max_pending_jobs
        if pending > most:
            oldest = next(iter(self._under_way.values()), None)
            why = f"{pending - jobs:,} jobs of this client are unanswered"
            raise Overloaded(why, hint_s(pending, most, None if oldest is None else now - oldest[1]))
        closed = self._outgoing.closed_until
        if closed and (wait_s := closed.get(lane[1], now) - now) > 0:
            raise limited(wait_s)
        health = self._health.get(lane[1])
        if health is not None:
            health.check(now)

    def close(self, patience_s: float) -> None:
        """Send what is gathered, wait up to *patience_s* for what is under way, end the rest as closed."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        give_up = time.monotonic() + patience_s
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, give_up - time.monotonic()))
        with self._changed:
            left = [job[0] for job in self._coalescer.take_all()] + list(self._pending)
        self._settle([(job_id, ClientClosed("the client was closed")) for job_id in left])

    def _settle(self, ended: Sequence[tuple[str, Settled]]) -> None:
        """End jobs and wake whoever waits for them."""
        if not ended:
            return
        with self._changed:
            woken, gone = self._pending.settle(ended)
        if woken:
            self._wake(woken)
        self.meter.ended(gone)  # those who wait come first

    # -- sender --------------------------------------------------------------------------------------

    def _send_loop(self) -> None:
        while True:
            with self._changed:
                leaving = self._next_batch()
            if leaving is None:
                self._publisher.close()
                self._outgoing.close()
                return
            try:
                self._send(leaving)
            except Exception as error:  # noqa: BLE001 - whatever it is, callers must not wait for ever
                self._unsent(leaving.jobs, error)

    def _next_batch(self) -> Leaving | None:
        """Wait, under the lock, for a batch that is to leave; None ends the thread."""
        while True:
            now = time.monotonic()
            busy = () if self._closing else {q for q, health in self._health.items() if health.under_way}
            leaving = self._coalescer.take(now, busy)
            if leaving is not None:
                return leaving
            if self._closing:
                return None
            self._sender_waits = True
            self._changed.wait(self._coalescer.wait_s(now))
            self._sender_waits = False

    def _send(self, leaving: Leaving) -> None:
        """Take a batch through all steps; one that raises ends what has not ended by then."""
        (ref, queue), batch_id = leaving.lane, uuid.uuid4().hex
        jobs, looked_up = self._outgoing.answer(leaving.lane, leaving.jobs)
        if jobs:
            self._await_replies()
            at_ms = int(time.time() * 1000)
            jobs = self._outgoing.claim(jobs, Accepted(at_ms, self.client_id, batch_id, ref.name, queue))
        if jobs:
            health = self._checked(queue)
            jobs = self._outgoing.ration(leaving.lane, jobs)
            if jobs:
                ids = [job[0] for job in jobs]
                with self.traces.publishing(ref.name, queue, batch_id, ids) as sending:
                    carrier = sending.carrier
                    self._publish(batch_id, leaving, jobs, health, looked_up=looked_up, trace=carrier)
                self._look_at(health)

    def _checked(self, queue: str) -> QueueHealth:
        """Return what is known of *queue*, if it can take more; raise Overloaded or Unavailable."""
        health = self._health.get(queue)
        if health is None:
            health = self._health[queue] = QueueHealth(queue, self._settings.queue_limits(queue))
        if health.doubtful(time.monotonic()):
            health.learn(self._publisher.queue_state(queue), time.monotonic())
        health.check(time.monotonic())
        return health

    def _asked(self, jobs: Sequence[PackedJob]) -> list[Asked | None]:
        with self._changed:
            return [self._pending.asked(job[0]) for job in jobs]

    def _publish(
        self,
        batch_id: str,
        leaving: Leaving,
        jobs: list[PackedJob],
        health: QueueHealth,
        *,
        looked_up: bool,
        trace: dict[str, str] | None,
    ) -> None:
        ref, queue = leaving.lane
        payload = pack_batch(self.client_id, batch_id, queue, jobs, looked_up=looked_up, trace=trace)
        now = time.monotonic()
        with self._changed:
            self._under_way[batch_id] = (queue, now)
            health.sent(now)
        try:
            self._publisher.publish(ref.name, queue, batch_id, payload, len(jobs), leaving.note)
        except BaseException as error:
            with self._changed:
                self._forget_batch(batch_id)
                if isinstance(error, Overloaded):
                    health.learn(QueueState(0, memory_used_ratio=1.0), time.monotonic())
            raise
        self.meter.sent(ref.name)
        durable = [job_id for job_id, _, digest in jobs if digest is not None]
        if durable:
            with self._changed:
                woken = self._pending.sent(durable)
            if woken:
                self._wake(woken)

    def _await_replies(self) -> None:
        """Raise Unavailable rather than send what could not be answered."""
        with self._changed:
            self._changed.wait_for(lambda: self._replies_connected is not None, _FIRST_CONNECTION_S)
            if not self._replies_connected:
                trouble = self._replies_trouble
                raise type(trouble)(*trouble.args)

    def _look_at(self, health: QueueHealth) -> None:
        if not health.due(time.monotonic()):
            return
        state = QueueState(0)
        with contextlib.suppress(ProducerError):  # the next publish will tell
            state = self._publisher.queue_state(health.name)
        health.learn(state, time.monotonic())

    def _forget_batch(self, batch_id: str) -> str | None:
        """Take a batch off what is under way; return its queue.  Called under the lock."""
        queue, _ = self._under_way.pop(batch_id, (None, 0.0))
        if queue is not None:
            self._health[queue].gone()
        return queue

    def _unsent(self, jobs: list[PackedJob], error: Exception) -> None:
        """End the batch that could not be sent; if the servers are away, also all that wait behind it."""
        if isinstance(error, ProducerError):
            why: ProducerError = error.with_traceback(None)  # its frames hold the batch
        else:
            logger.error("sending a batch failed: %s", type(error).__name__)
            why = Unavailable("the broker", type(error).__name__)
        if not isinstance(why, Overloaded):
            with self._changed:
                jobs = [*jobs, *self._coalescer.take_all()]
        self._settle([(job[0], why) for job in jobs])

    # -- receiver ------------------------------------------------------------------------------------

    def _receive_loop(self) -> None:
        looked = time.monotonic()
        while not (self._closing and not self._pending):
            packed: list[bytes] = []
            try:
                if not self._replies_connected:
                    self._replies.connect()
                    self._note_connection(None)
                packed = self._replies.poll(_TICK_S)
            except Unavailable as error:
                self._note_connection(error)
                time.sleep(_RECONNECT_S)
            for reply in packed:
                try:
                    self._take_reply(reply)
                except Exception as error:  # noqa: BLE001 - this thread must live: all callers wait for it
                    logger.error("taking a reply failed: %s", type(error).__name__)  # noqa: TRY400
            now = time.monotonic()
            if now - looked >= _TICK_S:
                looked = now
                self._end_overdue(now)
        self._replies.close()

    def _note_connection(self, trouble: Unavailable | None) -> None:
        with self._changed:
            self._replies_connected = trouble is None
            if trouble is not None:
                self._replies_trouble = trouble.with_traceback(None)
            self._changed.notify_all()

    def _take_reply(self, packed: bytes) -> None:
        try:
            reply = _decode_reply(decompress(packed))
        except (msgspec.MsgspecError, Unreadable) as error:
            logger.error("a reply could not be read: %s", error)  # noqa: TRY400 - a traceback adds nothing
            return
        with self._changed:
            self._note_answer(reply)
        self._settle([(outcome.id, outcome) for outcome in reply.outcomes])

    def _note_answer(self, reply: Reply) -> None:
        queue = self._forget_batch(reply.batch_id)
        if queue is not None:
            health = self._health[queue]
            health.answered(reply.queued_ms / 1000, time.monotonic())
            if self._sender_waits and not health.under_way:
                self._changed.notify()

    def _end_overdue(self, now: float) -> None:
        with self._changed:
            overdue = self._pending.overdue(now)
            while self._under_way:  # a batch that nobody answers must not hold its queue for silent for ever
                batch_id, (_, sent) = next(iter(self._under_way.items()))
                if now - sent <= self._settings.deadline_s:
                    break
                self._forget_batch(batch_id)
        self._settle([(job_id, Outcome(job_id, Status.EXPIRED)) for job_id in overdue])
