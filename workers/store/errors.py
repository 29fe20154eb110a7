"""Every error of the database.

StoreError
+ StoreUnavailable   it did not take or give anything this time: locked, full, read-only or away
+ UnusableUrl        ION_DATABASE_URL names nothing that we can open: a matter of settings
+ NoSuchLetter       no dead letter has this id
+ SeveralLetters     several ids begin like this
"""


class StoreError(Exception):
    """Base class of the package's errors."""


class StoreUnavailable(StoreError):
    """The database failed: *what* names it, *why* says how without quoting a row, *fix* what to do."""

    def __init__(self, what: str, why: str, fix: str = "") -> None:
        super().__init__(what, why, fix)
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        said = f"{self.what} is not available: {self.why}"
        return f"{said}; {self.fix}" if self.fix else said


class UnusableUrl(StoreError):
    """ION_DATABASE_URL cannot be used: *problem* says why without quoting it, *fix* what to do."""

    field = "ION_DATABASE_URL"

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem, fix)
        self.problem, self.fix = problem, fix

    def __str__(self) -> str:
        return f"{self.field} {self.problem}; {self.fix}"


class NoSuchLetter(StoreError):
    """No dead letter has this id, nor one that begins so."""

    problem, fix = "is that of no dead letter", "`ion dead list` shows them"

    def __init__(self, letter_id: str) -> None:
        super().__init__(letter_id)
        self.letter_id = letter_id

    def __str__(self) -> str:
        return f"{self.problem}; {self.fix}"


class SeveralLetters(StoreError):
    """The ids of several dead letters begin like this."""

    problem, fix = "begins the ids of several dead letters", "give more of it"

    def __init__(self, letter_id: str) -> None:
        super().__init__(letter_id)
        self.letter_id = letter_id

    def __str__(self) -> str:
        return f"{self.problem}; {self.fix}"
