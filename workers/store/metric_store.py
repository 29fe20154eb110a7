"""Add to what was measured, and forget what is old.

A report is taken in once: its id is kept in the transaction that adds its samples to their minutes, to their
hours and to what was ever measured.  So hours are never behind their minutes, whenever a report comes, and a
collector may die at any moment, or meet another one, without a trace in the numbers.

Units:   seconds since the Unix epoch.
Errors:  StoreUnavailable from every method.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from workers.monitoring.collecting.intake import Measured
from workers.monitoring.history import HOUR_S, MINUTE_S
from workers.store.engine import Store
from workers.store.metric_sums import add_to_spans, add_to_totals, by_span, known_series, one_at_a_time
from workers.store.metric_tables import REPORTS, SAMPLES, SERIES

KEPT_S = {MINUTE_S: 72 * HOUR_S, HOUR_S: 90 * 24 * HOUR_S}  # how long samples are kept, by their width
REPORTS_S = 24 * HOUR_S  # and the ids of reports: what was taken twice comes within moments
_AHEAD_S = 24 * HOUR_S  # samples of a clock that was wrong
_RUNNING_MIN = 10  # nothing is deleted before the fleet has measured for so long at the present time
_PORTION = 5_000  # rows that are deleted in one transaction


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding: *reports* that were news, and series that were one too many (*crowded*)."""

    reports: tuple[Measured, ...] = ()
    crowded: int = 0


class MetricStore:
    """What was measured, in *store*, which belongs to whoever opened it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, measured: Sequence[Measured], now_s: float) -> Added:
        """Add what is new of *measured*, all of it or nothing; say what that was."""
        with self._store.writing() as connection:
            one_at_a_time(connection)
            news = _news(connection, measured, now_s)
            if not news:
                return Added()
            known = known_series(connection, {series.metric for one in news for series, _ in one.samples})
            minutes, crowded = by_span((pair for one in news for pair in one.samples), MINUTE_S, known)
            ids = add_to_totals(connection, minutes, known, now_s)
            for width_s in KEPT_S:
                add_to_spans(connection, minutes, ids, width_s, now_s)
        return Added(news, crowded)

    def tidy(self, now_s: float) -> int:
        """Delete what is older than its time, a portion at a time; return how many rows went.

        A clock that is wrong for some minutes has nothing deleted.
        """
        with self._store.reading() as connection:
            found = connection.execute(sa.select(SERIES.c.id, SERIES.c.at_s)).all()
            if not _is_running(connection, now_s):
                return 0
        gone = sum(self._tidy_series(series_id, at_s, now_s) for series_id, at_s in found)
        return gone + self._tidy_reports(now_s)

    def _tidy_series(self, series_id: int, at_s: float, now_s: float) -> int:
        """Delete old samples of a series, or the whole of one that nobody has measured for long."""
        gone = 0
        with self._store.writing() as connection:
            if at_s < now_s - KEPT_S[HOUR_S]:
                one_at_a_time(connection)  # and it may have come to life again
                silent = SERIES.c.at_s < now_s - KEPT_S[HOUR_S]
                gone = connection.execute(sa.delete(SERIES).where(SERIES.c.id == series_id, silent)).rowcount
            for width_s, kept_s in KEPT_S.items():
                here = (SAMPLES.c.series_id == series_id, SAMPLES.c.width_s == width_s)
                for out in (SAMPLES.c.start_s < now_s - kept_s, SAMPLES.c.start_s > now_s + _AHEAD_S):
                    gone += connection.execute(sa.delete(SAMPLES).where(*here, out)).rowcount
        return gone

    def _tidy_reports(self, now_s: float) -> int:
        old = sa.select(REPORTS.c.id).where(REPORTS.c.at_s < now_s - REPORTS_S).limit(_PORTION)
        gone, went = 0, _PORTION
        while went == _PORTION:
            with self._store.writing() as connection:
                went = connection.execute(sa.delete(REPORTS).where(REPORTS.c.id.in_(old))).rowcount
            gone += went
        return gone


def _news(connection: sa.Connection, measured: Sequence[Measured], now_s: float) -> tuple[Measured, ...]:
    """Return those of *measured* that were never added, and note that they are."""
    news = {one.id: one for one in measured}
    for known in connection.scalars(sa.select(REPORTS.c.id).where(REPORTS.c.id.in_(list(news)))).all():
        del news[bytes(known)]
    if news:
        connection.execute(sa.insert(REPORTS), [{"id": one, "at_s": int(now_s)} for one in news])
    return tuple(news.values())


def _is_running(connection: sa.Connection, now_s: float) -> bool:
    """Say whether something was measured in enough of the last minutes."""
    lately = (SAMPLES.c.start_s > now_s - HOUR_S) & (SAMPLES.c.start_s <= now_s)
    here = SAMPLES.c.series_id.in_(sa.select(SERIES.c.id)) & (SAMPLES.c.width_s == MINUTE_S)
    query = sa.select(sa.func.count(SAMPLES.c.start_s.distinct())).where(here, lately)
    return int(connection.scalar(query) or 0) >= _RUNNING_MIN
