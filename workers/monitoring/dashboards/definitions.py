"""The five dashboards, as data."""

from collections.abc import Mapping

from workers.monitoring.dashboards.parts import Chart, Definition, Figure, Firing, Shares, Stat, Table
from workers.monitoring.figures import How
from workers.monitoring.metrics import ENDPOINTS, PERSONA_NAMES

_AVAILABLE = Stat("Availability", Figure("availability_global"))
_ERRORS = Stat("Error rate", Figure("error_rate_global"))
_P95 = Stat("Response time", Figure("response_time"))
_JOBS = Stat("Throughput", Figure("throughput_global"))
_HIT_RATE = Stat("Cache hit rate", Figure("cache_hit_rate"))
_WORKERS = Figure("instance_count", "workers", over=("region",))
_WAITING = Figure("queue_depth", "waiting", over=("region", "queue_name"))

_PERCENTILES: tuple[How, ...] = ("p50", "p95", "p99")
_RESPONSE = tuple(Figure("response_time", how, how) for how in _PERCENTILES)
_OPEN = Firing("Open alerts")
_REGIONS = Table(
    "Regions",
    "region",
    (
        Figure("throughput_by_region", "jobs a second"),
        Figure("response_time", "response, p95"),
        Figure("error_rate_global", "errors"),
        Figure("cache_hit_rate", "cache hits"),
        Figure("instance_count", "workers"),
        Figure("queue_depth", "waiting", over=("queue_name",)),
    ),
)

OVERVIEW = Definition(
    "overview",
    "Overview",
    "Is all well, and if not, where to look.",
    (
        _AVAILABLE,
        _ERRORS,
        _P95,
        _JOBS,
        _HIT_RATE,
        Stat("Workers", _WORKERS),
        Stat("Waiting batches", _WAITING),
        Stat("Active people", Figure("users_active")),
        _OPEN,
        Chart("Response time", _RESPONSE),
        Chart("Throughput", (Figure("throughput_global"),), by="endpoint"),
        Chart("Error rate", (Figure("error_rate_global", "all endpoints"),)),
        Shares(
            "Answers by mentor",
            tuple(Figure(f"persona_{name.lower()}_count", name) for name in PERSONA_NAMES),
        ),
        _REGIONS,
    ),
)

PERFORMANCE = Definition(
    "performance",
    "Performance",
    "How fast answers come, and what they wait for.",
    (
        Stat("Median response", Figure("response_time", how="p50")),
        _P95,
        Stat("Slowest in a hundred", Figure("response_time", how="p99")),
        _JOBS,
        Stat("Wait for a worker", Figure("queue_wait")),
        Stat("Jobs", Figure("requests_total"), recent=False),
        Chart("Response time", _RESPONSE, wide=True),
        Chart(
            "Response time by endpoint, p95",
            tuple(Figure(f"response_time_{endpoint}", endpoint) for endpoint in ENDPOINTS),
        ),
        Chart("Response time by region, p95", (Figure("response_time"),), by="region"),
        Chart("Throughput by endpoint", (Figure("throughput_global"),), by="endpoint"),
        Chart("Throughput by region", (Figure("throughput_by_region"),), by="region"),
        Chart("Wait for a worker, p95", (Figure("queue_wait"),), by="queue_name"),
        Chart("Database query, p95", (Figure("database_query_time", "query"),)),
        Table(
            "Endpoints",
            "endpoint",
            (
                Figure("requests_total", "jobs"),
                Figure("throughput_global", "jobs a second"),
                *(Figure("response_time_by_endpoint", how, how) for how in _PERCENTILES),
                Figure("error_rate_global", "errors"),
                Figure("cache_hit_rate", "cache hits"),
            ),
        ),
    ),
)

RELIABILITY = Definition(
    "reliability",
    "Reliability",
    "What goes wrong, how often, and where.",
    (
        _AVAILABLE,
        Stat("Uptime", Figure("uptime_percentage"), recent=False),
        _ERRORS,
        Stat("Errors", Figure("error_count_by_endpoint"), recent=False),
        Stat("Retries", Figure("retries"), recent=False),
        Stat("Dead letters", Figure("dead_letters"), recent=False),
        _OPEN,
        Chart("Availability", (Figure("availability_global", "all regions"),)),
        Chart("Error rate by endpoint", (Figure("error_rate_global"),), by="endpoint"),
        Chart("Errors by region", (Figure("error_count_by_region"),), by="region"),
        Chart("Uptime by region", (Figure("uptime_percentage"),), by="region"),
        Chart("Retries and dead letters", (Figure("retries", "retries"), Figure("dead_letters", "letters"))),
        Shares("Dead letters by reason", (Figure("dead_letters"),), by="reason"),
        Table(
            "Regions",
            "region",
            (
                Figure("error_count_by_region", "errors"),
                Figure("error_rate_global", "error rate"),
                Figure("uptime_percentage", "uptime"),
                Figure("retries", "retries"),
                Figure("dead_letters", "dead letters"),
            ),
        ),
    ),
)

CACHE = Definition(
    "cache",
    "Cache",
    "What the two tiers of the answer cache save.",
    (
        _HIT_RATE,
        Stat("In the process (L1)", Figure("cache_hit_rate_l1")),
        Stat("Shared (L2)", Figure("cache_hit_rate_l2")),
        Stat("Misses", Figure("cache_miss_count"), recent=False),
        Stat("Evictions", Figure("cache_eviction_rate")),
        Chart(
            "Hit rate by tier",
            (
                Figure("cache_hit_rate", "both tiers"),
                Figure("cache_hit_rate_l1", "L1"),
                Figure("cache_hit_rate_l2", "L2"),
            ),
            wide=True,
        ),
        Chart("Hit rate by endpoint", (Figure("cache_hit_rate"),), by="endpoint"),
        Chart("Misses by endpoint", (Figure("cache_miss_count"),), by="endpoint"),
        Chart("Evictions by tier", (Figure("cache_eviction_rate"),), by="tier"),
        Chart("Hit rate by region", (Figure("cache_hit_rate"),), by="region"),
        Table(
            "Endpoints",
            "endpoint",
            (
                Figure("cache_hit_rate", "both tiers"),
                Figure("cache_hit_rate_l1", "L1"),
                Figure("cache_hit_rate_l2", "L2"),
                Figure("cache_miss_count", "misses"),
            ),
        ),
    ),
)

INFRASTRUCTURE = Definition(
    "infrastructure",
    "Infrastructure",
    "What the fleet runs on: workers, machines, queues and the database.",
    (
        Stat("Workers", _WORKERS),
        Stat("Workers not lost", Figure("workers_up")),
        Stat("Processors", Figure("cpu_utilization")),
        Stat("Memory", Figure("memory_utilization")),
        Stat("Waiting batches", _WAITING),
        Stat("Oldest waits", Figure("queue_latency")),
        Stat("Database query", Figure("database_query_time")),
        Stat("Replica lag", Figure("database_lag")),
        Chart("Processors in use by region", (Figure("cpu_utilization"),), by="region"),
        Chart("Memory in use by region", (Figure("memory_utilization"),), by="region"),
        Chart("Workers by region", (Figure("instance_count"),), by="region"),
        Chart("Waiting batches by queue", (Figure("queue_depth", over=("region",)),), by="queue_name"),
        Chart("Age of the oldest batch by queue", (Figure("queue_latency"),), by="queue_name"),
        Chart(
            "Database query",
            tuple(Figure("database_query_time", how, how) for how in _PERCENTILES),
        ),
        Chart("Replica lag by region", (Figure("database_lag"),), by="region"),
        Table(
            "Regions",
            "region",
            (
                Figure("instance_count", "workers"),
                Figure("cpu_utilization", "processors"),
                Figure("memory_utilization", "memory"),
                Figure("queue_depth", "waiting", over=("queue_name",)),
                Figure("database_lag", "replica lag"),
            ),
            wide=False,
        ),
    ),
)

DASHBOARDS: Mapping[str, Definition] = {
    one.name: one for one in (OVERVIEW, PERFORMANCE, RELIABILITY, CACHE, INFRASTRUCTURE)
}
"""All of them by name, in the order in which they are shown."""
