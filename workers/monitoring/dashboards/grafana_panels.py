"""The panels of the dashboards for Grafana: their questions to Prometheus, options and colours.

Source: as ``grafana``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from workers.monitoring.dashboards.model import Limit, Tone
from workers.monitoring.dashboards.parts import (
    RECENT_S,
    Chart,
    Figure,
    Firing,
    Part,
    Shares,
    Stat,
    Table,
)
from workers.monitoring.dashboards.thresholds import Limits
from workers.monitoring.export.promql import duration, promql

Json = dict[str, Any]

WHOLE, STEP = "$__range", "$__rate_interval"  # Grafana's words for the window and for one point of a line
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_UNITS = {"ms": "ms", "s": "s", "%": "percent", "jobs": "short", "answers/s": "suffix: answers/s"}
_COLOURS: Mapping[Tone, str] = {"medium": "yellow", "high": "orange", "critical": "red"}
_FIRING = 'ALERTS{alertstate="firing"}'


def body_of(part: Part, limits: Limits) -> Json:
    """Return what kind of panel *part* is, what it asks, and how it looks."""
    match part:
        case Stat():
            return _stat(part, limits)
        case Chart():
            return _chart(part, limits)
        case Shares():
            return _shares(part)
        case Table():
            return _table(part, limits)
        case Firing():
            return _firing()


def _stat(part: Stat, limits: Limits) -> Json:
    window = duration(RECENT_S) if part.recent else WHOLE
    return {
        "type": "stat",
        "description": part.figure.source.about,
        "targets": [_target("A", expression(part.figure, window), part.title)],
        "fieldConfig": _fields(part.figure, limits.of(part.figure)),
        "options": {
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "value",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    }


def _chart(part: Chart, limits: Limits) -> Json:
    found = tuple(dict.fromkeys(limit for figure in part.figures for limit in limits.of(figure)))
    lines = {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 8,
        "showPoints": "auto",
        "spanNulls": False,  # a gap is a gap
        "axisSoftMin": 0,
        "thresholdsStyle": {"mode": "dashed" if found else "off"},
    }
    targets = [
        _target(_letter(place), expression(figure, STEP, part.by), _legend(figure, part.by))
        for place, figure in enumerate(part.figures)
    ]
    return {
        "type": "timeseries",
        "description": part.figures[0].source.about,
        "targets": targets,
        "fieldConfig": _fields(part.figures[0], found, lines),
        "options": {
            "legend": {
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
                "calcs": ["lastNotNull", "min", "max"],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _shares(part: Shares) -> Json:
    targets = [
        _target(_letter(place), expression(figure, WHOLE, part.by), _legend(figure, part.by), instant=True)
        for place, figure in enumerate(part.figures)
    ]
    return {
        "type": "piechart",
        "description": part.figures[0].source.about,
        "targets": targets,
        "fieldConfig": _fields(part.figures[0], ()),
        "options": {
            "pieType": "donut",
            "displayLabels": ["percent"],
            "legend": {
                "displayMode": "table",
                "placement": "right",
                "showLegend": True,
                "values": ["value", "percent"],
                "calcs": [],
            },
            "tooltip": {"mode": "single", "sort": "none"},
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        },
    }


def _table(part: Table, limits: Limits) -> Json:
    labels = [figure.label or figure.source.name for figure in part.figures]
    letters = [_letter(place) for place in range(len(part.figures))]
    targets = [
        _target(letter, expression(figure, WHOLE, part.by), label, instant=True) | {"format": "table"}
        for letter, figure, label in zip(letters, part.figures, labels, strict=True)
    ]
    overrides = [
        {
            "matcher": {"id": "byName", "options": label},
            "properties": [{"id": name, "value": value} for name, value in _own(figure, limits).items()],
        }
        for figure, label in zip(part.figures, labels, strict=True)
    ]
    return {
        "type": "table",
        "description": "",
        "targets": targets,
        "transformations": [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "renameByName": {
                        f"Value #{letter}": label for letter, label in zip(letters, labels, strict=True)
                    },
                },
            },
        ],
        "fieldConfig": {"defaults": {"noValue": "no data"}, "overrides": overrides},
        "options": {"showHeader": True},
    }


def _firing() -> Json:
    return {
        "type": "table",
        "description": "What Prometheus says is firing, by the rules of `ion alerts export prometheus`.",
        "targets": [_target("A", _FIRING, "", instant=True) | {"format": "table"}],
        "transformations": [
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True, "Value": True, "__name__": True, "alertstate": True},
                    "renameByName": {},
                },
            }
        ],
        "fieldConfig": {"defaults": {"noValue": "none"}, "overrides": []},
        "options": {"showHeader": True},
    }


def expression(figure: Figure, window: str, by: str | None = None) -> str:
    """Return the question to Prometheus for *figure* over *window*, for each value of *by*."""
    labels = () if by is None else (by,)
    if not figure.over:
        return promql(figure.source, window, labels, how=figure.way)
    apart = promql(figure.source, window, (*labels, *figure.over), how=figure.way)
    return f"sum{f' by ({by})' if by else ''} ({apart})"


def _target(letter: str, expr: str, legend: str, *, instant: bool = False) -> Json:
    return {
        "refId": letter,
        "datasource": SOURCE,
        "expr": expr,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
    }


def _legend(figure: Figure, by: str | None) -> str:
    return f"{{{{{by}}}}}" if by is not None else figure.label or figure.source.name


def _fields(figure: Figure, limits: Sequence[Limit], custom: Json | None = None) -> Json:
    defaults = {"unit": _unit(figure), "noValue": "no data", "thresholds": _steps(limits)}
    return {"defaults": defaults if custom is None else {**defaults, "custom": custom}, "overrides": []}


def _own(figure: Figure, limits: Limits) -> Json:
    """Return the properties of a column of its own."""
    found = limits.of(figure)
    own: Json = {"unit": _unit(figure)}
    if found:
        own |= {"thresholds": _steps(found), "custom.cellOptions": {"type": "color-text"}}
    return own


def _unit(figure: Figure) -> str:
    unit = figure.source.unit
    return _UNITS.get(unit, f"suffix: {unit}")


def _steps(limits: Sequence[Limit]) -> Json:
    """Return *limits* as colours from the lowest value upwards."""
    below = sorted((one for one in limits if one.comparison == "below"), key=lambda one: one.value)
    above = sorted((one for one in limits if one.comparison == "above"), key=lambda one: one.value)
    colours = [*(_COLOURS[one.tone] for one in below), "text", *(_COLOURS[one.tone] for one in above)]
    starts = [None, *(one.value for one in below), *(one.value for one in above)]
    steps = [{"color": colour, "value": start} for colour, start in zip(colours, starts, strict=True)]
    return {"mode": "absolute", "steps": steps}


def _letter(place: int) -> str:
    return chr(ord("A") + place)
