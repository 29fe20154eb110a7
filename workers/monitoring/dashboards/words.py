"""How numbers, windows, ages and moments are written, the same on every surface.

Units:  as named; seconds where none is.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from workers.monitoring.alerts.alert import Alert
from workers.monitoring.dashboards.model import Limit, Subject, Trace
from workers.monitoring.figures import How
from workers.monitoring.history import HOUR_S, MINUTE_S, Reading

NO_DATA = "no data"
DAY_S = 24 * HOUR_S
JUDGED_S = 60.0  # rules are looked at every five seconds

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
_ONE = {"jobs": "job", "batches": "batch", "workers": "worker", "letters": "letter", "people": "person"}
_WITH_UNIT = ("ms", "s", "%")  # of which the unit changes with the size, or is a sign


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
    return Written(_plain(value), _ONE.get(unit, unit) if value == 1 else unit)


def spoken(value: float | None, unit: str) -> str:
    """Return *value* and its unit in one piece."""
    return str(written(value, unit))


def short(value: float | None, unit: str) -> str:
    """Return *value* where its unit stands nearby and space is scarce: on axes and in legends."""
    if value is None or unit in _WITH_UNIT:
        return spoken(value, unit)
    for size, letter in ((_MILLION, "M"), (_THOUSAND, "k")):
        if abs(value) >= 10 * size:
            return f"{value / size:,.3g} {letter}"
    return _plain(value)


def ticks(values: Sequence[float], unit: str) -> list[str]:
    """Return the evenly spaced *values* of an axis, with as many digits as tell them apart."""
    top = max(abs(value) for value in values)
    factor, suffix = _size(top, unit)
    step = (values[1] - values[0]) / factor
    digits = next((some for some in range(4) if math.isclose(round(step, some), step, rel_tol=1e-3)), 4)
    return [f"{_trimmed(value / factor, digits)}{suffix}" for value in values]


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


def ends(trace: Trace, write: Callable[[float, str], str] = spoken) -> tuple[str, str, str]:
    """Return the latest, the lowest and the highest value of *trace*."""
    if trace.ends is None:
        return NO_DATA, "", ""
    latest, lowest, highest = (write(value, trace.subject.unit) for value in trace.ends)
    return latest, lowest, highest


def common_unit(units: Sequence[str]) -> str:
    """Return the unit to write above numbers that come without; none if theirs differ, or stand with them."""
    return units[0] if len(set(units)) == 1 and units[0] not in _WITH_UNIT else ""


def made(ways: Sequence[How], window_s: float) -> str:
    """Return how numbers are made, e.g. ``p95 per 5 min``; of several ways, which ones their labels say."""
    return f"{_HOW[ways[0]]} per {span(window_s)}" if len(set(ways)) == 1 else f"per {span(window_s)}"


def limit_words(limit: Limit, unit: str) -> str:
    """Return what is bad, e.g. ``critical above 200 ms``."""
    return f"{limit.tone} {limit.comparison} {spoken(limit.value, unit)}"


def alert_state(alert: Alert) -> str:
    """Return where an alert holds and who has taken it on, e.g. ``region eu, acknowledged by mina``."""
    told = [f"{name.replace('_', ' ')} {value}" for name, value in alert.labels.items()]
    if alert.state == "acknowledged":
        told.append(f"acknowledged by {alert.acknowledged_by or 'somebody'}")
    if alert.silenced_by is not None:
        told.append("silenced")
    if alert.inhibited_by is not None:
        told.append(f"told by {alert.inhibited_by}")
    return ", ".join(told)


def judged(age_s: float | None) -> str:
    """Return what is to be said of how old the judgement on rules is; nothing if it is new."""
    if age_s is None:
        return "No rule has been judged yet, so alerts are not known"
    return "" if age_s <= JUDGED_S else f"Rules were last judged {span(age_s)} ago, so alerts may be missing"


def clock(at_s: float) -> str:
    """Return a moment of the day in UTC, e.g. ``09:30``."""
    return f"{datetime.fromtimestamp(at_s, UTC):%H:%M}"


def day(at_s: float) -> str:
    """Return a day in UTC, e.g. ``2 Mar``."""
    at = datetime.fromtimestamp(at_s, UTC)
    return f"{at.day} {at:%b}"


def moment(at_s: float) -> str:
    """Return a moment in ISO 8601, in UTC."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"


def _size(top: float, unit: str) -> tuple[float, str]:
    """Return what numbers up to *top* are divided by on an axis, and what stands after them."""
    if unit in ("ms", "s"):
        second = 1000 if unit == "ms" else 1
        sizes = ((3600 * second, " h", 2), (60 * second, " min", 2), (second, " s", 1))
        for factor, suffix, least in sizes:
            if top >= least * factor:
                return factor, suffix
        return second / 1000, " ms"
    if unit == "%":
        return 1, " %"
    for factor, suffix in ((_MILLION, " M"), (_THOUSAND, " k")):
        if top >= 10 * factor:
            return factor, suffix
    return 1, ""


def _trimmed(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


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
    if 0 < value < 0.01:
        return "< 0.01"
    if 99 < value < 100:  # where the second digit after the point is what matters; never rounded up to 100
        return f"{int(value * 100) / 100:.2f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def _plain(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.01 else f"{value:.1g}"
