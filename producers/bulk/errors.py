"""Why a bulk run does not start or does not end.  A bad line is none of these: it becomes a reject.

BulkError
+ UnusableInput     the input cannot be opened or read: another file, or another format
  - WrongHeader     the CSV header lacks a column, or holds one that is not known
  - BrokenInput     the input stopped being readable on the way, e.g. a truncated gzip file
+ UnusableOutput    a result file cannot be written
"""


class BulkError(Exception):
    """Base class of the package's errors: what is wrong with which file, and what to do."""

    def __init__(self, file: str, problem: str, fix: str) -> None:
        super().__init__(file, problem, fix)
        self.file, self.problem, self.fix = file, problem, fix

    def __str__(self) -> str:
        return f"{self.file} {self.problem}; {self.fix}"


class UnusableInput(BulkError):
    """The input cannot be opened or read."""


class WrongHeader(UnusableInput):
    """The CSV header lacks a column, or holds one that is not known."""


class BrokenInput(UnusableInput):
    """The input stopped being readable on the way."""


class UnusableOutput(BulkError):
    """A result file cannot be written."""
