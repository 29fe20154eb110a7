"""A history in memory, for whoever reads metrics; the real one is in the database."""

from collections.abc import Collection, Iterator

from workers.monitoring.history import HOUR_S, MINUTE_S, Row
from workers.monitoring.metrics import Kind, Metric
from workers.monitoring.samples import Sample, Series
from workers.monitoring.sketch import Sketch


class MemoryHistory:
    """Holds minutes; hours are added up when they are asked for."""

    def __init__(self) -> None:
        self._minutes: dict[tuple[Series, int], Sample] = {}

    def add(
        self,
        metric: Metric,
        at_s: float,
        *values: float,
        labels: tuple[str, ...] = (),
        region: str = "local",
    ) -> None:
        """Take *values* of *metric* as measured at *at_s*; of a count, each is a rise."""
        place = (Series(region, metric.name, labels), int(at_s) // MINUTE_S * MINUTE_S)
        sample = self._minutes.setdefault(place, Sample())
        for value in values:
            one = Sample(1, value, value, value, at_s)
            if metric.kind is Kind.DISTRIBUTION:
                one.sketch = Sketch()
                one.sketch.add(value)
            sample.merge(one)

    def rows(self, metrics: Collection[str], start_s: int, end_s: int, width_s: int) -> Iterator[Row]:
        """Yield what there is of *metrics* in [start_s, end_s), by minute or by hour."""
        assert width_s in (MINUTE_S, HOUR_S)
        merged: dict[tuple[Series, int], Sample] = {}
        for (series, minute_s), sample in self._minutes.items():
            begun_s = minute_s // width_s * width_s
            if series.metric in metrics and start_s <= begun_s < end_s:
                merged.setdefault((series, begun_s), Sample()).merge(sample)
        for (series, begun_s), sample in merged.items():
            yield Row(series, begun_s, sample)
