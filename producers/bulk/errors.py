"""Why a bulk run does not start or does not end.  A bad line is none of these: it becomes a reject.

BulkError
+ UnusableInput     the input cannot be opened or read: another file, or another format
  - WrongHeader     the CSV header, or a Parquet schema, lacks a column or holds one that is not known
  - BrokenInput     the input stopped being readable on the way, e.g. a truncated gzip file
  - ChangedInput    the input is not the one that the run began with
+ UnusableOutput    a result file cannot be written
+ MissingExtra      a format needs a library that is not installed
+ TooManyRejects    more lines were rejected than the caller allows
+ NotResumable      the run cannot go on: nobody knows it, or its files are not what it left
+ RunBusy           another process works at the run, or has taken it over
+ LedgerAway        the database with the ledger of runs does not take or give anything
"""


class BulkError(Exception):
    """Base class of the package's errors: what is wrong with which file or run, and what to do."""

    def __init__(self, file: str, problem: str, fix: str) -> None:
        super().__init__(file, problem, fix)
        self.file, self.problem, self.fix = file, problem, fix

    def __str__(self) -> str:
        return f"{self.file} {self.problem}; {self.fix}"


class UnusableInput(BulkError):
    """The input cannot be opened or read."""


class WrongHeader(UnusableInput):
    """The CSV header, or a Parquet schema, lacks a column or holds one that is not known."""


class BrokenInput(UnusableInput):
    """The input stopped being readable on the way."""


class ChangedInput(UnusableInput):
    """The input is not the one that the run began with."""


class UnusableOutput(BulkError):
    """A result file cannot be written."""


class MissingExtra(BulkError):
    """A format needs a library that is not installed."""


class TooManyRejects(BulkError):
    """More lines were rejected than the caller allows."""


class NotResumable(BulkError):
    """The run cannot go on: nobody knows it, or its files are not what it left."""


class RunBusy(BulkError):
    """Another process works at the run, or has taken it over."""


class LedgerAway(BulkError):
    """The database with the ledger of runs does not take or give anything."""
