"""How numbers, windows, ages and moments are written, the same on every surface.

Units:  as named; seconds where none is.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from workers.monitoring.dashboards.model import Limit, Subject
from workers.monitoring.history import HOUR_S, MINUTE_S, Reading
from workers.monitoring.metrics import How

NO_DATA = "no data"
DAY_S = 24 * HOUR_S

_HOW: Mapping[How, str] = {
    "sum": "total",
    "rate": "rate",
    "avg": "mean",
    "p50": "median",
    "p95": "p95",
    "p99": "p99",
    "high": "highest",
    "share": "share",
    "rest": "share",
}
_MILLION, _THOUSAND = 1_000_000, 1_000


class Written(NamedTuple):
    """A number and its unit, apart, since they are drawn apart."""

    number: str
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}".rstrip()


def written(value: float | None, unit: str) -> Written:
    """Return *value* with as many digits as help: some three."""
    if value is None:
        return Written(NO_DATA, "")
    if unit == "ms":
        return _duration(value / 1000)
    if unit == "s":
        return _duration(value)
    if unit == "%":
        return Written(_percent(value), "%")
    if abs(value) >= 10 * _MILLION:
        return Written(f"{value / _MILLION:,.1f}", f"million {unit}")
    return Written(_plain(value), unit)


def spoken(value: float | None, unit: str) -> str:
    """Return *value* and its unit in one piece."""
    return str(written(value, unit))


def span(seconds: float) -> str:
    """Return a span of time, e.g. ``5 min``."""
    if seconds < 2 * MINUTE_S and seconds % MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < HOUR_S:
        return f"{seconds / MINUTE_S:.0f} min"
    if seconds <= 3 * DAY_S:
        return f"{seconds / HOUR_S:.0f} h"
    return f"{seconds / DAY_S:.0f} days"


def age(seconds: float | None) -> str:
    """Return how old something is, e.g. ``3 s old``."""
    if seconds is None:
        return NO_DATA
    return f"{seconds:.0f} s old" if seconds < 2 * MINUTE_S else f"{span(seconds)} old"


def basis(subject: Subject, reading: Reading) -> str:
    """Return what a number rests on, e.g. ``p95 over 5 min, 3 s old``."""
    over = f"{_HOW[subject.how]} over {span(reading.window_s)}"
    return over if reading.value is None else f"{over}, {age(reading.age_s)}"


def made(subject: Subject, window_s: float) -> str:
    """Return how a number is made, e.g. ``p95 per 5 min``."""
    return f"{_HOW[subject.how]} per {span(window_s)}"


def limit_words(limit: Limit, unit: str) -> str:
    """Return what is bad, e.g. ``critical above 200 ms``."""
    return f"{limit.tone} {limit.comparison} {spoken(limit.value, unit)}"


def clock(at_s: float, *, with_day: bool = False) -> str:
    """Return a moment in UTC, e.g. ``09:30`` or ``2 Mar 09:30``."""
    at = datetime.fromtimestamp(at_s, UTC)
    return f"{at.day} {at:%b %H:%M}" if with_day else f"{at:%H:%M}"


def moment(at_s: float) -> str:
    """Return a moment in ISO 8601, in UTC."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


def _duration(seconds: float) -> Written:
    milliseconds = seconds * 1000
    if abs(milliseconds) < _THOUSAND:
        return Written(_plain(milliseconds), "ms")
    if abs(seconds) < 2 * MINUTE_S:
        return Written(_plain(seconds), "s")
    if abs(seconds) < 2 * HOUR_S:
        return Written(_plain(seconds / MINUTE_S), "min")
    return Written(_plain(seconds / HOUR_S), "h")


def _percent(value: float) -> str:
    if value in (0, 100):
        return f"{value:.0f}"
    if 99 < value < 100:  # where the second digit after the point is what matters; never rounded up to 100
        return f"{int(value * 100) / 100:.2f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _plain(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.01 else f"{value:.1g}"
