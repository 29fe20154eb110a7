"""Everything that is measured, in one table: what it is called, what it means, its unit and its labels.

``METRICS`` is what processes record and the history keeps, one series for each region and set of labels.
What people look at and rules judge is made of them (``workers.monitoring.figures``); Prometheus names,
documentation and dashboards are made from both.

Units:   as each entry says; shares are percentages, 0 to 100.
Errors:  KeyError for a name that is not in the table.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

OTHER = "other"  # the label of what would be one value too many
MOST_SERIES = 200  # of one metric in one process; what goes beyond is counted under OTHER

ENDPOINTS = ("process", "recommend", "bulk_process")
PERSONA_NAMES = ("Lua", "Elro", "Riri", "Nana")
REGIONS = ("us", "eu", "asia")
REPLICAS = ("eu", "asia")


class Kind(enum.Enum):
    """How values of a metric become one."""

    COUNT = "count"  # they add up
    GAUGE = "gauge"  # each is a state at a moment; they are averaged
    DISTRIBUTION = "distribution"  # each is one of many; their percentiles are asked for


class Type(enum.Enum):
    """What a metric is about."""

    RESPONSE_TIME = "response time"
    ERROR_RATE = "error rate"
    CACHE_HIT_RATE = "cache hit rate"
    THROUGHPUT = "throughput"
    DATABASE_LAG = "database lag"
    INFRASTRUCTURE = "infrastructure"
    AVAILABILITY = "availability"
    PERSONA_DISTRIBUTION = "persona distribution"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, eq=False)  # there is one of each; identity makes a fast key
class Metric:
    """One thing that is measured; every series has a region besides its *labels*.

    *prometheus* is its name for scrapers, without ``_total``, if it is not ``ion_`` and its own name with the
    unit; those that begin with ``celery_`` are called, and labelled, as the common Celery exporter does.
    """

    name: str
    kind: Kind
    type: Type
    unit: str
    about: str
    labels: tuple[str, ...] = ()
    prometheus: str = ""

    @property
    def exposed(self) -> str:
        """Its name for Prometheus, with the unit there; without ``_total``, ``_bucket`` and the like."""
        return self.prometheus or f"ion_{self.name}{_BASE_UNITS.get(self.unit, ('', 1))[0]}"

    @property
    def scale(self) -> float:
        """What a value is multiplied by for Prometheus, where times are seconds and shares 0 to 1."""
        return _BASE_UNITS.get(self.unit, ("", 1))[1]


_BASE_UNITS = {"ms": ("_seconds", 0.001), "s": ("_seconds", 1), "%": ("_ratio", 0.01)}


_C, _G, _D = Kind.COUNT, Kind.GAUGE, Kind.DISTRIBUTION
_PLACE = ("endpoint",)  # process, recommend, bulk_process

REQUESTS = Metric("requests", _C, Type.THROUGHPUT, "jobs", "Jobs that ended, however they did.", _PLACE)
ERRORS = Metric(
    "errors", _C, Type.ERROR_RATE, "jobs", "Jobs that ended without an answer through our fault.", _PLACE
)
REJECTED = Metric("rejected", _C, Type.ERROR_RATE, "jobs", "Jobs refused for their own input.", _PLACE)
REFUSED = Metric(
    "refused",
    _C,
    Type.AVAILABILITY,
    "jobs",
    "Jobs not accepted: the fleet was full or away.",
    ("endpoint", "reason"),  # overloaded, unavailable
)
RESPONSE_TIME = Metric(
    "response_time",
    _D,
    Type.RESPONSE_TIME,
    "ms",
    "From a producer's taking a job to its end, answers from caches included.",
    _PLACE,
)
HTTP_REQUESTS = Metric(
    "http_requests", _C, Type.THROUGHPUT, "requests", "Requests to the gateway.", ("route", "status")
)
HTTP_TIME = Metric(
    "http_time", _D, Type.RESPONSE_TIME, "ms", "From a request's headers to its response.", ("route",)
)
PERSONAS = Metric(
    "persona_answers", _C, Type.PERSONA_DISTRIBUTION, "jobs", "Answers by who gives them.", ("persona",)
)
USERS = Metric(
    "users_active", _G, Type.THROUGHPUT, "people", "Different user ids in the last fifteen minutes, about."
)

CACHE_HITS = Metric(
    "cache_hits", _C, Type.CACHE_HIT_RATE, "jobs", "Answers found in a tier.", ("tier", "endpoint")
)
CACHE_MISSES = Metric(
    "cache_misses", _C, Type.CACHE_HIT_RATE, "jobs", "Answers that no tier had.", ("endpoint",)
)
CACHE_EVICTIONS = Metric(
    "cache_evictions", _C, Type.CACHE_HIT_RATE, "answers", "Answers that made room for others.", ("tier",)
)

DB_QUERY_TIME = Metric(
    "database_query_time", _D, Type.DATABASE_LAG, "ms", "How long the database takes to answer a query."
)
DB_LAG = Metric("database_lag", _G, Type.DATABASE_LAG, "ms", "How far a region's copy is behind the primary.")

CPU = Metric("cpu_utilization", _G, Type.INFRASTRUCTURE, "%", "Processors in use where workers run.")
MEMORY = Metric("memory_utilization", _G, Type.INFRASTRUCTURE, "%", "Memory in use where workers run.")
INSTANCES = Metric(
    "instance_count",
    _G,
    Type.INFRASTRUCTURE,
    "workers",
    "Workers that are there.",
    prometheus="ion_instances",  # names in _count belong to histograms
)
UP = Metric(
    "up", _G, Type.AVAILABILITY, "share", "1 while a worker can take jobs and answer, 0 while it cannot."
)

QUEUE_DEPTH = Metric(
    "queue_depth",
    _G,
    Type.QUEUE,
    "batches",
    "Batches that wait.",
    ("queue_name",),
    "celery_queue_length",
)
QUEUE_AGE = Metric(
    "queue_oldest_age", _G, Type.QUEUE, "s", "How long the oldest batch has waited.", ("queue_name",)
)
QUEUE_WAIT = Metric(
    "queue_wait",
    _D,
    Type.QUEUE,
    "s",
    "From the sending of a batch to a worker's taking it up.",
    ("name", "queue_name"),
    "celery_task_queue_wait_time",
)
WORK_TIME = Metric(
    "work_time", _D, Type.QUEUE, "s", "How long a task runs.", ("name",), "celery_task_runtime"
)
TASKS = Metric(
    "tasks",
    _C,
    Type.QUEUE,
    "tasks",
    "Tasks by what became of them.",  # sent, received, started, succeeded, failed, rejected, revoked, retried
    ("name", "state"),
    "celery_task",
)
RETRIES = Metric("retries", _C, Type.QUEUE, "jobs", "Jobs tried again, after what may pass.", ("name",))
DEAD_LETTERS = Metric(
    "dead_letters", _C, Type.QUEUE, "letters", "Messages and jobs that no worker can answer.", ("reason",)
)
DEAD_KEPT = Metric("dead_letters_kept", _G, Type.QUEUE, "letters", "Dead letters in the database.")
DUPLICATES = Metric(
    "duplicates_suppressed", _C, Type.QUEUE, "batches", "Deliveries of batches that had their end already."
)
WORKER_UP = Metric(
    "worker_up",
    _G,
    Type.INFRASTRUCTURE,
    "share",
    "1 while a worker is there, 0 after it was lost.",
    ("hostname",),
    "celery_worker_up",
)
BEAT_LAG = Metric("beat_tick_lag", _G, Type.QUEUE, "s", "How late the latest tick of periodic work was sent.")

REPORTS = Metric("monitoring_reports", _C, Type.INFRASTRUCTURE, "reports", "Reports of processes taken in.")
DISCARDED = Metric(
    "monitoring_discarded",
    _C,
    Type.INFRASTRUCTURE,
    "reports",
    # reports: overflow, clock, version, corrupt; series: metric, number, corrupt; else: labels, events
    "What monitoring had to leave out, and why.",
    ("reason",),
)
TROUBLE = Metric(
    "monitoring_trouble",
    _C,
    Type.INFRASTRUCTURE,
    "times",
    "Work of monitoring that failed because a server was away; it is tried again.",
    ("doing",),
)
NOTICES = Metric(
    "monitoring_notices",
    _C,
    Type.INFRASTRUCTURE,
    "notices",
    "Tries to send a notice of alerts, by what became of it.",
    ("channel", "state"),  # sent, merged into one with others, waiting for another try, failed
)

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        REQUESTS,
        ERRORS,
        REJECTED,
        REFUSED,
        RESPONSE_TIME,
        HTTP_REQUESTS,
        HTTP_TIME,
        PERSONAS,
        USERS,
        CACHE_HITS,
        CACHE_MISSES,
        CACHE_EVICTIONS,
        DB_QUERY_TIME,
        DB_LAG,
        CPU,
        MEMORY,
        INSTANCES,
        UP,
        QUEUE_DEPTH,
        QUEUE_AGE,
        QUEUE_WAIT,
        WORK_TIME,
        TASKS,
        RETRIES,
        DEAD_LETTERS,
        DEAD_KEPT,
        DUPLICATES,
        WORKER_UP,
        BEAT_LAG,
        REPORTS,
        DISCARDED,
        TROUBLE,
        NOTICES,
    )
}
