"""What the pages say of the rules is what the rules are."""

import dataclasses
import re
from pathlib import Path

import pytest

from tests.support.alert_docs import PAGE, with_table
from workers.monitoring.alerts.deadman import RULE
from workers.monitoring.alerts.event_rules import EVENT_RULES
from workers.monitoring.alerts.rule import Rule
from workers.monitoring.alerts.rules import load_rules

ALERTS = PAGE.read_text(encoding="utf-8")
OPERATING = (Path(PAGE).with_name("operating.md")).read_text(encoding="utf-8")


def test_the_table_of_rules_is_up_to_date() -> None:
    """Run ``python -m tests.support.alert_docs`` to write it."""
    assert with_table(ALERTS) == ALERTS


@pytest.mark.parametrize("field", [name for name in Rule.__struct_fields__ if name not in ("name", "extra")])
def test_every_field_of_a_rule_is_explained(field: str) -> None:
    assert re.search(rf"^\| .*`{field}`.* \|.*\|", ALERTS, re.MULTILINE)


@pytest.mark.parametrize("rule", [*load_rules(), RULE])
def test_every_alert_has_its_section_in_the_runbooks(rule: str) -> None:
    assert re.search(rf"^#+ .*{rule}|<a (id|name)=\"{rule}\"", OPERATING, re.MULTILINE)


@pytest.mark.parametrize("rule", EVENT_RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_the_rules_on_events_are_listed(rule: object) -> None:
    assert dataclasses.is_dataclass(rule)
    assert f"| {getattr(rule, 'name', '')} |" in ALERTS
