"""What travels over HTTP about the service: its health, its state and its cache, for those who run it.

Shares have no unit and lie in [0, 1]; names of fields end with their unit; timestamps are ISO 8601 in UTC.
Source:  facts of the system, section 7.
"""

from typing import Literal

from typing_extensions import TypedDict

from producers.gateway.description.fields import RequestId, Score, Timestamp


class TierOut(TypedDict):
    """One tier of the cache: l1 is in every process, l2 is shared."""

    hits: int
    hit_rate: Score


class CacheStatsResponse(TypedDict):
    """What the cache of the whole fleet did, since its counts began."""

    success: Literal[True]
    total_requests: int
    cache_hits: int
    cache_misses: int
    hit_rate: Score
    l1: TierOut
    l2: TierOut
    timestamp: Timestamp
    request_id: RequestId


class InvalidatedResponse(TypedDict):
    """What was voided, and how many processes were told at once."""

    success: Literal[True]
    tags: list[str]
    invalidated: int
    listening: int
    timestamp: Timestamp
    request_id: RequestId


Condition = Literal["operational", "degraded", "down"]


class DependencyOut(TypedDict):
    """One thing that the service needs; *detail* says what is wrong with it."""

    status: Condition
    latency_ms: float | None
    detail: str | None


class ServiceStatusOut(TypedDict):
    """How the service is as a whole."""

    status: Condition


class HealthResponse(TypedDict):
    """Whether the service can answer, and why not."""

    healthy: bool
    service_status: ServiceStatusOut
    dependencies: dict[str, DependencyOut]
    timestamp: Timestamp


class QueueOut(TypedDict):
    """A queue; None where the broker does not tell."""

    name: str
    waiting: int | None
    oldest_age_s: float | None


class RegionOut(TypedDict):
    """A region of the fleet."""

    name: str
    status: Condition
    workers: int | None
    queues: list[QueueOut]


class StatusResponse(TypedDict):
    """What runs, and how full it is."""

    success: Literal[True]
    service: str
    version: str
    api_versions: list[str]
    uptime_s: float
    status: Condition
    dependencies: dict[str, DependencyOut]
    regions: list[RegionOut]
    timestamp: Timestamp
    request_id: RequestId
