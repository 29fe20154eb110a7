"""Three days of a fleet in three regions, made up from a seed: a daily rhythm, an incident, and two gaps.

The same seed gives the same numbers.  Half an hour ago eu was slow for ten minutes, and some jobs failed;
four hours ago nothing was measured for twelve minutes, and thirty hours ago for three hours.
"""

import math
import random
from collections.abc import Callable, Collection, Iterator

from workers.monitoring import metrics as m
from workers.monitoring.history import HOUR_S, MINUTE_S, Row
from workers.monitoring.metrics import Kind, Metric
from workers.monitoring.samples import Sample, Series
from workers.monitoring.sketch import Sketch

_REGIONS = {"us": 0.55, "eu": 0.25, "asia": 0.20}
_PLACES = {"process": (0.7, 14.0), "recommend": (0.2, 22.0), "bulk_process": (0.1, 48.0)}  # share, median ms
_MENTORS = {"Lua": 83, "Nana": 66, "Riri": 52, "Elro": 15}
_WORKERS = {"us": 6, "eu": 3, "asia": 3}
_QUEUES = {"interactive": 3.0, "bulk": 40.0, "maintenance": 0.2}
_JOBS_S = 900.0
_LATEST_S = 3.0  # so old is the newest measurement

Cells = Iterator[tuple[str, tuple[str, ...], float | list[float], int]]
"""Of one metric in one span: region, labels, a rise or values, and how often each of them occurred."""


class SeededHistory:
    """A History of the 72 hours before *now_s*."""

    def __init__(self, now_s: float, seed: int = 7, *, incident: bool = True) -> None:
        self._now_s, self._seed, self._incident = now_s, seed, incident
        self._kept: dict[tuple[str, int, int], list[Row]] = {}

    def rows(self, metrics: Collection[str], start_s: int, end_s: int, width_s: int) -> Iterator[Row]:
        """Yield what there is of *metrics* in [start_s, end_s), by minute or by hour."""
        for begun_s in range(-(-start_s // width_s) * width_s, end_s, width_s):
            for name in sorted(metrics):
                if name in _MADE:
                    key = (name, begun_s, width_s)
                    if key not in self._kept:
                        self._kept[key] = list(self._made(name, begun_s, width_s))
                    yield from self._kept[key]

    def _made(self, name: str, begun_s: int, width_s: int) -> Iterator[Row]:
        age_s = self._now_s - begun_s
        span_s = min(float(width_s), age_s - _LATEST_S)
        if span_s <= 0 or age_s > 73 * HOUR_S or self._missing(age_s, width_s):
            return
        moment = _Moment(random.Random(f"{self._seed} {name} {begun_s}"), begun_s, span_s, self._bad(age_s))
        metric = m.METRICS[name]
        for region, labels, values, times in _MADE[name](moment):
            sample = _sample(metric, values, times, min(begun_s + width_s - 1.0, self._now_s - _LATEST_S))
            yield Row(Series(region, name, labels), begun_s, sample)

    @staticmethod
    def _missing(age_s: float, width_s: int) -> bool:
        if width_s == MINUTE_S:
            return 4 * HOUR_S < age_s < 4 * HOUR_S + 720
        return 30 * HOUR_S < age_s < 33 * HOUR_S

    def _bad(self, age_s: float) -> bool:
        return self._incident and 1_500 < age_s < 2_100


class _Moment:
    """One span: *random* numbers of its own, how busy it is, and whether eu is in trouble."""

    def __init__(self, numbers: random.Random, begun_s: int, span_s: float, bad: bool) -> None:  # noqa: FBT001
        self.numbers, self.begun_s, self.span_s, self.bad = numbers, begun_s, span_s, bad

    def busy(self, region: str) -> float:
        """Return how busy *region* is, around 1: people sleep at different times."""
        shift = {"us": 0, "eu": 7, "asia": 14}[region]
        wave = math.sin((self.begun_s / HOUR_S + shift) / 24 * 2 * math.pi)
        return (1 + 0.35 * wave) * self.numbers.uniform(0.95, 1.05)

    def jobs(self, region: str, place: str) -> int:
        return int(_JOBS_S * self.span_s * _REGIONS[region] * _PLACES[place][0] * self.busy(region))

    def trouble(self, region: str) -> bool:
        return self.bad and region == "eu"


def _by_place(share: Callable[[_Moment, str], float]) -> Callable[[_Moment], Cells]:
    def made(moment: _Moment) -> Cells:
        for region in _REGIONS:
            for place in _PLACES:
                count = int(moment.jobs(region, place) * share(moment, region))
                if count:
                    yield region, (place,), float(count), 1

    return made


def _response(moment: _Moment) -> Cells:
    for region in _REGIONS:
        for place, (_, median) in _PLACES.items():
            middle = math.log(median * moment.busy(region) * (5 if moment.trouble(region) else 1))
            values = [moment.numbers.lognormvariate(middle, 0.45) for _ in range(40)]
            yield region, (place,), values, max(1, moment.jobs(region, place) // 40)


def _gauge(
    value: Callable[[_Moment, str], float], labels: tuple[str, ...] = ()
) -> Callable[[_Moment], Cells]:
    def made(moment: _Moment) -> Cells:
        for region in _REGIONS:
            yield region, labels, [value(moment, region) for _ in range(6)], 1

    return made


def _hits(moment: _Moment) -> Cells:
    for region in _REGIONS:
        for place in _PLACES:
            jobs = moment.jobs(region, place)
            warm = moment.numbers.uniform(0.97, 1.0) * (0.8 if place == "bulk_process" else 1.0)
            yield region, ("l1", place), float(int(jobs * 0.68 * warm)), 1
            yield region, ("l2", place), float(int(jobs * 0.22 * warm)), 1


def _answers(moment: _Moment) -> Cells:
    for region in _REGIONS:
        jobs = sum(moment.jobs(region, place) for place in _PLACES)
        for name, keys in _MENTORS.items():
            yield region, (name,), float(int(jobs * keys / 216 * moment.numbers.uniform(0.95, 1.05))), 1


def _queues(scale: float, spread: float) -> Callable[[_Moment], Cells]:
    def made(moment: _Moment) -> Cells:
        for region in _REGIONS:
            for name, usual in _QUEUES.items():
                level = usual * scale * moment.busy(region) * (6 if moment.trouble(region) else 1)
                yield region, (name,), [level * moment.numbers.uniform(1 - spread, 1 + spread)] * 3, 1

    return made


def _waits(moment: _Moment) -> Cells:
    for region in _REGIONS:
        for name, usual in _QUEUES.items():
            middle = math.log(0.004 * (1 + usual / 4) * (8 if moment.trouble(region) else 1))
            values = [moment.numbers.lognormvariate(middle, 0.5) for _ in range(12)]
            yield region, ("persona.process", name), values, 5


def _database(moment: _Moment) -> Cells:
    for region in _REGIONS:
        yield region, (), [moment.numbers.lognormvariate(math.log(1.6), 0.4) for _ in range(12)], 1


def _rarely(labels: tuple[str, ...], chance: float, most: int) -> Callable[[_Moment], Cells]:
    def made(moment: _Moment) -> Cells:
        for region in _REGIONS:
            if moment.trouble(region) or moment.numbers.random() < chance * moment.span_s / MINUTE_S:
                yield region, labels, float(moment.numbers.randint(1, most)), 1

    return made


def _lag(moment: _Moment) -> Cells:
    for region in ("eu", "asia"):
        yield region, (), [moment.numbers.uniform(2, 40) for _ in range(6)], 1


def _people(moment: _Moment) -> Cells:
    yield "us", (), [4_200 * moment.busy("us")], 1


def _reports(moment: _Moment) -> Cells:
    yield "us", (), float(int(moment.span_s / 5 * 14)), 1


_MADE: dict[str, Callable[[_Moment], Cells]] = {
    "requests": _by_place(lambda _, __: 1.0),
    "errors": _by_place(lambda moment, region: 0.009 if moment.trouble(region) else 0.0002),
    "refused": lambda moment: iter([("eu", ("process", "overloaded"), 12.0, 1)] if moment.bad else []),
    "response_time": _response,
    "persona_answers": _answers,
    "users_active": _people,
    "cache_hits": _hits,
    "cache_misses": _by_place(lambda moment, _: moment.numbers.uniform(0.1, 0.14)),
    "cache_evictions": lambda moment: iter(
        [(region, ("l1",), float(int(moment.span_s * 0.8 * moment.busy(region))), 1) for region in _REGIONS]
    ),
    "database_query_time": _database,
    "database_lag": _lag,
    "cpu_utilization": _gauge(lambda moment, region: 44 * moment.busy(region)),
    "memory_utilization": _gauge(lambda moment, region: 51 + 4 * moment.busy(region)),
    "instance_count": _gauge(lambda _, region: float(_WORKERS[region])),
    "up": _gauge(lambda _, __: 1.0),
    "queue_depth": _queues(1.0, 0.4),
    "queue_oldest_age": _queues(0.02, 0.5),
    "queue_wait": _waits,
    "retries": _rarely(("persona.process",), 0.05, 6),
    "dead_letters": _rarely(("poison",), 0.002, 2),
    "monitoring_reports": _reports,
}


def _sample(metric: Metric, values: float | list[float], times: int, at_s: float) -> Sample:
    if isinstance(values, float):
        return Sample(1, values, values, values, at_s)
    sample = Sample(len(values) * times, sum(values) * times, min(values), max(values), at_s)
    if metric.kind is Kind.DISTRIBUTION:
        sample.sketch = Sketch()
        for value in values:
            sample.sketch.add(value, times)
    return sample
