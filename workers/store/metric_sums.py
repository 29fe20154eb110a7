"""Add samples to those that are there: to what was ever measured of a series, to its minutes, to its hours.

Everything here happens in a transaction of the caller's, who lets one after the other do so.

Units:  seconds since the Unix epoch.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from workers.monitoring.metrics import OTHER
from workers.monitoring.samples import Sample, Series
from workers.store.metric_history import NAMED, VALUES, sample_of, series_of
from workers.store.metric_tables import SAMPLES, SERIES

MOST_SERIES = 2_000  # of one metric; what goes beyond is added to that of the label ``other``
_LOCK_ID = 0x10_4D_E7_03  # of PostgreSQL's advisory lock: any number that nobody else uses

_INSERT: dict[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

_encode = msgspec.json.Encoder().encode

Known = Mapping[Series, int]
"""The ids of series in the database."""

Spans = dict[Series, dict[int, Sample]]
"""Samples by series and by the beginning of their span."""


def one_at_a_time(connection: sa.Connection) -> None:
    """Let one transaction after the other change sums; SQLite does so anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_ID)))


def known_series(connection: sa.Connection, metrics: Iterable[str]) -> dict[Series, int]:
    """Return the series of *metrics* that are there."""
    found = connection.execute(sa.select(*NAMED).where(SERIES.c.metric.in_(metrics)))
    return {series: row[0] for row in found if (series := series_of(row)) is not None}


def by_span(samples: Iterable[tuple[Series, Sample]], width_s: int, known: Known) -> tuple[Spans, int]:
    """Return *samples* by series and span; and how many were put under ``other``, there being too many."""
    held = Counter(series.metric for series in known)
    spans: Spans = {}
    crowded = 0
    for given, sample in samples:
        series = given
        if given not in known and given not in spans:
            if held[given.metric] < MOST_SERIES:
                held[given.metric] += 1
            else:
                series, crowded = given._replace(labels=(OTHER,) * len(given.labels)), crowded + 1
        start_s = int(sample.at_s) // width_s * width_s
        spans.setdefault(series, {}).setdefault(start_s, Sample()).merge(sample)
    return spans, crowded


def add_to_totals(connection: sa.Connection, spans: Spans, known: Known, now_s: float) -> Known:
    """Add to what was ever measured of each series; return the ids, also of those that are new."""
    query = sa.select(SERIES.c.id, *(SERIES.c[name] for name in VALUES))
    touched = [known[series] for series in spans if series in known]
    totals = {row[0]: sample_of(row[1:]) for row in connection.execute(query.where(SERIES.c.id.in_(touched)))}
    rows = []
    for series, by_start in spans.items():
        total = totals[known[series]] if series in known else Sample()
        for sample in by_start.values():
            total.merge(sample)
        region, metric, labels = series
        name = {"region": region, "metric": metric, "labels": _encode(labels).decode()}
        rows.append({**name, **_values(total, now_s)})
    _put(connection, SERIES, rows, [SERIES.c.metric, SERIES.c.region, SERIES.c.labels])
    new = {series.metric for series in spans if series not in known}
    return {**known, **known_series(connection, new)} if new else known


def add_to_spans(connection: sa.Connection, minutes: Spans, ids: Known, width_s: int, now_s: float) -> None:
    """Add *minutes* to the samples of this width."""
    spans: dict[tuple[int, int], Sample] = {}
    for series, by_start in minutes.items():
        for start_s, sample in by_start.items():
            place = (ids[series], start_s // width_s * width_s)
            spans.setdefault(place, Sample()).merge(sample)
    for place, sample in _held(connection, spans.keys(), width_s).items():
        spans[place].merge(sample)
    rows = [
        {"series_id": series_id, "width_s": width_s, "start_s": start_s, **_values(sample, now_s)}
        for (series_id, start_s), sample in spans.items()
    ]
    _put(connection, SAMPLES, rows, [SAMPLES.c.series_id, SAMPLES.c.width_s, SAMPLES.c.start_s])


def _held(
    connection: sa.Connection, places: Iterable[tuple[int, int]], width_s: int
) -> dict[tuple[int, int], Sample]:
    """Return what is at *places* already, and perhaps at some others."""
    starts: dict[int, list[int]] = {}
    for series_id, start_s in places:
        starts.setdefault(start_s, []).append(series_id)
    held = {}
    for start_s, series_ids in starts.items():
        wanted = (SAMPLES.c.series_id.in_(series_ids), SAMPLES.c.width_s == width_s)
        query = sa.select(SAMPLES.c.series_id, *(SAMPLES.c[name] for name in VALUES))
        for row in connection.execute(query.where(*wanted, SAMPLES.c.start_s == start_s)):
            held[row[0], start_s] = sample_of(row[1:])
    return held


def _values(sample: Sample, now_s: float) -> dict[str, object]:
    """Return the columns of *sample*; a moment that is to come yet was told by a clock that was wrong."""
    packed = None if sample.sketch is None else sample.sketch.pack()
    at_s = min(sample.at_s, now_s)
    return dict(zip(VALUES, (sample.count, sample.total, sample.low, sample.high, at_s, packed), strict=True))


def _put(
    connection: sa.Connection, table: sa.Table, rows: list[dict[str, object]], key: list[sa.Column[Any]]
) -> None:
    """Write *rows*, in place of those with the same *key*."""
    if not rows:
        return  # SQLAlchemy would take it for one row without values
    insert = _INSERT[connection.dialect.name](table)
    changed = {name: insert.excluded[name] for name in VALUES}
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_=changed), rows)
