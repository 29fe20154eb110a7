"""What the rules find in the history: a verdict for each rule, cause and group of labels.

Reads only.  A group that has a track and is not measured at present gets a verdict, too.

Units:   seconds since the Unix epoch.
Errors:  what the history raises (StoreError, for the one in the database).
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from workers.monitoring.alerts.alert import Cause
from workers.monitoring.alerts.detection import NOTHING_ELSE, Evidence, Verdict, absent, along, judge
from workers.monitoring.alerts.rule import Anomaly, Correlation, Rule, Trend
from workers.monitoring.alerts.states import Track, key_of
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.history import MINUTE_S, Line, Reader, Reading

logger = logging.getLogger(__name__)

MEMORY_S = 2 * 3_600  # what was measured so lately, and is not now, is missed
BLIND_S = 180  # without reports for so long, nothing can be judged
REPORTS = COLLECTIONS["monitoring_reports"]
MOST_GROUPS = 50  # of one rule; beyond them, those that are furthest within the limits are left out
_ALONG_S = 45 * 60  # what moved along is looked for in so much time

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """One *verdict*; *along*: what moved at the same time, if an alert is about to fire."""

    rule: Rule
    cause: Cause
    labels: dict[str, str]
    verdict: Verdict
    along: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key of its track."""
        return key_of(self.rule.name, self.cause, self.labels)


@dataclass(slots=True)
class Look:
    """One look at *reader*'s history at *now_s*; *tracks* are those known before, by their keys."""

    reader: Reader
    tracks: Mapping[str, Track]
    now_s: float
    _is_blind: bool | None = None

    def askable(self, rules: Iterable[Rule]) -> list[Rule]:
        """Return those of *rules* that can be judged: while nothing is measured at all, those on that."""
        asked = list(rules)
        return [rule for rule in asked if rule.collection == REPORTS.name or not self._blind()]

    def at(self, rules: Iterable[Rule]) -> list[Found]:
        """Return what *rules* find."""
        return [found for rule in rules for found in (*self._breaches(rule), *self._absences(rule))]

    def _blind(self) -> bool:
        if self._is_blind is None:
            age_s = self.reader.value(REPORTS, self.now_s, MEMORY_S).age_s
            self._is_blind = age_s is not None and age_s > BLIND_S
        return self._is_blind

    def _breaches(self, rule: Rule) -> Iterator[Found]:
        names, groups = self._groups(rule, rule.window_s)
        for group, reading in _worst(rule, groups):
            labels = dict(zip(names, group, strict=True))
            verdict = judge(rule, reading, self._evidence(rule, names, group))
            yield Found(rule, "breach", labels, verdict, self._along(rule, labels, verdict))
        nothing = Reading(None, rule.unit, rule.window_s)
        yield from self._missing(rule, "breach", names, groups, judge(rule, nothing))

    def _absences(self, rule: Rule) -> Iterator[Found]:
        if not rule.absent_s:
            return
        names, groups = self._groups(rule, MEMORY_S)
        for group, reading in _worst(rule, groups):
            labels = dict(zip(names, group, strict=True))
            yield Found(rule, "absence", labels, absent(rule, reading))
        nothing = Reading(None, rule.unit, MEMORY_S)
        yield from self._missing(rule, "absence", names, groups, absent(rule, nothing))

    def _missing(
        self, rule: Rule, cause: Cause, names: Group, groups: Mapping[Group, Reading], verdict: Verdict
    ) -> Iterator[Found]:
        """Yield *verdict* for the groups that have a track and no figure."""
        for track in self.tracks.values():
            known = (track.rule, track.cause) == (rule.name, cause)
            if known and tuple(track.labels.get(name, "") for name in names) not in groups:
                yield Found(rule, cause, track.labels, verdict)

    def _groups(self, rule: Rule, window_s: int) -> tuple[Group, dict[Group, Reading]]:
        """Return the names of the labels, and the figure of each group that the rule is about."""
        names = (*rule.by, *(name for name in sorted(rule.where) if name not in rule.by))
        found = self.reader.by(rule.judges, self.now_s, window_s, names, how=rule.how)
        return names, {
            group: reading
            for group, reading in found.items()
            if all(group[names.index(name)] == value for name, value in rule.where.items())
        }

    def _evidence(self, rule: Rule, names: Group, group: Group) -> Evidence:
        match rule.detection:
            case Anomaly(baseline_s=span_s):
                both = self._line(rule, names, group, span_s + rule.window_s)
                return Evidence(before=both[: -(rule.window_s // MINUTE_S)])
            case Trend(over_s=span_s):
                return Evidence(recent=self._line(rule, names, group, span_s))
            case Correlation(other=other, over_s=span_s):
                beside = self.reader.line(COLLECTIONS[other], self.now_s, span_s, MINUTE_S)
                return Evidence(recent=self._line(rule, names, group, span_s), other=beside.values)
            case _:
                return NOTHING_ELSE

    def _line(self, rule: Rule, names: Group, group: Group, span_s: int) -> tuple[float | None, ...]:
        lines = self.reader.lines(rule.judges, self.now_s, span_s, MINUTE_S, names, how=rule.how)
        line: Line | None = lines.get(group)
        return () if line is None else line.values

    def _along(self, rule: Rule, labels: dict[str, str], verdict: Verdict) -> tuple[str, ...]:
        """Return what moved along with what is about to fire; it is asked for then only."""
        track = self.tracks.get(key_of(rule.name, "breach", labels))
        broken = 0 if track is None else track.broken
        if not verdict.broken or broken + 1 < rule.occurrences or (track is not None and track.open):
            return ()
        target = self._line(rule, tuple(labels), tuple(labels.values()), _ALONG_S)
        lines = {
            name: (COLLECTIONS[name].unit, self._plain(name).values)
            for name in rule.related
            if name != rule.collection
        }
        return tuple(str(moved) for moved in along(target, lines))

    def _plain(self, name: str) -> Line:
        return self.reader.line(COLLECTIONS[name], self.now_s, _ALONG_S, MINUTE_S)


def _worst(rule: Rule, groups: Mapping[Group, Reading]) -> list[tuple[Group, Reading]]:
    """Return the groups to judge, the worst first; how many may be is bounded."""
    if len(groups) > MOST_GROUPS:
        logger.warning("rule %s: %d groups, of which %d are judged", rule.name, len(groups), MOST_GROUPS)
    sign = -1 if rule.comparison == "above" else 1
    known = sorted(groups.items(), key=lambda item: (item[1].value is None, sign * (item[1].value or 0.0)))
    return known[:MOST_GROUPS]
