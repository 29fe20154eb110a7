"""The core of both clients: gather jobs, send batches, wake whoever waits.

Two threads a client: the sender takes batches from the coalescer to the broker; the receiver takes
replies to the waiting callers and ends jobs whose deadline passed.  Callers only touch the coalescer
and the table of pending jobs, under one lock.

Every job that ``submit`` accepts is settled exactly once: with its outcome, as expired, with
Unavailable when its batch could not be sent, or with ClientClosed.
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

from producers.admission import QUEUE_CHECK_S, QueueHealth
from producers.batching import BatchLimits, Coalescer, Lane, PackedJob
from producers.errors import ClientClosed, Overloaded, ProducerError, Unavailable
from producers.pending import Asked, Gathered, PendingJobs, Woken, cached_outcome, taken
from producers.ports import Answers, Publisher, Replies
from producers.requests import Settled, for_refresh
from workers.contract.names import BULK
from workers.contract.payloads import Batch, Outcome, Reply, Status
from workers.contract.wire import Unreadable, compress, decompress

if TYPE_CHECKING:
    from producers.settings import ClientSettings  # takes 0.3 s to import; whoever has one has paid

logger = logging.getLogger(__name__)

_TICK_S = 0.1  # how often deadlines are looked at
_RECONNECT_S = 0.2  # pause between tries to reach the reply store
_FIRST_CONNECTION_S = 1.2  # patience of the first batch with the connection it will be answered on

_encode = msgspec.msgpack.Encoder().encode
_decode_reply = msgspec.msgpack.Decoder(Reply).decode


class Dispatcher:
    """Accepts packed jobs, and hands each waiter back to *wake* with how its job ended.

    *wake* is called from the receiver or the sender thread with all that one reply settles.
    """

    def __init__(
        self,
        settings: "ClientSettings",
        connect: Callable[[str], tuple[Publisher, Replies]],
        wake: Callable[[list[Woken]], None],
        answers: Answers | None = None,
    ) -> None:
        self.client_id = uuid.uuid4().hex[:16]
        self._answers = answers
        self._settings = settings
        self._wake = wake
        self._counter = itertools.count()
        self._publisher, self._replies = connect(self.client_id)
        self._coalescer = Coalescer(
            BatchLimits(settings.linger_ms / 1000, settings.max_batch_jobs, settings.max_batch_bytes)
        )
        self._changed = threading.Condition(threading.Lock())
        self._pending = PendingJobs()
        self._under_way: dict[str, tuple[str, float]] = {}  # batch -> queue, sent at; oldest first
        self._health: dict[str, QueueHealth] = {}  # by queue
        self._replies_connected: bool | None = None  # None: not tried yet
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
        job_id: str,
        packed: bytes,
        waiter: Any,
        deadline_s: float,
        asked: Asked | None = None,
    ) -> None:
        """Accept a packed job; *waiter* will be woken once.  *deadline_s* counts from now.

        *asked*: the store is looked at before a worker is; None: it is not.
        Raises Overloaded, Unavailable or ClientClosed, and then nothing was accepted.
        """
        now = time.monotonic()
        with self._changed:
            self._admit(lane, 1, now)
            if job_id in self._pending:
                raise taken()
            self._pending.add(job_id, waiter, -1, now + deadline_s, asked)
            if self._coalescer.add(lane, job_id, packed, now) and self._sender_waits:
                self._changed.notify()

    def submit_batch(
        self,
        lane: Lane,
        jobs: list[PackedJob],
        places: list[int],
        gathered: Gathered,
        deadline_s: float,
        asked: Sequence[Asked | None] | None = None,
    ) -> None:
        """Accept *jobs* that travel together; ``gathered.outcomes[places[i]]`` will hold job i's end.

        *asked* as in ``submit``, one for each job.  A job whose id is taken ends as InvalidInput.
        Raises as ``submit`` does.
        """
        now = time.monotonic()
        accepted: list[PackedJob] = []
        with self._changed:
            self._admit(lane, len(jobs), now)
            for job, place, about in zip(jobs, places, asked or [None] * len(jobs), strict=True):
                if job[0] in self._pending:
                    gathered.outcomes[place] = taken()
                    gathered.missing -= 1
                else:
                    self._pending.add(job[0], gathered, place, now + deadline_s, about)
                    accepted.append(job)
            if accepted:
                self._coalescer.add_batch(lane, accepted)
                self._changed.notify()
        if not accepted:
            self._wake([(gathered.waiter, gathered.outcomes)])

    def _admit(self, lane: Lane, jobs: int, now: float) -> None:
        """Refuse work that would only wait; called under the lock."""
        if self._closing:
            raise ClientClosed("the client is closed")
        limits = self._settings
        if len(self._pending) + jobs > limits.max_pending_jobs:
            raise Overloaded(f"{len(self._pending):,} jobs of this client are unanswered", 0.5)
        health = self._health.get(lane[1])
        if health is not None:
            health.check(limits.max_queue_batches, limits.max_queue_age_s, now)

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
            left = [job_id for job_id, _ in self._coalescer.take_all()] + list(self._pending)
            woken = self._pending.settle([(job_id, ClientClosed("the client was closed")) for job_id in left])
        if woken:
            self._wake(woken)

    # -- sender --------------------------------------------------------------------------------------

    def _send_loop(self) -> None:
        while True:
            with self._changed:
                taken = self._next_batch()
            if taken is None:
                self._publisher.close()
                if self._answers is not None:
                    self._answers.close()
                return
            lane, jobs = taken
            try:
                jobs, looked_up = self._answer_from_cache(lane, jobs)
                if jobs:
                    self._publish(lane, jobs, looked_up=looked_up)
            except Exception as error:  # noqa: BLE001 - whatever it is, callers must not wait for ever
                self._unsent(jobs, error)
            else:
                if jobs:
                    self._look_at_queue(lane[1])

    def _next_batch(self) -> tuple[Lane, list[PackedJob]] | None:
        """Wait, under the lock, for a batch that is to leave; None ends the thread."""
        while True:
            now = time.monotonic()
            taken = self._coalescer.take(now, idle=self._closing or not self._under_way)
            if taken is not None:
                return taken
            if self._closing:
                return None
            self._sender_waits = True
            self._changed.wait(self._coalescer.wait_s(now))
            self._sender_waits = False

    def _answer_from_cache(self, lane: Lane, jobs: list[PackedJob]) -> tuple[list[PackedJob], bool]:
        """Settle what the store can answer; return the rest, and whether the store was asked."""
        if self._answers is None:
            return jobs, False
        with self._changed:
            about = {
                place: one
                for place, (job_id, _) in enumerate(jobs)
                if (one := self._pending.asked(job_id)) is not None
            }
        if not about:
            return jobs, False
        places, asked = list(about), list(about.values())
        values, renew = self._answers.look_up(lane, asked)
        ended: list[tuple[str, Settled]] = []
        left = dict(enumerate(jobs))
        for place, one, value in zip(places, asked, values, strict=True):
            if value is not None:
                job_id, _ = left.pop(place)
                ended.append((job_id, cached_outcome(job_id, value, one)))
        for index in renew:
            job_id, packed = jobs[places[index]]
            left[places[index]] = (job_id, for_refresh(packed))
        if ended:
            with self._changed:
                woken = self._pending.settle(ended)
            self._wake(woken)
        return list(left.values()), True

    def _publish(self, lane: Lane, jobs: list[PackedJob], *, looked_up: bool) -> None:
        self._await_replies()
        ref, queue = lane
        batch_id = uuid.uuid4().hex
        batch = Batch(
            id=batch_id,
            reply_to=self.client_id,
            sent_ms=int(time.time() * 1000),
            jobs=[msgspec.Raw(packed) for _, packed in jobs],
            bulk=True if queue == BULK else msgspec.UNSET,
            looked_up=True if looked_up else msgspec.UNSET,
        )
        now = time.monotonic()
        with self._changed:
            self._under_way[batch_id] = (queue, now)
            health = self._health.setdefault(queue, QueueHealth(queue))
            if health.silent_since is None:
                health.silent_since = now
        try:
            self._publisher.publish(ref.name, queue, batch_id, compress(_encode(batch)), len(jobs))
        except BaseException:
            with self._changed:
                self._forget_batch(batch_id)
            raise

    def _await_replies(self) -> None:
        """Raise Unavailable rather than send what could not be answered."""
        with self._changed:
            self._changed.wait_for(lambda: self._replies_connected is not None, _FIRST_CONNECTION_S)
            if not self._replies_connected:
                raise Unavailable("the reply store", "no connection; the client keeps trying")

    def _look_at_queue(self, queue: str) -> None:
        health = self._health[queue]
        now = time.monotonic()
        if now - health.length_at > QUEUE_CHECK_S:
            health.length, health.length_at = 0, now
            with contextlib.suppress(Unavailable):  # the next publish will tell
                health.length = self._publisher.queue_length(queue)

    def _forget_batch(self, batch_id: str) -> str | None:
        """Take a batch off what is under way; return its queue.  Called under the lock."""
        queue, _ = self._under_way.pop(batch_id, (None, 0.0))
        if queue is not None and not any(other == queue for other, _ in self._under_way.values()):
            self._health[queue].silent_since = None
        return queue

    def _unsent(self, jobs: list[PackedJob], error: Exception) -> None:
        """End the batch that could not be sent, and all that wait behind it for the same broker."""
        if isinstance(error, ProducerError):
            why: ProducerError = error
        else:
            logger.error("sending a batch failed: %s", type(error).__name__)
            why = Unavailable("the broker", type(error).__name__)
        with self._changed:
            ids = [job_id for job_id, _ in (*jobs, *self._coalescer.take_all())]
            woken = self._pending.settle([(job_id, why) for job_id in ids])
        self._wake(woken)

    # -- receiver ------------------------------------------------------------------------------------

    def _receive_loop(self) -> None:
        looked = time.monotonic()
        while not (self._closing and not self._pending):
            packed: list[bytes] = []
            try:
                if not self._replies_connected:
                    self._replies.connect()
                    self._note_connection(connected=True)
                packed = self._replies.poll(_TICK_S)
            except Unavailable:
                self._note_connection(connected=False)
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

    def _note_connection(self, *, connected: bool) -> None:
        with self._changed:
            self._replies_connected = connected
            self._changed.notify_all()

    def _take_reply(self, packed: bytes) -> None:
        try:
            reply = _decode_reply(decompress(packed))
        except (msgspec.MsgspecError, Unreadable) as error:
            logger.error("a reply could not be read: %s", error)  # noqa: TRY400 - a traceback adds nothing
            return
        with self._changed:
            self._note_answer(reply)
            woken = self._pending.settle([(outcome.id, outcome) for outcome in reply.outcomes])
            if self._sender_waits and not self._under_way:
                self._changed.notify()
        if woken:
            self._wake(woken)

    def _note_answer(self, reply: Reply) -> None:
        queue = self._forget_batch(reply.batch_id)
        if queue is not None:
            health, now = self._health[queue], time.monotonic()
            health.wait_s, health.answered_at = reply.queued_ms / 1000, now
            if health.silent_since is not None:
                health.silent_since = now

    def _end_overdue(self, now: float) -> None:
        with self._changed:
            overdue = self._pending.overdue(now)
            if not overdue:
                return
            woken = self._pending.settle([(job_id, Outcome(job_id, Status.EXPIRED)) for job_id in overdue])
            for batch_id, (_, sent) in list(self._under_way.items()):
                if now - sent > self._settings.deadline_s:
                    self._forget_batch(batch_id)
        self._wake(woken)
