"""Every error of the worker side.

WorkerError
+ Unavailable          a server did not answer: the batch is tried again with backoff
+ Unanswerable         a message that no worker of this version can answer: it becomes a dead letter
"""


class WorkerError(Exception):
    """Base class of the package's errors."""


class Unavailable(WorkerError):
    """A server did not answer: *what* names it, *why* says how it failed."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what, self.why = what, why

    def __str__(self) -> str:
        return f"{self.what} is not available: {self.why}"


class Unanswerable(WorkerError):
    """A message cannot be answered: *code* is stable, *problem* says why without quoting it."""

    def __init__(self, code: str, field: str, problem: str, fix: str) -> None:
        super().__init__(code, field, problem, fix)
        self.code, self.field, self.problem, self.fix = code, field, problem, fix

    def __str__(self) -> str:
        return f"{self.problem} ({self.code}); {self.fix}"
