"""What was measured, as it is kept in the database: the history and the totals that readers ask.

    with open_history("sqlite:////var/lib/ion/ion.db") as history:
        Reader(history).value(COLLECTIONS["response_time"], time.time(), 300)

Whatever a collector has committed is there at once.  Opening costs nothing before the first question; one
history serves many, from any thread, and gives its connections back when it is closed.

Units:   seconds since the Unix epoch; values in the unit of their metric.
Errors:  StoreUnavailable from ``rows`` and ``totals``; UnusableUrl from ``open_history``.
"""

from collections.abc import Collection as Some
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from workers.monitoring.history import Row
from workers.monitoring.metrics import METRICS
from workers.monitoring.samples import Sample, Series
from workers.monitoring.sketch import CorruptSketch, Sketch
from workers.monitoring.totals import Total
from workers.store.engine import Store, open_store
from workers.store.metric_tables import SAMPLES, SERIES

_SAMPLE = ("count", "total", "low", "high", "at_s", "sketch")  # columns that both tables have
_NAMED = (SERIES.c.id, SERIES.c.region, SERIES.c.metric, SERIES.c.labels)

_labels = msgspec.json.Decoder(tuple[str, ...]).decode


class SqlHistory:
    """The history in *store*; whoever shares the store with others leaves it to them to close it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self, metrics: Some[str], start_s: int, end_s: int, width_s: int) -> Iterable[Row]:
        """Return the samples of *metrics* that begin in [start_s, end_s), by the minute or by the hour."""
        with self._store.reading() as connection:
            series = _series(connection, metrics)
            query = sa.select(SAMPLES.c.series_id, SAMPLES.c.start_s, *(SAMPLES.c[name] for name in _SAMPLE))
            wanted = (
                SAMPLES.c.series_id.in_(series),
                SAMPLES.c.width_s == width_s,
                SAMPLES.c.start_s >= start_s,
                SAMPLES.c.start_s < end_s,
            )
            found = connection.execute(query.where(*wanted)).all() if series else []
        return [Row(series[row[0]], row[1], sample_of(row[2:])) for row in found]

    def totals(self) -> Iterable[Total]:
        """Return all that was ever measured, of every series that this version knows."""
        query = sa.select(*_NAMED, *(SERIES.c[name] for name in _SAMPLE))
        with self._store.reading() as connection:
            found = connection.execute(query).all()
        return [
            Total(Series(row[1], row[2], labels), sample_of(row[4:]))
            for row in found
            if (labels := _known(row[2], row[3])) is not None
        ]

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


def _series(connection: sa.Connection, metrics: Some[str]) -> Mapping[int, Series]:
    found = connection.execute(sa.select(*_NAMED).where(SERIES.c.metric.in_(metrics)))
    return {
        row[0]: Series(row[1], row[2], labels)
        for row in found
        if (labels := _known(row[2], row[3])) is not None
    }


def _known(metric: str, packed: str) -> tuple[str, ...] | None:
    """Return the labels of a series; None: another version measures it, with other labels."""
    labels = _labels(packed)
    return labels if metric in METRICS and len(labels) == len(METRICS[metric].labels) else None
