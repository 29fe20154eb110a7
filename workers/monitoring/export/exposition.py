"""The whole fleet, as prometheus_client's families of samples: read from the history, not counted here.

Counters and histograms are what was measured since the beginning, so they never fall and are the same
wherever they are asked for.  A gauge is what the latest minute says, and is gone when that is two minutes
old.  Names and units are those of ``Metric.exposed``; every sample has its region.

Units:   those of Prometheus: seconds, and shares from 0 to 1.
Errors:  what the history raises (StoreError, for the one in the database).
Source:  prometheus_client 0.26, custom collectors; names of github.com/danihodovic/celery-exporter.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

from workers.contract.dead_letters import Reason
from workers.monitoring import metrics
from workers.monitoring.export.promql import exposed_name
from workers.monitoring.export.totals import Total, Totals
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.history import MINUTE_S, History, Row
from workers.monitoring.metrics import METRICS, TASKS, Kind, Metric
from workers.monitoring.samples import Sample, Series

FRESH_S = 2 * MINUTE_S  # a gauge that was last measured longer ago says nothing
BUCKETS_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)
STATES = ("sent", "received", "started", "succeeded", "failed", "rejected", "revoked", "retried")

_GAUGES = tuple(metric.name for metric in METRICS.values() if metric.kind is Kind.GAUGE)
_AT_WORST = {part.metric for one in COLLECTIONS.values() if one.how == "high" for part in one.of}
_EXPECTED: Mapping[Metric, tuple[Sequence[str], ...]] = {
    # Prometheus sees a rise from 0, and not a series that begins with 1: these begin with 0
    metrics.REQUESTS: (metrics.ENDPOINTS,),
    metrics.ERRORS: (metrics.ENDPOINTS,),
    metrics.REJECTED: (metrics.ENDPOINTS,),
    metrics.REFUSED: (metrics.ENDPOINTS, ("overloaded", "unavailable")),
    metrics.CACHE_HITS: (("l1", "l2"), metrics.ENDPOINTS),
    metrics.CACHE_MISSES: (metrics.ENDPOINTS,),
    metrics.DEAD_LETTERS: (tuple(Reason),),
    metrics.DUPLICATES: (),
    metrics.REPORTS: (),
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """What was read of the fleet: *totals*, the *latest* minutes, and by whose clock it was read."""

    totals: Sequence[Total]
    latest: Sequence[Row]
    now_s: float

    @property
    def age_s(self) -> float | None:
        """How long ago anything was measured; None: never."""
        latest_s = max((total.sample.at_s for total in self.totals), default=0.0)
        return max(0.0, self.now_s - latest_s) if latest_s else None


def read_fleet(history: History, totals: Totals, now_s: float) -> Fleet:
    """Read what there is to show."""
    end_s = int(now_s) // MINUTE_S * MINUTE_S + MINUTE_S
    rows = history.rows(_GAUGES, end_s - FRESH_S - MINUTE_S, end_s, MINUTE_S)
    return Fleet(tuple(totals.totals()), tuple(rows), now_s)


def families(fleet: Fleet, home: str) -> Iterator[Family]:
    """Yield every metric with the samples that there are; *home*: a region that there is in any case."""
    by_metric = _Sorted()
    for total in fleet.totals:
        by_metric.take(total.series, total.sample)
    for row in fleet.latest:
        if fleet.now_s - row.sample.at_s <= FRESH_S:
            by_metric.take_later(row.series, row.sample)
    regions = {home, *(total.series.region for total in fleet.totals)}
    for metric in METRICS.values():
        yield from _families(metric, by_metric.of(metric), regions)


@dataclass(slots=True)
class _Sorted:
    """Samples by metric, then by region and labels; what another version wrote in its own way is left out."""

    found: dict[Metric, dict[Series, Sample]] = field(default_factory=dict)

    def of(self, metric: Metric) -> Mapping[Series, Sample]:
        return self.found.get(metric, {})

    def take(self, series: Series, sample: Sample) -> None:
        metric = METRICS.get(series.metric)
        if metric is None or metric.kind is Kind.GAUGE or len(series.labels) != len(metric.labels):
            return
        self.found.setdefault(metric, {})[series] = sample

    def take_later(self, series: Series, sample: Sample) -> None:
        metric = METRICS.get(series.metric)
        if metric is None or len(series.labels) != len(metric.labels) or not sample.count:
            return
        held = self.found.setdefault(metric, {})
        if series not in held or held[series].at_s <= sample.at_s:
            held[series] = sample


def _families(metric: Metric, samples: Mapping[Series, Sample], regions: Iterable[str]) -> Iterator[Family]:
    if metric is TASKS:
        yield from _tasks(samples)
    elif metric.kind is Kind.COUNT:
        yield _counter(metric, samples, regions)
    elif metric.kind is Kind.GAUGE:
        yield _gauge(metric, samples)
    else:
        yield _histogram(metric, samples)


def _counter(metric: Metric, samples: Mapping[Series, Sample], regions: Iterable[str]) -> Family:
    family = CounterMetricFamily(exposed_name(metric, {}), metric.about, labels=("region", *metric.labels))
    totals = dict.fromkeys(_expected(metric, regions), 0.0)
    for series, sample in samples.items():
        totals[series.region, *series.labels] = sample.total * metric.scale
    for labels, total in totals.items():
        family.add_metric(labels, total)
    return family


def _expected(metric: Metric, regions: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield the labels of those series that are shown from the start."""
    if metric in _EXPECTED:
        yield from product(regions, *_EXPECTED[metric])


def _tasks(samples: Mapping[Series, Sample]) -> Iterator[Family]:
    """Yield a family for each state, as the common exporter does, with every task in each of them."""
    known = {(series.region, series.labels[0]) for series in samples}
    for state in STATES:
        family = CounterMetricFamily(
            exposed_name(TASKS, {"state": state}), f"Tasks that were {state}.", labels=("region", "name")
        )
        for region, name in sorted(known):
            sample = samples.get(Series(region, TASKS.name, (name, state)))
            family.add_metric((region, name), 0.0 if sample is None else sample.total)
        yield family


def _gauge(metric: Metric, samples: Mapping[Series, Sample]) -> Family:
    family = GaugeMetricFamily(metric.exposed, metric.about, labels=("region", *metric.labels))
    for series, sample in samples.items():
        family.add_metric((series.region, *series.labels), _latest(metric, sample) * metric.scale)
    return family


def _latest(metric: Metric, sample: Sample) -> float:
    """Return what a minute's looks amount to: whether all was well, the worst, or the mean."""
    if metric.unit == "share":
        return sample.low
    return sample.high if metric in _AT_WORST else sample.total / sample.count


def _histogram(metric: Metric, samples: Mapping[Series, Sample]) -> Family:
    family = HistogramMetricFamily(metric.exposed, metric.about, labels=("region", *metric.labels))
    bounds = [bound / metric.scale for bound in BUCKETS_S]
    for series, sample in samples.items():
        if sample.sketch is not None:
            buckets = list(zip(_BOUNDS, sample.sketch.cumulated(bounds), strict=True))
            family.add_metric((series.region, *series.labels), buckets, sample.total * metric.scale)
    return family


_BOUNDS = (*map(str, BUCKETS_S), "+Inf")
