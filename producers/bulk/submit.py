"""Step 4: chunks go to the fleet, and what nobody answered goes again.

Overloaded slows the run down: what is in flight is collected first, then it waits as long as it is told
to.  Unavailable, or a chunk that came back unanswered, is tried again with backoff.  When nothing has been
answered for the stated patience, the run gives up.
Answers are pure and keyed by job, so sending a chunk again does no harm.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from persona_system.models import Response
from producers.bulk.chunk import Chunk
from producers.errors import Overloaded, Unavailable
from producers.requests import JobOutcome, PersonaRequest

Outcomes = list[JobOutcome[Response]]
Submit = Callable[[Sequence[PersonaRequest]], Future[Outcomes]]

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 5.0
SHORTEST_WAIT_S = 0.01  # an Overloaded that says "at once" must not spin
_LOOK_EVERY_S = 0.25  # at the stop request, while waiting for an answer
_LONG_SILENCE_S = 5.0  # after which the user is told

_UNANSWERED = frozenset({"expired", "unsent"})
_ANSWERED = frozenset({"ok", "failed", "dead"})  # a job may be rejected before it is sent


class Stop(Protocol):
    """Tells a run to end early, and wakes it from waiting.

    *breakable* is set while the run only reads: then a request may raise KeyboardInterrupt in it, since
    a read from a pipe can last for ever.
    """

    breakable: bool

    @property
    def urgent(self) -> bool:
        """Whether it may not even wait for the answers that are under way."""

    @property
    def requested(self) -> bool:
        """Whether the run has to end."""

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until a stop is requested; say whether it is."""


class Waiting(Protocol):
    """Is told why the run waits."""

    def waiting(self, why: str, seconds: float) -> None:
        """Take note that the run waits for *seconds* because of *why*."""


def _no_relief() -> bool:
    return False


class GaveUp(Exception):
    """Nothing was answered for as long as the run is patient."""


class Interrupted(Exception):
    """A stop was requested while the run was waiting."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A chunk on its way."""

    chunk: Chunk
    answer: Future[Outcomes]


class Sender:
    """Sends chunks and waits for their outcomes; remembers since when nothing was answered."""

    def __init__(
        self,
        submit: Submit,
        patience: timedelta,
        stop: Stop,
        watcher: Waiting,
        clock: Callable[[], float],
    ) -> None:
        self._submit, self._patience_s = submit, patience.total_seconds()
        self._stop, self._watcher, self._clock = stop, watcher, clock
        self._silent_since: float | None = None
        self._backoff_s = FIRST_BACKOFF_S

    def send(self, chunk: Chunk, relieve: Callable[[], bool] = _no_relief) -> Sent:
        """Put *chunk* on the queue; raise GaveUp or Interrupted when that does not work out.

        *relieve* collects one chunk that is in flight, and returns whether there was one.
        """
        if not chunk.requests:
            nothing: Future[Outcomes] = Future()
            nothing.set_result([])
            return Sent(chunk, nothing)
        while True:
            try:
                return Sent(chunk, self._submit(chunk.requests))
            except Overloaded as error:
                if not relieve():
                    self._be_patient(error.why, error.retry_after_s)
            except Unavailable as error:
                self._be_patient(str(error))

    def settle(self, sent: Sent) -> Outcomes:
        """Wait for the outcomes of *sent*, sending it again while nobody answers."""
        while True:
            try:
                outcomes = self._answer(sent)
            except (Unavailable, Overloaded) as error:
                self._be_patient(str(error))
            else:
                unanswered = _why_unanswered(outcomes)
                if unanswered is None:
                    if outcomes:
                        self._silent_since, self._backoff_s = None, FIRST_BACKOFF_S
                    return outcomes
                self._be_patient(unanswered)
            sent = self.send(sent.chunk)

    def _answer(self, sent: Sent) -> Outcomes:
        """Wait for the answer, as long as the run is patient."""
        silent_since = self._silent_from_now()
        while True:
            silent_s = self._clock() - silent_since
            left_s = max(self._patience_s - silent_s, 0.0)
            try:
                return sent.answer.result(min(left_s, _LOOK_EVERY_S))
            except TimeoutError:
                if sent.answer.done():  # then it is the answer
                    raise
            if self._stop.urgent:
                raise Interrupted("stopped at once on request")
            if left_s <= 0:
                raise GaveUp("no worker answers")
            if silent_s >= _LONG_SILENCE_S:
                self._watcher.waiting("no answer yet", left_s)

    def _silent_from_now(self) -> float:
        if self._silent_since is None:
            self._silent_since = self._clock()
        return self._silent_since

    def _be_patient(self, why: str, wait_s: float | None = None) -> None:
        left_s = self._patience_s - (self._clock() - self._silent_from_now())
        if left_s <= 0:
            raise GaveUp(why)
        if wait_s is None:
            wait_s = self._backoff_s
            self._backoff_s = min(self._backoff_s * 2, LONGEST_BACKOFF_S)
        seconds = min(max(wait_s, SHORTEST_WAIT_S), left_s)
        self._watcher.waiting(why, seconds)
        if self._stop.wait(seconds):
            raise Interrupted("stopped on request")


def _why_unanswered(outcomes: Outcomes) -> str | None:
    """Say why nobody answered the chunk; None if somebody did or none of its jobs needs an answer."""
    silent = None
    for outcome in outcomes:
        if outcome.status in _ANSWERED:
            return None
        if silent is None and outcome.status in _UNANSWERED:
            silent = outcome
    if silent is None:
        return None
    return "no worker answers" if silent.status == "expired" else str(silent.error)
