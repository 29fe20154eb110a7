"""Build a dashboard: a definition and a history in, numbers out.

Units:   seconds since the Unix epoch; windows in seconds.
Errors:  what the history raises (StoreError, for the one in the database).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from workers.monitoring.alerts.alert import LEVELS
from workers.monitoring.dashboards.ahead import Ahead, grid_of, step_of
from workers.monitoring.dashboards.model import (
    Alerts,
    AlertsPanel,
    ChartPanel,
    Column,
    Dashboard,
    Panel,
    Row,
    Share,
    SharesPanel,
    StatPanel,
    Subject,
    TablePanel,
    Trace,
)
from workers.monitoring.dashboards.parts import (
    RECENT_S,
    Chart,
    Definition,
    Figure,
    Firing,
    Part,
    Shares,
    Stat,
    Table,
)
from workers.monitoring.dashboards.thresholds import Limits
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.history import History, Labels, Line, Reader, Reading
from workers.monitoring.metrics import REPORTS

Values = tuple[float | None, ...]

_OVER_S = 30.0  # with less of a step, its rate is left to chance


@dataclass(frozen=True, slots=True)
class Sources:
    """Where numbers, limits and open alerts come from."""

    history: History
    limits: Limits
    alerts: Alerts


def build(definition: Definition, sources: Sources, now_s: float, window_s: int) -> Dashboard:
    """Return the dashboard as it is at *now_s*, over *window_s*."""
    return _Builder(definition, sources, now_s, window_s).built()


class _Builder:
    def __init__(self, definition: Definition, sources: Sources, now_s: float, window_s: int) -> None:
        self._definition, self._limits, self._alerts = definition, sources.limits, sources.alerts
        self._now_s, self._window_s, self._step_s = now_s, window_s, step_of(window_s)
        self._start_s, self._steps = grid_of(now_s, window_s)
        metrics = definition.metrics | {REPORTS.name}
        ahead = Ahead(sources.history, metrics, now_s, window_s, RECENT_S)
        self._ahead, self._reader = ahead, Reader(ahead)
        self._reported = ahead.reported(now_s, window_s)
        last_s = self._start_s + (self._steps - 1) * self._step_s
        told_s = ahead.latest_s({REPORTS.name})
        self._over_s = 0.0 if told_s is None else told_s - last_s  # so much of the last step is told

    def built(self) -> Dashboard:
        """Return the whole."""
        return Dashboard(
            self._definition.name,
            self._definition.title,
            self._definition.about,
            self._now_s,
            self._window_s,
            self._step_s,
            self._age(tuple(self._definition.figures())),
            tuple(self._panel(part) for part in self._definition.parts),
        )

    def _panel(self, part: Part) -> Panel:
        match part:
            case Stat():
                return self._stat(part)
            case Chart():
                return self._chart(part)
            case Shares():
                return self._shares(part)
            case Table():
                return self._table(part)
            case Firing():
                return self._open_alerts(part)

    def _stat(self, part: Stat) -> StatPanel:
        figure, limits = part.figure, self._limits.of(part.figure)
        reading = self._readings(figure, None, RECENT_S if part.recent else self._window_s)[""]
        return StatPanel(
            part.title,
            _subject(figure),
            reading,
            self._limits.tone(figure, reading),
            limits,
            Line(self._start_s, self._step_s, self._courses(figure, None)[""], figure.source.unit),
        )

    def _chart(self, part: Chart) -> ChartPanel:
        traces = [
            Trace(group or figure.label or figure.source.name, _subject(figure), values)
            for figure in part.figures
            for group, values in sorted(self._courses(figure, part.by).items())
        ]
        limits = (limit for figure in part.figures for limit in self._limits.of(figure))
        return ChartPanel(
            part.title,
            part.figures[0].source.unit,
            self._start_s,
            self._step_s,
            self._window_s,
            tuple(traces) if any(trace.ends for trace in traces) else (),
            self._age(part.figures),
            tuple(dict.fromkeys(limits)),
            part.wide,
        )

    def _shares(self, part: Shares) -> SharesPanel:
        found = [
            (group or figure.label or figure.source.name, figure, reading)
            for figure in part.figures
            for group, reading in sorted(self._readings(figure, part.by, self._window_s).items())
        ]
        total = sum(reading.value for _, _, reading in found if reading.value is not None)
        shares = tuple(
            Share(
                label,
                _subject(figure),
                reading,
                100 * reading.value / total if total and reading.value is not None else None,
            )
            for label, figure, reading in found
        )
        unit = part.figures[0].source.unit
        return SharesPanel(part.title, unit, self._window_s, shares, self._age(part.figures), part.wide)

    def _table(self, part: Table) -> TablePanel:
        columns = tuple(
            Column(figure.label or figure.source.name, _subject(figure), self._limits.of(figure))
            for figure in part.figures
        )
        read = [self._readings(figure, part.by, self._window_s) for figure in part.figures]
        rows = []
        for label in sorted(set().union(*read)):
            cells = [
                readings.get(label) or self._nothing(figure, self._window_s)
                for figure, readings in zip(part.figures, read, strict=True)
            ]
            toned = [
                (cell, self._limits.tone(figure, cell))
                for figure, cell in zip(part.figures, cells, strict=True)
            ]
            rows.append(Row(label, tuple(toned)))
        age_s = self._age(part.figures)
        return TablePanel(part.title, part.by, self._window_s, columns, tuple(rows), age_s, part.wide)

    def _open_alerts(self, part: Firing) -> AlertsPanel:
        found = sorted(
            self._alerts.open_alerts(), key=lambda alert: (LEVELS.index(alert.level), alert.fired_s)
        )
        judged_s = self._alerts.evaluated_s()
        age_s = None if judged_s is None else max(0.0, self._now_s - judged_s)
        return AlertsPanel(part.title, tuple(found), age_s, part.wide)

    def _readings(self, figure: Figure, by: str | None, window_s: int) -> dict[str, Reading]:
        """Return the figure for each value of *by*; without, the only one is that of ''."""
        read = self._reader.by(figure.source, self._now_s, window_s, _labels(figure, by), how=figure.way)
        groups: dict[str, list[Reading]] = {} if by is not None else {"": []}
        for group, reading in read.items():
            groups.setdefault("" if by is None else group[0], []).append(reading)
        nothing = self._nothing(figure, window_s)
        return {
            group: _together([*readings, nothing] if figure.is_count or not readings else readings)
            for group, readings in groups.items()
        }

    def _nothing(self, figure: Figure, window_s: int) -> Reading:
        """Return the figure where there is not one sample: of a count, 0 if processes reported then."""
        counted = self._reader.value(COLLECTIONS["monitoring_reports"], self._now_s, window_s)
        if figure.is_count and counted.value:
            return Reading(0.0, figure.source.unit, window_s, 0, counted.age_s)
        return Reading(None, figure.source.unit, window_s)

    def _courses(self, figure: Figure, by: str | None) -> dict[str, Values]:
        """Return the course of the figure for each value of *by*; without, the only one is that of ''."""
        lines = self._reader.lines(
            figure.source,
            self._now_s,
            self._window_s,
            self._step_s,
            _labels(figure, by),
            how=figure.way,
        )
        groups: dict[str, list[Values]] = {} if by is not None else {"": []}
        for group, line in lines.items():
            groups.setdefault("" if by is None else group[0], []).append(line.values)
        gaps: Values = (None,) * self._steps
        return {group: self._filled(figure, _added(all_of or [gaps])) for group, all_of in groups.items()}

    def _filled(self, figure: Figure, values: Values) -> Values:
        """Return *values*: of a count with 0 where processes reported and nobody counted anything.

        Of the last step only a part is over, so that its sum would look like a fall, and is left out; its
        rate is over that part.
        """
        if not figure.is_count:
            return values
        filled = [
            0.0 if value is None and step in self._reported else value for step, value in enumerate(values)
        ]
        last = filled[-1]
        if last is not None:
            whole = figure.way == "rate" and self._over_s >= _OVER_S
            filled[-1] = last * self._step_s / self._over_s if whole else None
        return tuple(filled)

    def _age(self, figures: Sequence[Figure]) -> float | None:
        """Return how old the newest measurement of *figures* is; of counts, the newest report."""
        counts = any(figure.is_count for figure in figures)
        metrics = frozenset({REPORTS.name} if counts else ()).union(*(figure.metrics for figure in figures))
        latest_s = self._ahead.latest_s(metrics)
        return None if latest_s is None else max(0.0, self._now_s - latest_s)


def _labels(figure: Figure, by: str | None) -> Labels:
    return figure.over if by is None else (by, *figure.over)


def _subject(figure: Figure) -> Subject:
    return Subject(figure.source.name, figure.way, figure.source.unit, figure.source.about)


def _together(readings: Sequence[Reading]) -> Reading:
    """Return the sum of *readings*, as new as the newest of them."""
    if len(readings) == 1:
        return readings[0]
    values = [reading.value for reading in readings if reading.value is not None]
    ages_s = [reading.age_s for reading in readings if reading.age_s is not None]
    return Reading(
        sum(values) if values else None,
        readings[0].unit,
        readings[0].window_s,
        sum(reading.count for reading in readings),
        min(ages_s, default=None),
    )


def _added(courses: Sequence[Values]) -> Values:
    """Return the sum of *courses* at each step; a gap only where all have one."""
    if len(courses) == 1:
        return courses[0]
    return tuple(
        sum(known) if (known := [value for value in values if value is not None]) else None
        for values in zip(*courses, strict=True)
    )
