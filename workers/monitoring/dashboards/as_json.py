"""A dashboard as JSON for programs.  docs/dashboards.md describes it; fields are only added.

Units:  those in ``unit``; seconds in fields that end in ``_s``; moments in ISO 8601, UTC.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from workers.monitoring.alerts.alert import Alert
from workers.monitoring.dashboards.model import (
    AlertsPanel,
    ChartPanel,
    Dashboard,
    Limit,
    Panel,
    SharesPanel,
    StatPanel,
    Subject,
    TablePanel,
)
from workers.monitoring.dashboards.words import moment
from workers.monitoring.history import Reading

_DIGITS = 6  # significant ones: more than percentiles have


def json_of(board: Dashboard) -> str:
    """Return *board* as a JSON document."""
    return json.dumps(as_json(board), ensure_ascii=False, indent=2)


def as_json(board: Dashboard) -> dict[str, Any]:
    """Return *board* as an object of JSON."""
    return {
        "dashboard": board.name,
        "title": board.title,
        "about": board.about,
        "at": moment(board.at_s),
        "window_s": board.window_s,
        "step_s": board.step_s,
        "age_s": _rounded(board.age_s),
        "panels": [_panel(panel) for panel in board.panels],
    }


def _panel(panel: Panel) -> dict[str, Any]:
    match panel:
        case StatPanel():
            return _stat(panel)
        case ChartPanel():
            return _chart(panel)
        case SharesPanel():
            return _shares(panel)
        case TablePanel():
            return _table(panel)
        case AlertsPanel():
            alerts = [_alert(alert) for alert in panel.alerts]
            return {"kind": "alerts", "title": panel.title, "age_s": _rounded(panel.age_s), "alerts": alerts}


def _stat(panel: StatPanel) -> dict[str, Any]:
    return {
        "kind": "stat",
        "title": panel.title,
        **_subject(panel.subject),
        **_reading(panel.reading),
        "tone": panel.tone,
        "limits": _limits(panel.limits),
        "start": moment(panel.line.start_s),
        "step_s": panel.line.step_s,
        "values": _values(panel.line.values),
    }


def _chart(panel: ChartPanel) -> dict[str, Any]:
    lines = [
        {"label": trace.label, **_subject(trace.subject), "values": _values(trace.values)}
        for trace in panel.traces
    ]
    return {
        "kind": "chart",
        "title": panel.title,
        "window_s": panel.window_s,
        "age_s": _rounded(panel.age_s),
        "limits": _limits(panel.limits),
        "start": moment(panel.start_s),
        "step_s": panel.step_s,
        "lines": lines,
    }


def _shares(panel: SharesPanel) -> dict[str, Any]:
    shares = [
        {
            "label": share.label,
            **_subject(share.subject),
            **_reading(share.reading),
            "percent": _rounded(share.percent),
        }
        for share in panel.shares
    ]
    age_s = _rounded(panel.age_s)
    return {
        "kind": "shares",
        "title": panel.title,
        "window_s": panel.window_s,
        "age_s": age_s,
        "shares": shares,
    }


def _table(panel: TablePanel) -> dict[str, Any]:
    columns = [
        {"label": column.label, **_subject(column.subject), "limits": _limits(column.limits)}
        for column in panel.columns
    ]
    rows = [
        {"label": row.label, "cells": [{**_reading(reading), "tone": tone} for reading, tone in row.cells]}
        for row in panel.rows
    ]
    return {
        "kind": "table",
        "title": panel.title,
        "by": panel.by,
        "window_s": panel.window_s,
        "age_s": _rounded(panel.age_s),
        "columns": columns,
        "rows": rows,
    }


def _alert(alert: Alert) -> Mapping[str, Any]:
    return {
        "id": alert.id,
        "rule": alert.rule,
        "level": alert.level,
        "state": alert.state,
        "labels": alert.labels,
        "said": alert.said,
        "value": _rounded(alert.value),
        "threshold": alert.threshold,
        "unit": alert.unit,
        "since": moment(alert.since_s),
        "acknowledged_by": alert.acknowledged_by,
        "silenced": alert.silenced_by is not None,
        "inhibited_by": alert.inhibited_by,
    }


def _subject(subject: Subject) -> dict[str, Any]:
    return {"collection": subject.collection, "how": subject.how, "unit": subject.unit}


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "value": _rounded(reading.value),
        "window_s": reading.window_s,
        "age_s": _rounded(reading.age_s),
        "count": _rounded(reading.count),
    }


def _limits(limits: Sequence[Limit]) -> list[dict[str, Any]]:
    return [
        {"tone": one.tone, "comparison": one.comparison, "value": one.value, "rule": one.rule}
        for one in limits
    ]


def _values(values: Sequence[float | None]) -> list[float | None]:
    return [_rounded(value) for value in values]


def _rounded(value: float | None) -> float | None:
    if value is None:
        return None
    return int(value) if value == int(value) else float(f"{value:.{_DIGITS}g}")
