"""Step 4: chunks go to the fleet, and what nobody answered goes again.

Overloaded slows the run down: fewer batches may be in flight, what is in flight is collected, and nothing is
sent for as long as the fleet said.  Unavailable is tried again with backoff.  Jobs that expired go again;
so does a chunk that later ones have overtaken, or that nobody speaks of for long: a message may be
lost with its broker.  When nothing has been answered for the stated patience, the run gives up.
Answers are pure and a line is written once, so sending a job again does no harm.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from producers.bulk.answer import Answer
from producers.bulk.chunk import Chunk
from producers.bulk.credit import Credit
from producers.errors import Overloaded, Unavailable
from producers.requests import JobOutcome, PersonaRequest

Outcomes = list[JobOutcome[Answer]]
Submit = Callable[[Sequence[PersonaRequest]], Future[Outcomes]]

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 5.0
SHORTEST_WAIT_S = 0.01  # an Overloaded that says "at once" must not spin
OVERTAKEN_S = 10.0  # after later chunks were answered; a worker's death is over by then
SILENCE_S = 20.0  # without any answer, until the oldest chunk goes once more
MOST_TRIES = 3  # for jobs that expire while their neighbours are answered
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


class GaveUp(Exception):
    """Nothing was answered for as long as the run is patient."""


class Interrupted(Exception):
    """A stop was requested while the run was waiting."""


@dataclass(slots=True, eq=False)
class Sent:
    """A chunk on its way: what is known of its *outcomes*, and who will tell of which of the others."""

    chunk: Chunk
    outcomes: list[JobOutcome[Answer] | None]
    flights: dict[Future[Outcomes], Sequence[int]] = field(default_factory=dict)
    sent_at: float = 0.0
    overtaken_at: float | None = None
    tries: int = 0  # in which neighbours were answered

    @property
    def ready(self) -> bool:
        """Whether there is something to take."""
        return not self.flights or any(future.done() for future in self.flights)

    def missing(self) -> list[int]:
        """Return the places whose outcomes are not known."""
        return [place for place, outcome in enumerate(self.outcomes) if outcome is None]

    def settled(self) -> Outcomes:
        """Return the outcomes of a chunk that has them all."""
        return [outcome for outcome in self.outcomes if outcome is not None]


def _no_relief() -> bool:
    return False


class Sender:
    """Sends chunks and waits for their outcomes; remembers since when nothing was answered."""

    def __init__(
        self,
        submit: Submit,
        patience: timedelta,
        stop: Stop,
        watcher: Waiting,
        clock: Callable[[], float],
        window: int = 1,
    ) -> None:
        self._submit, self._patience_s = submit, patience.total_seconds()
        self._stop, self._watcher, self._clock = stop, watcher, clock
        self.credit = Credit(window, window)
        self._silent_since: float | None = None
        self._backoff_s = FIRST_BACKOFF_S
        self._not_before = 0.0  # when the fleet is ready for more, as far as it said
        self._why_not = ""
        self._newest_answered = float("-inf")  # when it had been sent

    def send(self, chunk: Chunk, relieve: Callable[[], bool] = _no_relief) -> Sent:
        """Put *chunk* on the queue; raise GaveUp or Interrupted when that does not work out.

        *relieve* collects one chunk that is in flight, and returns whether there was one.
        """
        sent = Sent(chunk, [None] * len(chunk.requests))
        if chunk.requests:
            self._put(sent, range(len(chunk.requests)), relieve)
        return sent

    def settle(self, window: Sequence[Sent], *, ordered: bool = True) -> Sent:
        """Wait until a chunk of *window* has all its outcomes, and return it: the first one if *ordered*."""
        candidates = window[:1] if ordered else window
        while True:
            for sent in candidates:
                if self._take(sent):
                    return sent
            self._wait(candidates, window)

    def _put(self, sent: Sent, places: Sequence[int], relieve: Callable[[], bool] = _no_relief) -> None:
        requests = sent.chunk.requests
        if len(places) < len(requests):
            requests = [requests[place] for place in places]
        while True:
            while (wait_s := self._not_before - self._clock()) > 0:
                if not relieve():
                    self._be_patient(self._why_not, wait_s)
            try:
                sent.flights[self._submit(requests)] = places
            except Overloaded as error:
                self._heed(error)
            except Unavailable as error:
                self._be_patient(str(error))
            else:
                sent.sent_at, sent.overtaken_at = self._clock(), None
                return

    def _heed(self, refusal: Overloaded) -> None:
        self.credit = self.credit.refused()
        self._not_before = self._clock() + max(refusal.retry_after_s, SHORTEST_WAIT_S)
        self._why_not = refusal.why

    def _take(self, sent: Sent) -> bool:
        """Take what has come for *sent*, and send again what has to; tell whether all is known."""
        if not sent.flights:
            return True
        done = [future for future in sent.flights if future.done()]
        if not done:
            return False
        why = ""
        for future in done:
            places = sent.flights.pop(future)
            try:
                outcomes = future.result()
            except Overloaded as error:
                self._heed(error)
                continue
            except Unavailable as error:
                why = str(error)
                continue
            why = self._fill(sent, places, outcomes) or why
        missing = sent.missing()
        if not missing:
            sent.flights.clear()
            self._newest_answered = max(self._newest_answered, sent.sent_at)
            return True
        if not sent.flights:
            if why:
                self._be_patient(why)
            self._put(sent, missing)
        return False

    def _fill(self, sent: Sent, places: Sequence[int], outcomes: Outcomes) -> str:
        """Note *outcomes* in their places; say why nobody answered any of them, "" if somebody did."""
        answered = any(outcome.status in _ANSWERED for outcome in outcomes)
        if answered:
            self._silent_since, self._backoff_s = None, FIRST_BACKOFF_S
            self.credit = self.credit.answered()
            sent.tries += 1
        why = ""
        for place, outcome in zip(places, outcomes, strict=True):
            if outcome.status not in _UNANSWERED or sent.tries >= MOST_TRIES:
                sent.outcomes[place] = outcome
            elif not answered:
                why = why or ("no worker answers" if outcome.status == "expired" else str(outcome.error))
        return why

    def _wait(self, candidates: Sequence[Sent], window: Sequence[Sent]) -> None:
        """Wait for an answer a while, as long as the run is patient; send again what seems lost."""
        silent_since = self._silent_from_now()
        left_s = max(self._patience_s - (self._clock() - silent_since), 0.0)
        flights = [future for sent in candidates for future in sent.flights]
        if wait(flights, min(left_s, _LOOK_EVERY_S), FIRST_COMPLETED).done:
            return
        if self._stop.urgent:
            raise Interrupted("stopped at once on request")
        if left_s <= 0:
            raise GaveUp("no worker answers")
        now = self._clock()
        for sent in candidates:
            if self._seems_lost(sent, window, now):
                self._put(sent, sent.missing())
                return
        oldest = candidates[0]
        silent_s = now - max(oldest.sent_at, silent_since)
        if silent_s >= SILENCE_S:
            self._put(oldest, oldest.missing())
        elif now - silent_since >= _LONG_SILENCE_S:
            self._watcher.waiting("no answer yet", left_s)

    def _seems_lost(self, sent: Sent, window: Sequence[Sent], now: float) -> bool:
        """Tell whether chunks that were sent after *sent* have been answered for a while."""
        if sent.overtaken_at is None:
            later = any(other.ready for other in window if other.sent_at > sent.sent_at)
            if later or self._newest_answered > sent.sent_at:
                sent.overtaken_at = now
        return sent.overtaken_at is not None and now - sent.overtaken_at >= OVERTAKEN_S

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
