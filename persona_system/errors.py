"""Every error the package raises.

PersonaError
+ InvalidInput          the caller's value is wrong: reject, never retry
  - MalformedKey        a resonance key that is not ``tone-pace-intent``
  - UnknownResonance    a tone, pace or intent with no row in the affinity matrix
  - UnknownPersona      a persona that the catalogue does not hold
+ Unavailable           a server did not answer
+ InvalidCatalogue      a data file of ours (matrix, persona, template, lexicon) is wrong: fix the file
"""


class PersonaError(Exception):
    """Base class of the package's errors."""


class InvalidInput(PersonaError):
    """A value is outside its domain: names the field, what is wrong with it, and what to send instead.

    Arguments are positional, so that the error can be rebuilt in another process.  *problem* never
    quotes what a person wrote as a message; values of closed vocabularies may be quoted, shortened.
    """

    code = "INVALID_INPUT"

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(field, problem, fix)
        self.field, self.problem, self.fix = field, problem, fix

    def __str__(self) -> str:
        return f"{self.field} {self.problem}; {self.fix}"


class MalformedKey(InvalidInput):
    """A resonance key does not have the form ``tone-pace-intent``."""


class UnknownResonance(InvalidInput):
    """A tone, pace or intent has no row in the affinity matrix."""


class UnknownPersona(InvalidInput):
    """No persona of that name is in the catalogue."""

    code = "UNKNOWN_PERSONA"


class Unavailable(PersonaError):
    """A server did not answer: *what* names it, *why* says how it failed."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what, self.why = what, why

    def __str__(self) -> str:
        return f"{self.what} is not available: {self.why}"


class InvalidCatalogue(PersonaError):
    """A data file of the catalogue is wrong: names the file and the row, value or line to fix."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(source, problem)
        self.source, self.problem = source, problem

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


def shorten(value: object, limit: int = 40) -> str:
    """Return ``repr(value)`` cut to *limit* characters, to quote a wrong value in an error."""
    quoted = repr(value)
    return quoted if len(quoted) <= limit else quoted[: limit - 1] + "…"
