"""The dashboards for Grafana: current, in Grafana's model, and with questions that Prometheus understands."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.boards import LIMITS
from tests.support.tools import needs
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.monitoring.dashboards.grafana import dashboard, files
from workers.monitoring.dashboards.grafana_panels import STEP, WHOLE, expression
from workers.monitoring.dashboards.parts import Figure

KEPT = Path(__file__).parents[4] / "infra" / "grafana"


def boards() -> dict[str, dict[str, Any]]:
    return {name: json.loads(text) for name, text in files().items()}


def questions() -> set[str]:
    return {
        target["expr"] for one in boards().values() for panel in one["panels"] for target in panel["targets"]
    }


def test_the_files_are_up_to_date() -> None:
    """``ion dashboard export grafana -o infra/grafana`` brings them up to date."""
    assert {file.name: file.read_text(encoding="utf-8") for file in KEPT.glob("*.json")} == files()


def test_prometheus_understands_every_question(tmp_path: Path) -> None:
    promtool = needs("promtool")
    asked = [text.replace(WHOLE, "1h").replace(STEP, "5m") for text in sorted(questions())]
    rules = [{"record": f"asked:{number}", "expr": text} for number, text in enumerate(asked)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}), encoding="utf-8")
    run = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(asked)} rules found" in run.stdout


def test_grafanas_own_models_hold_all_that_is_in_them() -> None:
    """Read by the models that Grafana generates from its schema, and written again, nothing is lost."""
    reason = "needs grafana-foundation-sdk, whose models stand for Grafana's schema"
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason=reason)
    pytest.importorskip("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder").JSONEncoder()
    for name, one in boards().items():
        again = json.loads(encoder.encode(models.Dashboard.from_json(one)))
        assert list(lost(one, again, name)) == []


def lost(before: Any, after: Any, place: str) -> Any:
    """Yield where *after* lacks something of *before*, or has it otherwise."""
    if isinstance(before, dict):
        for name, value in before.items():
            if name not in after:
                yield f"{place}/{name}"
            else:
                yield from lost(value, after[name], f"{place}/{name}")
    elif isinstance(before, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{place}/{number}")
    elif before != after:
        yield place


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_has_its_place(name: str) -> None:
    made = dashboard(DASHBOARDS[name], LIMITS)
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + across, place["y"] + down)
            for across in range(place["w"])
            for down in range(place["h"])
        }
        assert not cells & taken
        taken |= cells
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids) == len(DASHBOARDS[name].parts)


def test_colours_are_those_of_the_rules() -> None:
    (panel,) = [
        one for one in dashboard(DASHBOARDS["overview"], LIMITS)["panels"] if one["title"] == "Availability"
    ]
    assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"] == [
        {"color": "red", "value": None},
        {"color": "text", "value": 99.95},
    ]


def test_workers_of_all_regions_are_added_up() -> None:
    text = expression(Figure("instance_count", over=("region",)), "5m")
    assert re.fullmatch(r"sum \(avg by \(region\) \(.*\[5m\].*\)\)", text)
