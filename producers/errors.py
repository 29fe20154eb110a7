"""Every error a producer sees, beside the domain's InvalidInput.

ProducerError
+ Unavailable        the broker or the reply store does not answer: nothing was accepted, or it is unknown
+ Overloaded         the fleet or this client is full: try again after ``retry_after_s``
+ DeadlineExceeded   the job's deadline passed before its outcome came
+ JobFailed          the job was accepted and ended in a failure of ours
  - JobDead          no worker can answer it; it is kept with the dead letters
+ ClientClosed       the client was closed before the job was answered
"""


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


class Overloaded(ProducerError):
    """More work waits than the limit allows; nothing was accepted."""

    code = "OVERLOADED"

    def __init__(self, why: str, retry_after_s: float) -> None:
        super().__init__(why, retry_after_s)
        self.why, self.retry_after_s = why, retry_after_s

    def __str__(self) -> str:
        return f"{self.why}; try again in {self.retry_after_s:g} s"


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
