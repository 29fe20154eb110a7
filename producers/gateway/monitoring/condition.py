"""How the service is, decided from what the last look at each thing that it needs has found.

Without its broker, its reply store or a worker no new message is answered: the service is down.  Anything
else that is wrong degrades it: slower, or without something that can be done without for a while.

Units:  seconds of a monotonic clock; latencies in milliseconds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from producers.admission import QueueState
from producers.gateway.service_schemas import Condition, DependencyOut

VITAL = ("broker", "replies", "workers")
WORKERS = "workers"

STALE_S = 5.0  # what was found longer ago is not relied on
HEARD_S = 10.0  # a worker heard of since then counts as there: one restarts in less


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look has found: *condition*, and what is wrong in words that anybody may read."""

    condition: Condition = "operational"
    detail: str | None = None
    queues: tuple[tuple[str, QueueState], ...] = ()  # of the broker
    workers: int | None = None  # how many there are; None: nobody tells


@dataclass(frozen=True, slots=True)
class Seen:
    """A finding, when it was made, how long that took, and when all was last not down."""

    finding: Finding
    at: float
    latency_ms: float | None = None
    good_at: float = -math.inf


@dataclass(frozen=True, slots=True)
class ServiceState:
    """All that is known at the time *now*; a dependency that nobody has looked at yet has None."""

    seen: Mapping[str, Seen | None]
    now: float

    @property
    def condition(self) -> Condition:
        """How the service is as a whole."""
        conditions = {name: self._dependency(seen)["status"] for name, seen in self.seen.items()}
        if any(conditions[name] == "down" for name in VITAL):
            return "down"
        return "operational" if set(conditions.values()) == {"operational"} else "degraded"

    def dependencies(self) -> dict[str, DependencyOut]:
        """Return each dependency as callers read it."""
        return {name: self._dependency(seen) for name, seen in self.seen.items()}

    def missing(self) -> list[str]:
        """Return which dependencies keep this process from answering new messages."""
        return [name for name in VITAL if not self._usable(name)]

    def queues(self) -> tuple[tuple[str, QueueState], ...]:
        """Return the queues as the broker last told; none while it is away."""
        seen = self.seen["broker"]
        return () if seen is None else seen.finding.queues

    def workers(self) -> int | None:
        """Return how many workers there are; None: nobody tells."""
        seen = self.seen[WORKERS]
        return None if seen is None else seen.finding.workers

    def _dependency(self, seen: Seen | None) -> DependencyOut:
        if seen is None:
            return {"status": "down", "latency_ms": None, "detail": "nobody has looked yet"}
        condition, detail, age_s = seen.finding.condition, seen.finding.detail, self.now - seen.at
        if age_s > STALE_S:
            detail = f"nothing is known since {age_s:.0f} s"
            condition = "degraded" if condition == "operational" else condition
        return {"status": condition, "latency_ms": seen.latency_ms, "detail": detail}

    def _usable(self, name: str) -> bool:
        seen = self.seen[name]
        if seen is None or self.now - seen.good_at > HEARD_S:
            return False
        return name == WORKERS or seen.finding.condition != "down"
