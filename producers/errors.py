"""Every error a producer sees, beside the domain's InvalidInput.

ProducerError
+ Unavailable        the broker or the reply store does not answer: nothing was accepted, or it is unknown
  - NotWritable      the server answers and takes no writes: a read-only replica, a broken disk
  - AccessDenied     the server refuses our password, rights or certificate: waiting will not help
+ Overloaded         the fleet or this client is full: try again after ``retry_after_s``
  - Rationed           the caller's own rate limit is reached
+ DeadlineExceeded   the job's deadline passed before its outcome came
+ JobFailed          the job was accepted and ended in a failure of ours
  - JobDead          no worker can answer it; it is kept with the dead letters
+ ClientClosed       the client was closed before the job was answered

InvalidInput
+ IdempotencyConflict  the job id was used for another request
"""

from persona_system.errors import InvalidInput


class ProducerError(Exception):
    """Base class of the package's errors; *code* is stable and fit for programs."""

    code = "PRODUCER_ERROR"


class Unavailable(ProducerError):
    """A server did not answer: *what* names it, *why* says how it failed."""

    code = "UNAVAILABLE"

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what, self.why = what, why

    def __str__(self) -> str:
        return f"{self.what} is not available: {self.why}"


class NotWritable(Unavailable):
    """The server answers, and takes no writes; *why* says what an operator has to do."""

    code = "NOT_WRITABLE"


class AccessDenied(Unavailable):
    """The server refuses our password, rights or certificate; *why* says what to set right."""

    code = "ACCESS_DENIED"


class Overloaded(ProducerError):
    """More work waits than the limit allows; nothing was accepted.

    *retry_after_s* is estimated from how fast the work drains.
    """

    code = "OVERLOADED"

    def __init__(self, why: str, retry_after_s: float) -> None:
        super().__init__(why, retry_after_s)
        self.why, self.retry_after_s = why, retry_after_s

    def __str__(self) -> str:
        return f"{self.why}; try again in {self.retry_after_s:g} s"


class Rationed(Overloaded):
    """The rate limit that clients with the same key share is reached; the fleet may be idle."""


class DeadlineExceeded(ProducerError):
    """The job's deadline passed; a late outcome is dropped."""

    code = "DEADLINE_EXCEEDED"

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"job {self.job_id}: its deadline passed before an outcome came"


class JobFailed(ProducerError):
    """The job ended in a failure that is not the caller's: *code* and *problem* say which."""

    def __init__(self, job_id: str, code: str, problem: str) -> None:
        super().__init__(job_id, code, problem)
        self.job_id, self.code, self.problem = job_id, code, problem

    def __str__(self) -> str:
        return f"job {self.job_id}: {self.problem} ({self.code})"


class JobDead(JobFailed):
    """No worker can answer the job; it is kept with the dead letters."""


class ClientClosed(ProducerError):
    """The client was closed before the job was answered, or was used after that."""

    code = "CLIENT_CLOSED"


class IdempotencyConflict(InvalidInput):
    """The job id belongs to another request; nothing was sent."""

    code = "IDEMPOTENCY_CONFLICT"


def conflict() -> IdempotencyConflict:
    """Return the refusal of a request under an id that another one has."""
    return IdempotencyConflict("job_id", "was used for another request", "use a new id for another request")
