"""What people look at and rules judge: sums, shares, rates and percentiles of what is measured.

``COLLECTIONS`` is the one table of them; each is made of series of ``workers.monitoring.metrics``.

Units:   as each entry says; shares are percentages, 0 to 100.
Errors:  KeyError for a name that is not in the table.
Source:  the names of collections and their eight types are those of the first system, so that its rules and
         dashboards can be carried over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from workers.monitoring.metrics import (
    CACHE_EVICTIONS,
    CACHE_HITS,
    CACHE_MISSES,
    CPU,
    DB_LAG,
    DB_QUERY_TIME,
    DEAD_LETTERS,
    ENDPOINTS,
    ERRORS,
    INSTANCES,
    MEMORY,
    PERSONA_NAMES,
    PERSONAS,
    QUEUE_AGE,
    QUEUE_DEPTH,
    QUEUE_WAIT,
    REFUSED,
    REGIONS,
    REPLICAS,
    REPORTS,
    REQUESTS,
    RESPONSE_TIME,
    RETRIES,
    UP,
    USERS,
    WORKER_UP,
    Metric,
    Type,
)

How = Literal["sum", "rate", "avg", "p50", "p95", "p99", "high", "share", "rest"]
"""What is made of many samples: *rate* is the sum a second; *share* is a percentage of ``per``, *rest* is
what is missing from it to 100; *high* is the highest."""


@dataclass(frozen=True, slots=True)
class Part:
    """The series of *metric* whose labels are as *where* says, and none as *unless* does."""

    metric: Metric
    where: Mapping[str, str] = field(default_factory=dict)
    unless: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Collection:
    """A figure for people and rules: *how* it is made *of* parts, which are added up first, and *per* others.

    *by*: the labels, ``region`` among them, along which it can be told apart.
    """

    name: str
    type: Type
    unit: str
    about: str
    how: How
    of: tuple[Part, ...]
    per: tuple[Part, ...] = ()
    by: tuple[str, ...] = ("region",)
    region: str | None = None  # only this one
    scale: float = 1  # what a figure of the parts is multiplied by


_ANSWERS = (Part(REQUESTS), Part(REFUSED))  # everything that was asked
_FOUND = Part(CACHE_HITS)
_L1, _L2 = Part(CACHE_HITS, {"tier": "l1"}), Part(CACHE_HITS, {"tier": "l2"})
_MISSED = Part(CACHE_MISSES)


def _by_region(collection: Collection, regions: tuple[str, ...] = REGIONS) -> tuple[Collection, ...]:
    """Return one of *collection* for each region, as ``name_region``."""
    return tuple(
        Collection(
            f"{collection.name}_{region}",
            collection.type,
            collection.unit,
            f"{collection.about.rstrip('.')}, in {region}.",
            collection.how,
            collection.of,
            collection.per,
            (),
            region,
        )
        for region in regions
    )


_RESPONSE = Collection(
    "response_time",
    Type.RESPONSE_TIME,
    "ms",
    "How long people wait for an answer; bulk runs, for which nobody waits, are left out.",
    "p95",
    (Part(RESPONSE_TIME, unless={"endpoint": "bulk_process"}),),
    by=("region", "endpoint"),
)
_CPU = Collection("cpu_utilization", Type.INFRASTRUCTURE, "%", CPU.about, "avg", (Part(CPU),))
_MEMORY = Collection("memory_utilization", Type.INFRASTRUCTURE, "%", MEMORY.about, "avg", (Part(MEMORY),))
_INSTANCES = Collection(
    "instance_count", Type.INFRASTRUCTURE, "workers", INSTANCES.about, "avg", (Part(INSTANCES),)
)
_LAG = Collection("database_lag", Type.DATABASE_LAG, "ms", DB_LAG.about, "high", (Part(DB_LAG),))

_ALL: tuple[Collection, ...] = (
    _RESPONSE,
    *_by_region(_RESPONSE),
    *(
        Collection(
            f"response_time_{endpoint}",
            Type.RESPONSE_TIME,
            "ms",
            f"How long a caller of {endpoint} waits for an answer.",
            "p95",
            (Part(RESPONSE_TIME, {"endpoint": endpoint}),),
        )
        for endpoint in ENDPOINTS
    ),
    Collection(
        "response_time_by_endpoint",
        Type.RESPONSE_TIME,
        "ms",
        "How long a caller waits for an answer, bulk runs included.",
        "p95",
        (Part(RESPONSE_TIME),),
        by=("endpoint",),
    ),
    Collection(
        "error_rate_global",
        Type.ERROR_RATE,
        "%",
        "Share of jobs that ended without an answer through our fault.",
        "share",
        (Part(ERRORS),),
        (Part(REQUESTS),),
        ("region", "endpoint"),
    ),
    Collection(
        "error_count_by_endpoint",
        Type.ERROR_RATE,
        "jobs",
        ERRORS.about,
        "sum",
        (Part(ERRORS),),
        (),
        ("endpoint",),
    ),
    Collection("error_count_by_region", Type.ERROR_RATE, "jobs", ERRORS.about, "sum", (Part(ERRORS),)),
    Collection(
        "cache_hit_rate",
        Type.CACHE_HIT_RATE,
        "%",
        "Share of look-ups that some tier answered.",
        "share",
        (_FOUND,),
        (_FOUND, _MISSED),
        ("region", "endpoint"),
    ),
    Collection(
        "cache_hit_rate_l1",
        Type.CACHE_HIT_RATE,
        "%",
        "Share of look-ups that a process answered from its own memory.",
        "share",
        (_L1,),
        (_FOUND, _MISSED),
        ("region", "endpoint"),
    ),
    Collection(
        "cache_hit_rate_l2",
        Type.CACHE_HIT_RATE,
        "%",
        "Share of look-ups beyond a process's own memory that the shared cache answered.",
        "share",
        (_L2,),
        (_L2, _MISSED),
        ("region", "endpoint"),
    ),
    Collection(
        "cache_eviction_rate",
        Type.CACHE_HIT_RATE,
        "answers/s",
        "Answers a second that made room for others.",
        "rate",
        (Part(CACHE_EVICTIONS),),
        by=("region", "tier"),
    ),
    Collection(
        "cache_miss_count",
        Type.CACHE_HIT_RATE,
        "jobs",
        CACHE_MISSES.about,
        "sum",
        (_MISSED,),
        by=("region", "endpoint"),
    ),
    Collection(
        "throughput_global",
        Type.THROUGHPUT,
        "jobs/s",
        "Jobs a second that ended.",
        "rate",
        (Part(REQUESTS),),
        by=("endpoint",),
    ),
    Collection(
        "throughput_by_region", Type.THROUGHPUT, "jobs/s", "Jobs a second.", "rate", (Part(REQUESTS),)
    ),
    _LAG,
    *_by_region(_LAG, REPLICAS),
    Collection(
        "database_query_time", Type.DATABASE_LAG, "ms", DB_QUERY_TIME.about, "p95", (Part(DB_QUERY_TIME),)
    ),
    _CPU,
    *_by_region(_CPU),
    _MEMORY,
    *_by_region(_MEMORY),
    _INSTANCES,
    *_by_region(_INSTANCES),
    Collection(
        "workers_up",
        Type.INFRASTRUCTURE,
        "%",
        "Share of the workers known within the last hour that are there.",
        "avg",
        (Part(WORKER_UP),),
        by=("region", "hostname"),
        scale=100,
    ),
    Collection("monitoring_reports", Type.INFRASTRUCTURE, "reports", REPORTS.about, "sum", (Part(REPORTS),)),
    Collection(
        "availability_global",
        Type.AVAILABILITY,
        "%",
        "Share of what was asked that was answered, refusals of bad input included.",
        "rest",
        (Part(ERRORS), Part(REFUSED)),
        _ANSWERS,
    ),
    Collection(
        "uptime_percentage",
        Type.AVAILABILITY,
        "%",
        "Share of looks at which a region could answer.",
        "avg",
        (Part(UP),),
        scale=100,
    ),
    *(
        Collection(
            f"persona_{persona.lower()}_count",
            Type.PERSONA_DISTRIBUTION,
            "jobs",
            f"Answers that {persona} gives.",
            "sum",
            (Part(PERSONAS, {"persona": persona}),),
        )
        for persona in PERSONA_NAMES
    ),
    Collection(
        "requests_total",
        Type.THROUGHPUT,
        "jobs",
        REQUESTS.about,
        "sum",
        (Part(REQUESTS),),
        by=("region", "endpoint"),
    ),
    Collection("users_active", Type.THROUGHPUT, "people", USERS.about, "high", (Part(USERS),), by=()),
    Collection(
        "queue_depth",
        Type.QUEUE,
        "batches",
        QUEUE_DEPTH.about,
        "avg",
        (Part(QUEUE_DEPTH),),
        (),
        ("region", "queue_name"),
    ),
    Collection(
        "queue_latency",
        Type.QUEUE,
        "s",
        QUEUE_AGE.about,
        "high",
        (Part(QUEUE_AGE),),
        (),
        ("region", "queue_name"),
    ),
    Collection(
        "queue_wait",
        Type.QUEUE,
        "s",
        QUEUE_WAIT.about,
        "p95",
        (Part(QUEUE_WAIT),),
        (),
        ("region", "name", "queue_name"),
    ),
    Collection("retries", Type.QUEUE, "jobs", RETRIES.about, "sum", (Part(RETRIES),), (), ("region", "name")),
    Collection(
        "dead_letters",
        Type.QUEUE,
        "letters",
        DEAD_LETTERS.about,
        "sum",
        (Part(DEAD_LETTERS),),
        (),
        ("region", "reason"),
    ),
)

COLLECTIONS: Mapping[str, Collection] = {collection.name: collection for collection in _ALL}
