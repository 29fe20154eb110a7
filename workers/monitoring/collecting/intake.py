"""What of a packed report can be believed.

A report comes from another process, of whatever version, with whatever clock, and the list that it lay in can
be written by whoever reaches the reply store.  So nothing of it is taken that would spoil what is kept
already; what is left out is counted by its reason.

Units:   seconds since the Unix epoch; values in the unit of their metric.
Errors:  none.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from workers.monitoring.metrics import METRICS, Kind
from workers.monitoring.recorder import REPORT_VERSION, Cell, Report
from workers.monitoring.samples import Sample, Series
from workers.monitoring.sketch import CorruptSketch, Sketch

AHEAD_S = 120  # clocks are not further apart than that
BEHIND_S = 72 * 3_600  # as long as minutes are kept
LONGEST_BYTES = 16 * 2**20
_LONGEST_NAME = 200  # characters of a label or a region
_MOST = 10**9  # measurements of one series between two reports
_LARGEST = 1e18  # of any value: a sum of as many as there will ever be is finite

CORRUPT, VERSION, CLOCK, METRIC, NUMBER = "corrupt", "version", "clock", "metric", "number"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a report tells; *id* is the same for the same bytes.  *discarded* counts, by reason."""

    id: bytes
    samples: tuple[tuple[Series, Sample], ...] = ()
    discarded: Counter[str] = field(default_factory=Counter)


class _Version(msgspec.Struct):
    v: int


_report = msgspec.msgpack.Decoder(Report).decode
_version = msgspec.msgpack.Decoder(_Version).decode
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


def read(packed: bytes, now_s: float) -> Measured:
    """Return what can be used of the report *packed*; nothing of one that is none, or out of its time."""
    report_id = hashlib.blake2b(packed, digest_size=16).digest()
    report = _unpacked(packed)
    if isinstance(report, str):
        return Measured(report_id, discarded=Counter((report,)))
    at_s = report.at_ms / 1000
    if not now_s - BEHIND_S <= at_s <= now_s + AHEAD_S:
        return Measured(report_id, discarded=Counter((CLOCK,)))
    discarded: Counter[str] = Counter()
    return Measured(report_id, tuple(_samples(report, min(at_s, now_s), discarded)), discarded)


def _unpacked(packed: bytes) -> Report | str:
    """Return the report, or why it is none."""
    if len(packed) > LONGEST_BYTES:
        return CORRUPT
    try:
        report = _report(packed)
    except _UNREADABLE:
        return _why_unreadable(packed)
    if report.v != REPORT_VERSION:
        return VERSION
    return report if _is_name(report.region) and report.region else CORRUPT


def _why_unreadable(packed: bytes) -> str:
    try:
        return VERSION if _version(packed).v != REPORT_VERSION else CORRUPT
    except _UNREADABLE:
        return CORRUPT


def _samples(report: Report, at_s: float, discarded: Counter[str]) -> Iterator[tuple[Series, Sample]]:
    for cell in report.cells:
        metric = METRICS.get(cell.metric)
        if metric is None:
            discarded[METRIC] += 1
        elif len(cell.labels) != len(metric.labels) or not all(map(_is_name, cell.labels)):
            discarded[CORRUPT] += 1
        elif not _is_sound(cell, metric.kind):
            discarded[NUMBER] += 1
        else:
            sample = Sample(cell.count, cell.total, cell.low, cell.high, at_s)
            try:
                if metric.kind is Kind.DISTRIBUTION:
                    sample.sketch = _sketch(cell)
            except CorruptSketch:
                discarded[CORRUPT] += 1
            else:
                yield Series(report.region, metric.name, cell.labels), sample


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and text.isprintable()


def _is_sound(cell: Cell, kind: Kind) -> bool:
    """Say whether the numbers are some: NaN and infinity are not, and no count falls."""
    numbers = (cell.low, cell.high, cell.total)
    if not all(math.isfinite(number) and abs(number) <= _LARGEST for number in numbers):
        return False
    if not 0 < cell.count <= _MOST or cell.low > cell.high:
        return False
    return kind is not Kind.COUNT or (cell.low >= 0 and cell.total >= 0)


def _sketch(cell: Cell) -> Sketch:
    sketch = Sketch.unpack(b"" if cell.sketch is None else cell.sketch)
    if sketch.count != cell.count:
        raise CorruptSketch("holds another number of values than its cell says")
    return sketch
