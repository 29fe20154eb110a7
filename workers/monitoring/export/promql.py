"""The figures that people and rules ask for, as questions to Prometheus, in the same units.

    promql(COLLECTIONS["error_rate_global"], 300, ("region",))

Several gateways may show one fleet, so each series is taken once, whichever of them it came from.

Units:  windows in seconds; answers in the unit of the collection, a percentage from 0 to 100.
Source: prometheus.io/docs/prometheus/latest/querying.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from workers.monitoring.figures import Collection, How, Part
from workers.monitoring.metrics import TASKS, Kind, Metric

PLACES = ("instance", "pod")  # labels that tell which gateway was asked, and nothing of the fleet
NO_LABELS: Mapping[str, str] = MappingProxyType({})
_QUANTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}


def promql(
    collection: Collection,
    window_s: float | str,
    by: Sequence[str] = (),
    *,
    how: How | None = None,
    where: Mapping[str, str] = NO_LABELS,
) -> str:
    """Return the expression of *collection* over *window_s*, told apart along *by*, of the labels in *where*.

    A window may also be a variable of whoever asks, such as Grafana's ``$__rate_interval``.
    """
    how = collection.how if how is None else how
    window = window_s if isinstance(window_s, str) else duration(window_s)
    of = _Asked(collection, collection.of, window, tuple(by), where)
    match how:
        case "share" | "rest":
            per = _Asked(collection, collection.per, window, tuple(by), where)
            share = f"100 * ({of.summed('rate')}) / ({per.summed('rate')} > 0)"
            return share if how == "share" else f"100 - {share}"
        case "sum":
            return of.summed("increase")
        case "rate":
            return of.summed("rate")
        case "avg":
            return of.average()
        case "high":
            return of.highest()
        case _:
            return of.quantile(_QUANTILES[how])


def counted(
    collection: Collection,
    window_s: float,
    by: Sequence[str] = (),
    where: Mapping[str, str] = NO_LABELS,
) -> str:
    """Return how many measurements the figure of *collection* rests on: whether it can be judged at all."""
    return _risen(collection, collection.per or collection.of, window_s, by, where)


def cases(
    collection: Collection,
    window_s: float,
    by: Sequence[str] = (),
    where: Mapping[str, str] = NO_LABELS,
) -> str:
    """Return how many of what it is about *collection* has counted, such as jobs that failed."""
    return _risen(collection, collection.of, window_s, by, where)


def present(
    collection: Collection,
    window_s: float,
    by: Sequence[str] = (),
    where: Mapping[str, str] = NO_LABELS,
) -> str:
    """Return something for each group that was measured at all over *window_s*, and else nothing."""
    part = collection.of[0]
    if part.metric.kind is Kind.GAUGE:
        return _Asked(collection, (part,), duration(window_s), tuple(by), where).seen()
    return f"{counted(collection, window_s, by, where)} > 0"


def _risen(
    collection: Collection,
    parts: Sequence[Part],
    window_s: float,
    by: Sequence[str],
    where: Mapping[str, str],
) -> str:
    return _Asked(collection, parts, duration(window_s), tuple(by), where).summed("increase")


def exposed_name(metric: Metric, where: Mapping[str, str]) -> str:
    """Return what scrapers find *metric* under, of a distribution without ``_bucket`` and the like.

    What became of tasks is in the name, as the common Celery exporter has it.
    """
    if metric is TASKS:
        return f"{metric.exposed}_{where['state']}_total"
    return f"{metric.exposed}_total" if metric.kind is Kind.COUNT else metric.exposed


def duration(seconds: float) -> str:
    """Return *seconds* as Prometheus writes durations."""
    milliseconds = round(seconds * 1000)
    if not milliseconds:
        return "0s"
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


class _Asked:
    """*parts* of *collection*, added up over *window* for each group of *by*."""

    def __init__(
        self,
        collection: Collection,
        parts: Sequence[Part],
        window: str,
        by: tuple[str, ...],
        where: Mapping[str, str],
    ) -> None:
        self._scale, self._region = collection.scale, collection.region
        self._parts, self._window, self._by, self._where = parts, window, by, where

    def summed(self, function: str) -> str:
        """Return the sum of counts, by *function* of Prometheus."""
        return " + ".join(self._sum(function, part, "") for part in self._parts)

    def average(self) -> str:
        part = self._parts[0]
        if part.metric.kind is Kind.DISTRIBUTION:
            return (
                f"{self._factor(part)}{self._sum('rate', part, '_sum')} / {self._sum('rate', part, '_count')}"
            )
        return f"{self._factor(part)}avg{_grouped(self._by)} ({self._each('avg_over_time', part)})"

    def highest(self) -> str:
        part = self._parts[0]
        if part.metric.kind is Kind.DISTRIBUTION:
            return self.quantile("1")
        return f"{self._factor(part)}max{_grouped(self._by)} ({self._each('max_over_time', part)})"

    def seen(self) -> str:
        """Return 1 for what has a value."""
        return f"max{_grouped(self._by)} ({self._each('present_over_time', self._parts[0])})"

    def quantile(self, share: str) -> str:
        part = self._parts[0]
        return (
            f"{self._factor(part)}histogram_quantile({share}, {self._sum('rate', part, '_bucket', ('le',))})"
        )

    def _sum(self, function: str, part: Part, suffix: str, also: tuple[str, ...] = ()) -> str:
        if part.metric.kind is Kind.DISTRIBUTION and not suffix:
            suffix = "_count"
        return f"sum{_grouped((*also, *self._by))} ({self._each(function, part, suffix)})"

    def _each(self, function: str, part: Part, suffix: str = "") -> str:
        """Return one value for each series, from whichever gateway."""
        where = {**part.where, **self._where}
        name = exposed_name(part.metric, where) + suffix
        if part.metric is TASKS:
            del where["state"]
        if self._region is not None:
            where["region"] = self._region
        wanted = [f'{label}="{value}"' for label, value in where.items()]
        matchers = ",".join((*wanted, *(f'{label}!="{value}"' for label, value in part.unless.items())))
        series = f"{name}{{{matchers}}}" if matchers else name
        return f"max without ({', '.join(PLACES)}) ({function}({series}[{self._window}]))"

    def _factor(self, part: Part) -> str:
        """Return what makes the value of a scraper one in our unit, as the beginning of a product."""
        factor = self._scale / part.metric.scale
        return "" if factor == 1 else f"{factor:g} * "


def _grouped(by: tuple[str, ...]) -> str:
    return f" by ({', '.join(by)})" if by else ""
