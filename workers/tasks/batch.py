"""Answer one batch: every job gets exactly one outcome, and a bad job never fails its neighbours.

The steps of every batch task: open the batch, unpack its jobs, look them up in the cache, compute what is
not there, settle the batch with one reply, keep what was computed.  What a job *means* is a ``Kind``, given
by the task.  A batch that workers were lost with takes another way (``workers.isolation``).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from persona_system.cache.answers import BULK, CachePolicy
from workers import isolation, retry
from workers.cache.answers import Answers, NullAnswers, Plan
from workers.contract.payloads import Batch, Job, Outcome, Problem, Reply, Status
from workers.contract.wire import compress
from workers.delivery import Delivery
from workers.errors import Unanswerable
from workers.observability.tracing import NO_SPAN
from workers.runtime import Runtime
from workers.settling import DONE, Mark, Part
from workers.tasks.answering import Kind, NotNow, answer, unpack
from workers.tasks.burying import bury
from workers.tasks.opening import open_batch, refuse
from workers.tasks.parting import send_parts
from workers.tasks.telling import tell_batch, tell_cache
from workers.tasks.trailing import trail_of
from workers.watchdog import Work

logger = logging.getLogger(__name__)

_ASKED_JUST_NOW_MS = 100.0  # since the producer looked; beyond it another worker may have the answer
_AS_EVER = isolation.Answer(carefully=False)
_NO_CACHE = NullAnswers()

_LATER = Outcome("", Status.FAILED)  # stands for a job that is tried again; never sent

_encode = msgspec.msgpack.Encoder().encode


def answer_batch(payload: bytes, delivery: Delivery, runtime: Runtime, kind: Kind) -> str:
    """Answer the packed batch *payload*, job by job as *kind* says, and settle it.

    Returns what operators see of how it went.

    A message of an unknown schema version, or one that is no batch at all, is kept with the dead
    letters as it came.  Raises Unavailable when the reply store or the broker does not answer: then the
    message is to be tried again, and what was done already will not be done twice.
    """
    work = runtime.watch.begin()
    try:
        taken_up_ms = runtime.now_ms()
        try:
            batch = open_batch(payload)
        except Unanswerable as error:
            refuse(payload, delivery, runtime, error)
            return f"refused: {error.code}"
        work.batch_id = batch.id
        with runtime.tracing.batch(batch, delivery) as span:
            traced = kind if span is NO_SPAN else replace(kind, answer=span.around(kind.answer))
            answering = _Answering(batch, delivery, runtime, traced, work, taken_up_ms, runtime.chance())
            answering.trace_id = span.trace_id
            answering.run()
        return answering.told
    finally:
        runtime.watch.end(work)


@dataclass(slots=True, eq=False)
class _Answering:
    """One delivery of one batch, being answered."""

    batch: Batch
    delivery: Delivery
    runtime: Runtime
    kind: Kind
    work: Work
    taken_up_ms: float
    chance: float
    again: dict[int, float] = field(default_factory=dict)  # jobs to try once more, and after how many s
    durable: list[int] = field(default_factory=list)  # places of durable jobs
    told: str = "its end was there before"  # to operators, of how it went
    trace_id: str | None = None

    def run(self) -> None:
        """Do with the batch what its history demands."""
        match self._decide():
            case isolation.Answer(carefully=False):
                self._answer()
            case isolation.Answer():
                self._answer_carefully()
            case isolation.Split(parts):
                names = ", ".join(f"{part.name} ({len(part.jobs)})" for part in parts)
                logger.warning("batch %s cost workers; answered in parts: %s", self.batch.id, names)
                self._settle([], Mark("split", list(parts)))
            case isolation.Bury(hung):
                lost = self.delivery.lost + self._lost_before()
                job = unpack(self.batch.jobs[0])
                self.durable += [0] if isinstance(job, Job) and job.durable else []
                self._settle([bury(self.batch, lost, self.delivery, self.runtime, hung=hung)])

    def _decide(self) -> isolation.Decision | None:
        """Return what is to be done; None: nothing any more."""
        before = self._lost_before()
        if not self.delivery.lost and not before:
            return _AS_EVER
        mark, journal = self.runtime.settlements.look(self.batch.reply_to, self.batch.id)
        if mark is not None:
            send_parts(self.batch, mark, self.delivery, self.runtime)
            return None
        return isolation.decide(len(self.batch.jobs), self.delivery.lost, before, journal)

    def _lost_before(self) -> int:
        return 0 if self.batch.lost is msgspec.UNSET else self.batch.lost

    def _answer(self) -> None:
        ends, plan = self._ends(self.batch.jobs, 0, self.runtime.answers)
        self._settle(ends)
        self.runtime.answers.finish(plan)
        tell_cache(self.batch, self.runtime, plan)

    def _answer_carefully(self) -> None:
        """Answer one job after the other, without the cache, each noted before anything is done with it."""
        runtime, batch, lost = self.runtime, self.batch, self.delivery.lost
        while not runtime.careful.acquire(timeout=1.0):
            self.work.steps += 1  # another thread is at it, and is watched itself
        try:
            ends: list[Outcome] = []
            for place, packed in enumerate(batch.jobs):
                runtime.settlements.at_work(batch.id, place, lost)
                ends += self._ends([packed], place, _NO_CACHE)[0]
            runtime.settlements.at_work(batch.id, len(batch.jobs), lost)
            self._settle(ends)
        finally:
            runtime.careful.release()

    def _ends(
        self, packed: Sequence[msgspec.Raw], first: int, answers: Answers
    ) -> tuple[list[Outcome], Plan]:
        """Return how the *packed* jobs end, of which the *first* is at that place, and what *answers* had."""
        batch, kind, runtime, work = self.batch, self.kind, self.runtime, self.work
        unpacked = [unpack(one) for one in packed]
        now_ms = self.taken_up_ms
        jobs = [
            job if isinstance(job, Job) and (job.deadline_ms is None or now_ms <= job.deadline_ms) else None
            for job in unpacked
        ]
        plan = answers.begin(
            self._policy(),
            kind.request_id,
            jobs,
            ask_store=batch.looked_up is not True or self._queued_ms() > _ASKED_JUST_NOW_MS,
        )
        ends: list[Outcome] = []
        for place, job in enumerate(jobs):
            work.steps = first + place
            if job is None:
                ends.append(self._ended(unpacked[place], first + place))
                continue
            if job.durable:
                self.durable.append(first + place)
            try:
                ends.append(answer(job, place, plan, kind, runtime))
            except NotNow as error:
                ends.append(self._not_now(job, first + place, error.what))
        return ends, plan

    def _ended(self, job: Job | Outcome, place: int) -> Outcome:
        """Return how a job had ended before it was begun."""
        if isinstance(job, Outcome):
            return job
        if job.durable:
            self.durable.append(place)
        return Outcome(job.id, Status.EXPIRED)

    def _not_now(self, job: Job, place: int, what: str) -> Outcome:
        """Return how the job at *place* ends, which needs *what*: _LATER, if it is to be tried again."""
        tries, now_ms = job.tries + 1, self.runtime.now_ms()
        left_s = None if job.deadline_ms is None else (job.deadline_ms - now_ms) / 1000
        match retry.decide(retry.Failure.UNAVAILABLE, tries, left_s, retry.JOBS, self.chance):
            case retry.RetryAfter(wait_s):
                self.again[place] = wait_s
                return _LATER
            case retry.GiveUp(why):
                problem = Problem("UNAVAILABLE", f"{what} is not available: {why}", fix="send it again later")
                return Outcome(job.id, Status.FAILED, problem=problem, tries=tries)

    def _settle(self, ends: list[Outcome], mark: Mark = DONE) -> None:
        """End the batch, unless it has its end: with the outcomes that there are, and parts for the rest."""
        runtime, batch, again = self.runtime, self.batch, self.again
        if again:
            careful = min(1, self.delivery.lost + self._lost_before())
            wait_ms = int(min(again.values()) * 1000)
            mark = Mark(parts=[Part("again", list(again), careful, again=True, wait_ms=wait_ms)])
        kept = [place for place in self.durable if place not in again]
        outcomes = [end for end in ends if end is not _LATER] if again else ends
        times_ms = (self._queued_ms(), runtime.now_ms() - self.taken_up_ms)
        trail = b""
        if runtime.trails:
            trail = trail_of(batch, self.delivery, outcomes, mark, times_ms, self.trace_id)
        if kept:
            held = runtime.settlements.record([ends[place] for place in kept], trail)
            for place, end in zip(kept, held, strict=True):
                ends[place] = end
            outcomes = [end for end in ends if end is not _LATER]
        reply = Reply(batch_id=batch.id, queued_ms=times_ms[0], worked_ms=times_ms[1], outcomes=outcomes)
        packed = compress(_encode(reply))
        there = runtime.settlements.settle(batch.reply_to, batch.id, mark, packed, trail)
        if there is None:
            left_out = [f"{len(part.jobs)} {'again' if part.again else 'apart'}" for part in mark.parts]
            endpoint = self._policy().endpoint
            told = tell_batch(batch, self.delivery, runtime, endpoint, outcomes, len(again), times_ms)
            self.told = ", ".join(filter(None, (*left_out, told)))
        left = mark if there is None else there
        if left.parts:
            send_parts(batch, left, self.delivery, runtime)

    def _policy(self) -> CachePolicy:
        bulk = self.batch.bulk is True and self.kind.policy.endpoint == "process"
        return BULK if bulk else self.kind.policy

    def _queued_ms(self) -> float:
        return max(0.0, self.taken_up_ms - self.batch.sent_ms)
