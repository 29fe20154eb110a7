"""The table of docs/alerts.md, made from the rules themselves.

python -m tests.support.alert_docs   # writes it into the page
"""

from collections.abc import Iterator
from pathlib import Path

from workers.monitoring.alerts.rule import Rule
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.notices.wording import figure, lasting

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
_BEGIN, _END = "<!-- rules: begin -->\n", "<!-- rules: end -->\n"


def with_table(page: str) -> str:
    """Return *page* with its table as it is to be."""
    before, _, rest = page.partition(_BEGIN)
    lines = "".join(f"{line}\n" for line in _table())
    return f"{before}{_BEGIN}{lines}{_END}{rest.partition(_END)[2]}"


def _table() -> Iterator[str]:
    yield "| rule | level | fires when | over | judged | |"
    yield "|---|---|---|---|---|---|"
    for rule in load_rules().values():
        judged = f"{rule.occurrences} x each {lasting(rule.every_s)}"
        link = f"[`{rule.name}`](operating.md#{rule.name})"
        cells = (link, rule.level, _condition(rule), lasting(rule.window_s), judged, rule.about)
        yield f"| {' | '.join(cells)} |"


def _condition(rule: Rule) -> str:
    gone = f"not measured for {lasting(rule.absent_s)}" if rule.absent_s else ""
    if rule.comparison == "below" and rule.threshold <= 0:
        return f"`{rule.collection}` {gone}"
    where = ", ".join(f"{name} {value}" for name, value in rule.where.items())
    figures = f"{rule.made} of `{rule.collection}`" + (f" ({where})" if where else "")
    apart = "".join(f", each {name}" for name in rule.by)
    limit = f"{rule.comparison} {figure(rule.threshold, rule.unit)}"
    return f"{figures}{apart}, {limit}" + (f"; {gone}" if gone else "")


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
