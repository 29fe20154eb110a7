"""The same five dashboards for Grafana, over a Prometheus that scrapes a gateway's ``/metrics``.

The numbers are those of ``workers.monitoring.export.promql``, in the same units; the colours are those of the
rules.

Source: grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model; the models of
        grafana-foundation-sdk, against which a test reads what is made here.
"""

import json
from collections.abc import Iterator

from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.monitoring.dashboards.grafana_panels import SOURCE, Json, body_of
from workers.monitoring.dashboards.parts import Definition, Firing, Part, Stat, Table
from workers.monitoring.dashboards.thresholds import Limits

SCHEMA = 39  # of Grafana's dashboards; later versions read it and bring it up to date
_ACROSS = 24  # columns of Grafana's grid


def files() -> dict[str, str]:
    """Return the files by name: one for each dashboard, coloured by our rules."""
    limits = Limits(load_rules().values())
    return {
        f"ion-{one.name}.json": json.dumps(dashboard(one, limits), indent=2, ensure_ascii=False) + "\n"
        for one in DASHBOARDS.values()
    }


def dashboard(definition: Definition, limits: Limits) -> Json:
    """Return *definition* as Grafana's JSON model."""
    return {
        "uid": f"ion-{definition.name}",
        "title": f"ION {definition.title}",
        "description": definition.about,
        "tags": ["ion"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,  # one cursor for all panels
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_source_choice()]},
        "annotations": {"list": []},
        "links": [_links()],
        "panels": list(_panels(definition, limits)),
    }


def _source_choice() -> Json:
    return {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus"}


def _links() -> Json:
    return {
        "title": "ION",
        "type": "dashboards",
        "tags": ["ion"],
        "icon": "",
        "tooltip": "",
        "url": "",
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }


def _panels(definition: Definition, limits: Limits) -> Iterator[Json]:
    """Yield the panels, laid out from left to right and downwards."""
    x = y = height = 0
    for number, part in enumerate(definition.parts, 1):
        wide, tall = _size(part)
        if x + wide > _ACROSS:
            x, y, height = 0, y + height, 0
        yield {
            "id": number,
            "title": part.title,
            "gridPos": {"x": x, "y": y, "w": wide, "h": tall},
            "datasource": SOURCE,
            **body_of(part, limits),
        }
        x, height = x + wide, max(height, tall)


def _size(part: Part) -> tuple[int, int]:
    if isinstance(part, Stat):
        return 6, 4
    return (_ACROSS if part.wide else _ACROSS // 2), (6 if isinstance(part, Firing | Table) else 8)
