"""Answer one job: what a job means, and how it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from persona_system.cache.answers import CachePolicy
from persona_system.errors import InvalidInput, Unavailable
from workers.cache.answers import Plan, RequestId
from workers.contract.payloads import Job, Outcome, Problem, Status, with_metadata
from workers.observability.context import binding
from workers.runtime import Runtime
from workers.tasks.opening import id_of

_encode = msgspec.msgpack.Encoder().encode
_decode_job = msgspec.msgpack.Decoder(Job).decode


@dataclass(frozen=True, slots=True)
class Kind:
    """What a task's jobs are: how one is answered and by whom, and what its answer depends on."""

    policy: CachePolicy
    request_id: RequestId
    answer: Callable[[Job], Any]
    persona_of: Callable[[Any], str]


class NotNow(Exception):
    """A job cannot be answered at present: *what* is away."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def unpack(packed: msgspec.Raw) -> Job | Outcome:
    """Return the job, or how it has ended already."""
    try:
        return _decode_job(packed)
    except (msgspec.MsgspecError, RecursionError) as error:
        message, _, path = str(error).partition(" - at ")
        problem = Problem(
            "INVALID_INPUT", message, path.strip("`$.") or "job", "send what the contract names"
        )
        return Outcome(id_of(packed), Status.REJECTED, problem=problem)


def answer(job: Job, place: int, plan: Plan, kind: Kind, runtime: Runtime) -> Outcome:
    """Answer *job*, which is at *place* of the *plan*; whatever goes wrong is its own affair.

    Raises NotNow when it needs a server that is away, and there is no older answer.
    """
    known = plan.keys[place] is not None
    value = plan.ready(place) if known else None
    cached = value is not None
    if value is None:
        try:
            if known:
                value, cached = _compute(job, place, plan, kind, runtime)
            else:
                value = _encode(kind.answer(job))
        except InvalidInput as error:
            problem = Problem(error.code, error.problem, error.field, error.fix)
            return Outcome(job.id, Status.REJECTED, problem=problem)
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and type(error) is not SystemExit:
                raise  # Celery's own wish to end this process, told by a signal
            value, cached = plan.old(place), True
            if value is None and isinstance(error, Unavailable):
                raise NotNow(error.what) from error
            if not isinstance(error, Unavailable):
                with binding(job_id=job.id, request_id=job.request_id):
                    runtime.report_bug("answering a job", error)
            if value is None:
                problem = Problem("INTERNAL", f"an internal error ({type(error).__name__})")
                return Outcome(job.id, Status.FAILED, problem=problem)
    if job.metadata is not None:
        value = with_metadata(value, job.metadata)
    return Outcome(job.id, Status.OK, msgspec.Raw(value), None, cached, job.tries and job.tries + 1)


def _compute(job: Job, place: int, plan: Plan, kind: Kind, runtime: Runtime) -> tuple[bytes, bool]:
    """Return the packed answer, and whether it was another's: the cache may know a process that is at it."""

    def make() -> tuple[bytes, str]:
        result = kind.answer(job)
        return _encode(result), kind.persona_of(result)

    value, computed = runtime.answers.compute(plan, place, make)
    return value, not computed
