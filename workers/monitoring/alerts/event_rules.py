"""Four rules on single events: what Sentry is told at once, without waiting for a figure.

``event_rules`` is pure.  ``Sieve`` lets one finding of a kind through in a minute and counts the others, so
that a burst is one message.

Units:   milliseconds as in the events; seconds by the monotonic clock.
Errors:  none.
Source:  facts of the system, section 8: High Error Rate (a 5xx), Slow Response (> 2000 ms), Low Cache Hit
         Rate (< 0.5), Persona Processing Error.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from workers.monitoring.alerts.alert import Level
from workers.monitoring.events import (
    APIRequestEvent,
    CachePerformanceEvent,
    Event,
    PersonaProcessEvent,
)

SLOW_MS = 2_000
LOW_HIT_RATE = 0.5
LEAST_LOOKUPS = 10  # of one event; a lone job that is new would be a rate of 0
SERVER_ERROR = 500
_BULK = "bulk_process"  # nobody waits for it
_MOST_KINDS = 500  # of findings that a sieve remembers


@dataclass(frozen=True, slots=True)
class EventRule:
    """One of the four: its *name* for people, and how grave what it finds is."""

    name: str
    level: Level
    about: str


HIGH_ERROR_RATE = EventRule("High Error Rate", "high", "The gateway answered with a 5xx.")
SLOW_RESPONSE = EventRule("Slow Response", "medium", "An answer took longer than 2000 ms.")
LOW_CACHE_HIT_RATE = EventRule("Low Cache Hit Rate", "low", "The cache had less than half of what was asked.")
PERSONA_ERROR = EventRule("Persona Processing Error", "high", "Jobs failed while a worker answered them.")

EVENT_RULES = (HIGH_ERROR_RATE, SLOW_RESPONSE, LOW_CACHE_HIT_RATE, PERSONA_ERROR)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found: a sentence, and *tags*, which with the rule's name say what is the same again.

    *figures* hold what differs from one finding to the next.  *times*: how often it was found since the last
    one that was let through, this one included.
    """

    rule: EventRule
    message: str
    tags: Mapping[str, str]
    figures: Mapping[str, float] = field(default_factory=dict)
    times: int = 1

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """What is the same for all findings of a kind."""
        return (self.rule.name, *(f"{name}={value}" for name, value in sorted(self.tags.items())))


def event_rules(event: Event) -> list[Finding]:
    """Return what the four rules find in *event*."""
    match event:
        case APIRequestEvent():
            return list(_of_requests(event))
        case PersonaProcessEvent():
            return list(_of_batch(event))
        case CachePerformanceEvent():
            return list(_of_cache(event))
        case _:
            return []


class Sieve:
    """Lets one finding of a kind through in *every_s*.  Safe to use from many threads."""

    def __init__(self, monotonic: Callable[[], float], every_s: float = 60.0) -> None:
        self._monotonic, self._every_s = monotonic, every_s
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, ...], tuple[float, int]] = {}  # when one passed, and how many did not

    def passes(self, finding: Finding) -> Finding | None:
        """Return *finding* with how often it occurred; None: one of the kind has just passed."""
        now = self._monotonic()
        kind = finding.fingerprint
        with self._lock:
            passed, held = self._kinds.get(kind, (None, 0))
            if passed is not None and now - passed < self._every_s:
                self._kinds[kind] = (passed, held + finding.times)
                return None
            if passed is None and len(self._kinds) >= _MOST_KINDS:
                self._kinds.clear()  # their counts are lost, which costs a message each
            self._kinds[kind] = (now, 0)
        times = finding.times + held
        return Finding(finding.rule, finding.message, finding.tags, finding.figures, times)


def _of_requests(event: APIRequestEvent) -> Iterator[Finding]:
    tags = {"route": event.route, "method": event.method, "region": event.region}
    if event.status >= SERVER_ERROR:
        said = f"{event.method} {event.route} answered {event.status}"
        figures = {"requests": float(event.requests)}
        yield Finding(HIGH_ERROR_RATE, said, {**tags, "status": str(event.status)}, figures, event.requests)
    if event.slowest_ms > SLOW_MS:
        said = f"{event.method} {event.route} took longer than {SLOW_MS} ms"
        yield Finding(SLOW_RESPONSE, said, tags, {"slowest_ms": event.slowest_ms})


def _of_batch(event: PersonaProcessEvent) -> Iterator[Finding]:
    tags = {"endpoint": event.endpoint, "queue": event.queue, "region": event.region}
    took_ms = event.queued_ms + event.worked_ms
    if took_ms > SLOW_MS and event.endpoint != _BULK:
        said = f"a batch of {event.endpoint} took longer than {SLOW_MS} ms"
        figures = {"queued_ms": event.queued_ms, "worked_ms": event.worked_ms}
        yield Finding(SLOW_RESPONSE, said, tags, figures)
    for error, jobs in sorted(event.errors.items()):
        said = f"{event.endpoint} failed with {error}"
        yield Finding(PERSONA_ERROR, said, {**tags, "error": error}, {"jobs": float(jobs)}, max(1, jobs))


def _of_cache(event: CachePerformanceEvent) -> Iterator[Finding]:
    rate = event.hit_rate
    asked = event.local + event.shared + event.missed
    if rate is not None and asked >= LEAST_LOOKUPS and rate < LOW_HIT_RATE:
        said = f"the cache had less than half of what {event.endpoint} asked for"
        tags = {"endpoint": event.endpoint, "region": event.region}
        yield Finding(LOW_CACHE_HIT_RATE, said, tags, {"hit_rate": rate, "asked": float(asked)})
