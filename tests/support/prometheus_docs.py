"""The table of names in docs/prometheus.md, made from the metrics themselves.

python -m tests.support.prometheus_docs   # writes it into the page
"""

from collections.abc import Iterator
from pathlib import Path

from workers.monitoring.export.promql import exposed_name
from workers.monitoring.metrics import METRICS, TASKS, Kind, Metric

PAGE = Path(__file__).parents[2] / "docs" / "prometheus.md"
_BEGIN, _END = "<!-- names: begin -->\n", "<!-- names: end -->\n"
_KINDS = {Kind.COUNT: "counter", Kind.GAUGE: "gauge", Kind.DISTRIBUTION: "histogram"}


def table() -> str:
    """Return the rows, one for each metric, with their head."""
    return "".join(f"{line}\n" for line in _lines())


def with_table(page: str) -> str:
    """Return *page* with the table as it is to be."""
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}{table()}{_END}{rest.partition(_END)[2]}"


def _lines() -> Iterator[str]:
    yield "| name | type | labels beside `region` | |"
    yield "|---|---|---|---|"
    for metric in METRICS.values():
        yield f"| `{_name(metric)}` | {_KINDS[metric.kind]} | {_labels(metric)} | {metric.about} |"


def _name(metric: Metric) -> str:
    return exposed_name(metric, {"state": "{state}"})


def _labels(metric: Metric) -> str:
    return ", ".join(f"`{label}`" for label in metric.labels if not (metric is TASKS and label == "state"))


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), encoding="utf-8")
