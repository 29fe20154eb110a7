"""Every metric of the gateway: its name, what it counts, and its labels.

Those of the whole fleet, which it shows besides, are in ``workers.monitoring.metrics``.

Names follow Prometheus: base units (seconds), counters end in ``_total``.  Labels never hold what callers
send: a route is its template, and whatever fits no route is "none".
Source: prometheus.io/docs/practices/naming.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

NO_ROUTE = "none"  # requests for addresses that there are not
NO_STATUS = "none"  # requests whose callers had gone before there was an answer
OTHER_METHOD = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; *about* is what Prometheus shows as its help."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()


REQUESTS = Metric(
    "ion_gateway_requests_total",
    "counter",
    "Requests that have ended, by route, method and class of the status (2xx; none: the caller had gone).",
    ("route", "method", "status"),
)
DURATION = Metric(
    "ion_gateway_request_duration_seconds",
    "histogram",
    "How long requests took, from their headers to the end of their answer; event streams last long.",
    ("route",),
)
IN_FLIGHT = Metric("ion_gateway_requests_in_flight", "gauge", "Requests that have not ended.")
REFUSALS = Metric(
    "ion_gateway_refusals_total", "counter", "Requests answered with an error, by its code.", ("code",)
)
JOBS = Metric("ion_gateway_jobs_total", "counter", "Messages and scenarios that were accepted.")
CACHE_HITS = Metric("ion_gateway_cache_hits_total", "counter", "Messages answered from the cache.")
CACHE_MISSES = Metric(
    "ion_gateway_cache_misses_total", "counter", "Messages that were waited for and took a worker."
)

BUILD = Metric(
    "ion_gateway_build_info", "gauge", "Always 1; the labels say what runs.", ("version", "python")
)
PROCESSES = Metric("ion_gateway_processes", "gauge", "Processes that share the port and these counts.")
DEPENDENCY_UP = Metric(
    "ion_gateway_dependency_up",
    "gauge",
    "1 if the dependency answers, be it degraded, else 0.",
    ("dependency",),
)
DEPENDENCY_LATENCY = Metric(
    "ion_gateway_dependency_latency_seconds",
    "gauge",
    "How long the dependency took to answer the last look at it.",
    ("dependency",),
)
QUEUE_LENGTH = Metric("ion_gateway_queue_length", "gauge", "Batches that wait, by queue.", ("queue",))
QUEUE_AGE = Metric(
    "ion_gateway_queue_oldest_age_seconds",
    "gauge",
    "How long the next batch has waited, by queue; not there where the broker does not tell.",
    ("queue",),
)
WORKERS = Metric("ion_gateway_workers", "gauge", "Workers that live; not there where nobody tells.")
FLEET_READABLE = Metric(
    "ion_gateway_fleet_readable",
    "gauge",
    "1 if what the fleet measures could be read from its database for this answer, else 0.",
)
FLEET_AGE = Metric(
    "ion_gateway_fleet_age_seconds",
    "gauge",
    "How long ago anything in the fleet was last measured; not there if nothing ever was.",
)

ALL: tuple[Metric, ...] = (
    REQUESTS,
    DURATION,
    IN_FLIGHT,
    REFUSALS,
    JOBS,
    CACHE_HITS,
    CACHE_MISSES,
    BUILD,
    PROCESSES,
    DEPENDENCY_UP,
    DEPENDENCY_LATENCY,
    QUEUE_LENGTH,
    QUEUE_AGE,
    WORKERS,
    FLEET_READABLE,
    FLEET_AGE,
)
