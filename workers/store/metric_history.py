"""What was measured, as it is kept in the database: the history and the totals that readers ask.

    with open_history("sqlite:////var/lib/ion/ion.db") as history:
        Reader(history).value(COLLECTIONS["response_time"], time.time(), 300)

Whatever a collector has committed is there at once.  Opening costs nothing before the first question; one
history serves many, from any thread, and gives its connections back when it is closed.

Units:   seconds since the Unix epoch; values in the unit of their metric.
Errors:  StoreUnavailable from ``rows`` and ``totals``; UnusableUrl from ``open_history``.
"""

from collections.abc import Collection as Some
from collections.abc import Iterable, Sequence
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from workers.monitoring.export.totals import Total
from workers.monitoring.history import Row
from workers.monitoring.metrics import METRICS
from workers.monitoring.samples import Sample, Series
from workers.monitoring.sketch import CorruptSketch, Sketch
from workers.store.engine import Store, open_store
from workers.store.metric_tables import SAMPLES, SERIES

VALUES = ("count", "total", "low", "high", "at_s", "sketch")  # the columns of a sample, in both tables
NAMED = (SERIES.c.id, SERIES.c.region, SERIES.c.metric, SERIES.c.labels)

_labels = msgspec.json.Decoder(tuple[str, ...]).decode


class SqlHistory:
    """The history in *store*; whoever shares the store with others leaves it to them to close it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self, metrics: Some[str], start_s: int, end_s: int, width_s: int) -> Iterable[Row]:
        """Return the samples of *metrics* that begin in [start_s, end_s), by the minute or by the hour."""
        with self._store.reading() as connection:
            named = connection.execute(sa.select(*NAMED).where(SERIES.c.metric.in_(metrics)))
            series = {row[0]: name for row in named if (name := series_of(row)) is not None}
            query = sa.select(SAMPLES.c.series_id, SAMPLES.c.start_s, *(SAMPLES.c[name] for name in VALUES))
            wanted = (
                SAMPLES.c.series_id.in_(sa.select(SERIES.c.id).where(SERIES.c.metric.in_(metrics))),
                SAMPLES.c.width_s == width_s,
                SAMPLES.c.start_s >= start_s,
                SAMPLES.c.start_s < end_s,
            )
            found = connection.execute(query.where(*wanted)).all()
        return [Row(series[row[0]], row[1], sample_of(row[2:])) for row in found if row[0] in series]

    def totals(self) -> Iterable[Total]:
        """Return all that was ever measured, of every series that this version knows."""
        query = sa.select(*NAMED, *(SERIES.c[name] for name in VALUES))
        with self._store.reading() as connection:
            found = connection.execute(query).all()
        return [Total(series, sample_of(row[4:])) for row in found if (series := series_of(row)) is not None]

    def close(self) -> None:
        """Give the connections back."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_history(url: str) -> SqlHistory:
    """Return what is kept in the database at *url*; raise UnusableUrl.

    A file that is not there is not made: questions raise StoreUnavailable.  Whoever opens it closes it.
    """
    return SqlHistory(open_store(url, create=False))


def sample_of(row: Sequence[Any]) -> Sample:
    """Return the sample in the columns ``count`` to ``sketch``; a sketch that is damaged is left out."""
    count, total, low, high, at_s, packed = row
    return Sample(count, total, low, high, at_s, None if packed is None else _sketch(packed))


def _sketch(packed: bytes) -> Sketch | None:
    try:
        return Sketch.unpack(packed)
    except CorruptSketch:  # the row's percentiles are lost; its sums are not
        return None


def series_of(row: Sequence[Any]) -> Series | None:
    """Return the series in the columns NAMED; None: another version measures it, or with other labels."""
    _, region, metric, packed = row[:4]
    labels = _labels(packed)
    known = metric in METRICS and len(labels) == len(METRICS[metric].labels)
    return Series(region, metric, labels) if known else None
