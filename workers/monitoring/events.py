"""The four events that tell what happened, each produced in one place, once a batch.

=======================  ============================================================================
PersonaProcessEvent      a worker has answered a batch (``workers.tasks.batch``)
RoutingDecisionEvent     its router has chosen mentors for those jobs that it computed (same place)
CachePerformanceEvent    the cache was asked for a batch (``workers.cache.answers``, ``producers.answers``)
APIRequestEvent          the gateway has served requests of one route and status, added up over a second
=======================  ============================================================================

They carry counts, names and times, and never what people wrote.  They feed the metrics, Sentry and traces,
and go out on the topic exchange ``ion.events``, many in one message, for whoever subscribes.

Units:  milliseconds, as names say; moments since the Unix epoch.
"""

from collections.abc import Callable
from typing import ClassVar, Literal

import msgspec

EXCHANGE = "ion.events"  # topic; the routing key is the event's topic and its region: persona.process.eu
EVENTS_VERSION = 1


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    at_ms: int
    region: str


class PersonaProcessEvent(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="PersonaProcessEvent"):
    """A batch of *jobs* was answered: *ended* counts them by outcome, *personas* answers by mentor.

    *errors*: failures by the type of their error.  *cached*: how many were not computed.
    """

    topic: ClassVar[str] = "persona.process"

    task: str
    queue: str
    endpoint: str
    batch_id: str
    jobs: int
    ended: dict[str, int]
    personas: dict[str, int] = {}
    errors: dict[str, int] = {}
    cached: int = 0
    again: int = 0  # jobs that are tried again
    queued_ms: float = 0.0
    worked_ms: float = 0.0


class RoutingDecisionEvent(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="RoutingDecisionEvent"):
    """The router decided for *jobs* of a batch, *analysed* of them from their text.

    Confidences lie in [0, 1]; *lowest* belongs to the least certain decision.
    """

    topic: ClassVar[str] = "routing.decision"

    batch_id: str
    jobs: int
    analysed: int
    personas: dict[str, int]
    mean_confidence: float
    lowest_confidence: float


class CachePerformanceEvent(
    _Event, frozen=True, kw_only=True, omit_defaults=True, tag="CachePerformanceEvent"
):
    """Answers were looked for: *local* and *shared* ones were found in the process and in the store.

    *look*: ``first``, by a producer: what it missed, a worker looks for ``again``, in its own memory, and
    what that finds says nothing of the cache as a whole; or the ``only`` one, by a worker.
    """

    topic: ClassVar[str] = "cache.performance"

    endpoint: str
    look: Literal["first", "again", "only"] = "only"
    local: int = 0
    shared: int = 0
    missed: int = 0
    bypassed: int = 0
    batch_id: str | None = None

    @property
    def hit_rate(self) -> float | None:
        """The share of look-ups that found an answer; None when nothing was looked for, or only ``again``."""
        asked = self.local + self.shared + self.missed
        return (self.local + self.shared) / asked if asked and self.look != "again" else None


class APIRequestEvent(_Event, frozen=True, kw_only=True, omit_defaults=True, tag="APIRequestEvent"):
    """The gateway has ended *requests* of one *route*, *method* and *status*; *codes* counts refusals."""

    topic: ClassVar[str] = "api.request"

    route: str
    method: str
    status: int
    requests: int
    total_ms: float
    slowest_ms: float
    codes: dict[str, int] = {}


Event = PersonaProcessEvent | RoutingDecisionEvent | CachePerformanceEvent | APIRequestEvent

Tell = Callable[[Event], None]
"""Takes an event; is quick, keeps no caller waiting, and raises nothing."""


def tell_nobody(event: Event) -> None:
    """Take *event* and do nothing with it."""


class Events(msgspec.Struct, kw_only=True):
    """What one message on the exchange holds."""

    v: int = EVENTS_VERSION
    source: str
    events: list[Event]
