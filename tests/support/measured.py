"""Packed reports for tests, and a plain way to put measurements into a database."""

import itertools

import msgspec

from workers.monitoring.collecting.intake import Measured, read
from workers.monitoring.metrics import Metric
from workers.monitoring.recorder import MemoryRecorder, Report

NOW_S = 1_800_000_000.0  # the beginning of a minute

_numbers = itertools.count()
pack = msgspec.msgpack.Encoder().encode


def report_of(
    metric: Metric,
    *values: float,
    at_s: float = NOW_S,
    labels: tuple[str, ...] = (),
    region: str = "local",
) -> Report:
    """Return a report, unlike any other, of *values* that were measured at *at_s*."""
    recorder = MemoryRecorder(region, f"test-{next(_numbers)}", lambda: at_s)
    for value in values:
        recorder.measure(metric, value, labels=labels)
    return recorder.take()


def measured(
    metric: Metric,
    *values: float,
    at_s: float = NOW_S,
    labels: tuple[str, ...] = (),
    region: str = "local",
) -> Measured:
    """Return the same, as it is added to a database."""
    report = report_of(metric, *values, at_s=at_s, labels=labels, region=region)
    return read(pack(report), at_s)
