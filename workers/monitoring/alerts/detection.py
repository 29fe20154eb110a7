"""Whether a rule is broken: by a threshold, an anomaly, a trend, or by moving along with another figure.

All of it is pure: figures in, a verdict with a sentence out.  Each of the four asks that the figure is beyond
the rule's threshold; the last three ask for more.  Too few measurements give no verdict.

Units:   values in the unit of the rule's collection; lines have a value for each minute, oldest first.
Errors:  none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from workers.monitoring.alerts.rule import Anomaly, Correlation, Rule, Trend
from workers.monitoring.alerts.statistics import Values, correlation, present, robust_score, slope
from workers.monitoring.history import Reading
from workers.monitoring.notices.wording import figure, lasting

_MOVED = 4.0  # robust deviations by which a collection has moved
_TOGETHER = 0.6  # how closely it must follow the one that is alerted of
_MOST_ALONG = 3
_LATEST, _BEGUN = 3, 6  # minutes: what is now, and since when it may have begun


Finding = Literal["broken", "fine", "unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one group now; *unknown*: too little was measured to judge."""

    finding: Finding
    value: float | None
    said: str

    @property
    def broken(self) -> bool:
        """Whether the rule is, for all that is known."""
        return self.finding == "broken"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detection looks at besides the present figure.

    *before* is the line before the window, for anomalies.  *recent*, the line up to now, and that of the
    *other* collection are for trends and correlations.
    """

    before: Values = ()
    recent: Values = ()
    other: Values = ()


NOTHING_ELSE = Evidence()


def judge(rule: Rule, reading: Reading, evidence: Evidence = NOTHING_ELSE) -> Verdict:
    """Return whether *rule* is broken by *reading*."""
    value = reading.value
    if value is None or not enough(rule, reading):
        return Verdict("unknown", value, f"too little was measured in {lasting(rule.window_s)} to judge")
    limit = f"{rule.comparison} {figure(rule.threshold, rule.unit)}"
    among = f" of {reading.count:,.0f}" if rule.made in ("share", "rest") else ""
    shown = f"{figure(value, rule.unit)}{among}"
    found = f"{rule.made} of {rule.collection} over {lasting(rule.window_s)} is {shown}"
    if not beyond(rule, value):
        return Verdict("fine", value, f"{found}, not {limit}")
    said = f"{found}, {limit}"
    match rule.detection:
        case Anomaly() as given:
            return _unlike(rule, given, value, evidence.before, said)
        case Trend() as given:
            return _moving(rule, given, value, evidence.recent, said)
        case Correlation() as given:
            return _together(given, value, evidence, said)
        case _:
            return Verdict("broken", value, said)


def beyond(rule: Rule, value: float) -> bool:
    """Whether *value* is on the wrong side of the threshold; at it is not."""
    return value > rule.threshold if rule.comparison == "above" else value < rule.threshold


def enough(rule: Rule, reading: Reading) -> bool:
    """Whether so much was measured that *rule* can be judged, and so many cases that it means something.

    A share that is within its limit needs no cases: nothing bad may well be none of them.
    """
    if reading.value is None or reading.count < rule.least:
        return False
    if not rule.least_cases or not beyond(rule, reading.value):
        return True
    share = reading.value if rule.made == "share" else 100 - reading.value
    return round(share / 100 * reading.count) >= rule.least_cases


def absent(rule: Rule, reading: Reading) -> Verdict:
    """Return whether what was measured before is not measured any more; *reading* is over some hours."""
    age_s = reading.age_s
    if age_s is None:
        return Verdict("unknown", None, f"{rule.collection} was never measured")
    if age_s <= rule.absent_s:
        return Verdict("fine", reading.value, f"{rule.collection} was measured {lasting(age_s)} ago")
    return Verdict("broken", None, f"{rule.collection} was measured {lasting(age_s)} ago, and not since")


@dataclass(frozen=True, slots=True)
class Moved:
    """A collection that moved at the same time: from what it *was* usually to what it *became*."""

    collection: str
    unit: str
    was: float
    became: float
    closeness: float

    def __str__(self) -> str:
        return f"{self.collection} {figure(self.became, self.unit)} (was {figure(self.was, self.unit)})"


def along(target: Values, others: Mapping[str, tuple[str, Values]]) -> list[Moved]:
    """Return which of the *others* (name -> unit, line) moved when *target* did, the closest first.

    Moved has what is, in its last three minutes, far from its own usual, and moves like the target.
    """
    found = []
    for name, (unit, line) in others.items():
        usual, latest = present(line[:-_BEGUN]), present(line[-_LATEST:])
        closeness = correlation(target, line)
        if not usual or not latest or closeness is None or abs(closeness) < _TOGETHER:
            continue
        became = median(latest)
        score = robust_score(became, usual)
        if score is not None and abs(score) >= _MOVED:
            found.append(Moved(name, unit, median(usual), became, abs(closeness)))
    found.sort(key=lambda moved: (-moved.closeness, moved.collection))
    return found[:_MOST_ALONG]


def _unlike(rule: Rule, given: Anomaly, value: float, before: Values, said: str) -> Verdict:
    score = robust_score(value, before)
    if score is None:
        return Verdict("unknown", value, f"{said}; too little is known of {lasting(given.baseline_s)} before")
    far = score if rule.comparison == "above" else -score
    unlike = f"{abs(score):.1f} deviations from what it was in {lasting(given.baseline_s)} before"
    return Verdict(_finding(far >= given.scores), value, f"{said}, {unlike}")


def _moving(rule: Rule, given: Trend, value: float, recent: Values, said: str) -> Verdict:
    steps = slope(recent)
    if steps is None:
        return Verdict(
            "unknown", value, f"{said}; too little is known of {lasting(given.over_s)} to see a trend"
        )
    towards = steps if rule.comparison == "above" else -steps
    how = "rising" if steps > 0 else "falling"
    moves = f"{how} by {figure(abs(steps), rule.unit)} a minute for {lasting(given.over_s)}"
    return Verdict(_finding(towards >= given.per_minute), value, f"{said}, {moves}")


def _together(given: Correlation, value: float, evidence: Evidence, said: str) -> Verdict:
    close = correlation(evidence.recent, evidence.other)
    if close is None:
        return Verdict("unknown", value, f"{said}; it is not known how {given.other} moved with it")
    moves = f"in step with {given.other} (correlation {close:.2f} over {lasting(given.over_s)})"
    return Verdict(_finding(abs(close) >= given.least), value, f"{said}, {moves}")


def _finding(broken: object) -> Finding:
    return "broken" if broken else "fine"
