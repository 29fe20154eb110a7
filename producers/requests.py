"""What a caller asks for and what it gets back, before and after the wire."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from persona_system.errors import InvalidInput
from persona_system.models import Context
from persona_system.vocabulary import ResonanceKey
from producers.errors import ProducerError

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class PersonaRequest:
    """One message to answer; without *resonance_key* the worker derives it from the text.

    *deadline* counts from submission; None takes the client's default.  *job_id* is the idempotency
    key; None lets the client make one.
    """

    user_input: str
    resonance_key: str | ResonanceKey | None = None
    context: Context | None = None
    metadata: dict[str, Any] | None = None
    deadline: timedelta | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobOutcome(Generic[ResultT]):
    """How one job ended: *result* when *status* is ok, else *error*.

    *status* is one of the contract's five, or ``unsent`` when the fleet never accepted the job.
    """

    job_id: str
    status: str
    result: ResultT | None
    error: InvalidInput | ProducerError | None

    def unwrap(self) -> ResultT:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        assert self.result is not None  # noqa: S101 - an outcome has one of the two
        return self.result
