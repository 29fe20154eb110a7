"""What the counts of the cache say: how jobs ended, and rates that state what they are shares of.

Each job ends in exactly one way.  A rate is None where nothing was asked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from persona_system.cache.answers import POLICIES

WAYS = {
    "producer_local": "from a producer's own tier",
    "producer_shared": "from the store, by a producer",
    "worker_local": "from a worker's own tier",
    "worker_shared": "from the store, by a worker",
    "computed": "computed, not found",
    "bypassed": "computed, not looked up",
}
REFRESHED = "refreshed"

RATES = {
    "producers": ("producers' own tier", "of all jobs that were looked up"),
    "workers": ("workers' own tier", "of those that workers looked up"),
    "store": ("store", "of those that were in no process's own tier"),
    "combined": ("combined", "answered without computing, of all jobs"),
}

STORE = {
    "void": "answers found that had been invalidated",
    "aged": "answers found past their time, or from the future",
    "corrupt": "answers found that were not readable",
    "refused": "writes that the server did not take",
    "outages": "times that a process lost the store",
    "invalidations": "tags that were invalidated",
    "news": "messages about them that processes heard",
}
_STORE_SCOPE = "store"

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Rate:
    """*hits* out of *of*."""

    hits: int
    of: int

    @property
    def share(self) -> float | None:
        """The rate in [0, 1]."""
        return self.hits / self.of if self.of else None

    def as_json(self) -> dict[str, Any]:
        """Return the rate with its numerator and denominator."""
        return {"hits": self.hits, "of": self.of, "rate": self.share}


@dataclass(frozen=True, slots=True)
class Usage:
    """How the jobs of one endpoint ended; *others* are counts that this program knows nothing of."""

    endpoint: str
    ways: Mapping[str, int]
    refreshed: int = 0  # of the answered ones: computed anew though an answer was there
    others: Mapping[str, int] | None = None

    @property
    def asked(self) -> int:
        """All jobs that ended."""
        return sum(self.ways.values())

    def rates(self) -> dict[str, Rate]:
        """Return the hit rates by the names of RATES.

        A job that the producer did not find is looked up once more by the worker, in its own tier and, if
        some time has passed, in the store; by jobs, each tier's share is therefore of what is left to it.
        """
        ways = self.ways
        shared = ways["producer_shared"] + ways["worker_shared"]
        at_workers = ways["worker_local"] + ways["worker_shared"] + ways["computed"]
        answered = ways["producer_local"] + ways["worker_local"] + shared
        return {
            "producers": Rate(ways["producer_local"], self.asked - ways["bypassed"]),
            "workers": Rate(ways["worker_local"], at_workers),
            "store": Rate(shared, shared + ways["computed"]),
            "combined": Rate(max(0, answered - self.refreshed), self.asked),
        }

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return {
            "asked": self.asked,
            **self.ways,
            REFRESHED: self.refreshed,
            **(self.others or {}),
            "rates": {name: rate.as_json() for name, rate in self.rates().items()},
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All counts in order: by endpoint, of the store, and of whatever else counts."""

    endpoints: tuple[Usage, ...]
    store: Mapping[str, int]
    others: Counts

    @property
    def total(self) -> Usage:
        """All endpoints together."""
        return added("all", self.endpoints)

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return {
            "endpoints": {usage.endpoint: usage.as_json() for usage in self.endpoints},
            "all": self.total.as_json(),
            "store": dict(self.store),
            "others": {scope: dict(counts) for scope, counts in self.others.items()},
        }


def report_of(counts: Counts) -> Report:
    """Return *counts*, by scope and name, in order; what is not known keeps its name."""
    names = [policy.endpoint for policy in POLICIES]
    store = dict(counts.get(_STORE_SCOPE, {}))
    return Report(
        tuple([_usage(name, counts.get(name, {})) for name in names]),
        {**{name: store.pop(name, 0) for name in STORE}, **store},
        {scope: counts[scope] for scope in sorted(counts) if scope not in {*names, _STORE_SCOPE}},
    )


def added(name: str, usages: Iterable[Usage]) -> Usage:
    """Return the sum of *usages*."""
    ways = dict.fromkeys(WAYS, 0)
    refreshed = 0
    for usage in usages:
        refreshed += usage.refreshed
        for way in WAYS:
            ways[way] += usage.ways[way]
    return Usage(name, ways, refreshed)


def _usage(endpoint: str, counts: Mapping[str, int]) -> Usage:
    others = {name: count for name, count in counts.items() if name not in {*WAYS, REFRESHED}}
    return Usage(endpoint, {way: counts.get(way, 0) for way in WAYS}, counts.get(REFRESHED, 0), others)
