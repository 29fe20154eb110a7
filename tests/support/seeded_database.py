"""A database that holds what ``SeededHistory`` makes up, for pages and commands that read one."""

from collections.abc import Iterator
from pathlib import Path

from tests.support.seeded import SeededHistory
from workers.monitoring.collecting.intake import Measured
from workers.monitoring.history import HOUR_S, MINUTE_S
from workers.monitoring.metrics import METRICS
from workers.monitoring.samples import Sample, Series
from workers.store.engine import open_store
from workers.store.metric_store import MetricStore

FINE_S = 6 * HOUR_S  # so much of it is there by the minute


def seed(file: Path, now_s: float, history: SeededHistory | None = None, *, hours: int = 72) -> str:
    """Fill the database *file* with the *hours* before *now_s*, and return its URL."""
    url = f"sqlite:///{file}"
    made = SeededHistory(now_s) if history is None else history
    samples = tuple(_samples(made, int(now_s), hours * HOUR_S))
    with open_store(url) as store:
        MetricStore(store).add([Measured(b"seeded", samples)], now_s)
    return url


def _samples(history: SeededHistory, now_s: int, span_s: int) -> Iterator[tuple[Series, Sample]]:
    """Yield the last hours by the minute, and one sample an hour for those before."""
    fine_from_s = (now_s - min(span_s, FINE_S)) // HOUR_S * HOUR_S
    for row in history.rows(METRICS, fine_from_s, now_s, MINUTE_S):
        yield row.series, row.sample
    for row in history.rows(METRICS, now_s - span_s, fine_from_s, HOUR_S):
        yield row.series, row.sample
