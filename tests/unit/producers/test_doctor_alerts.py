"""What the doctor says of alerts."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from producers.cli.collaborators import ConfiguredFleet
from producers.cli.doctor_alerts import alert_checks, judged
from tests.support.notices import NOW_S, alert
from workers.monitoring.alerts.alert import Alert

CASES: dict[str, tuple[Sequence[Alert], float | None, str, str]] = {
    "never-judged": ((), None, "warn", "no worker has judged"),
    "well": ((), NOW_S - 3, "ok", "none; the rules were last judged 3 s ago"),
    "stopped": ((), NOW_S - 90, "fail", "1 min 30 s ago"),
    "clock-ahead": ((), NOW_S + 90, "ok", "0 s ago"),
    "firing": ((alert(),), NOW_S, "warn", "1: response_time_critical (critical)"),
    "silenced": ((alert(silenced_by="s1"),), NOW_S, "ok", "none"),
}


@pytest.mark.parametrize(("alerts", "evaluated_s", "status", "said"), CASES.values(), ids=CASES)
def test_what_goes_on(alerts: Sequence[Alert], evaluated_s: float | None, status: str, said: str) -> None:
    check = judged(alerts, evaluated_s, NOW_S)
    assert (check.status, said in check.found) == (status, True)


def test_rules_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[rules.cpu_utilization]\nlevel = 'fatal'\n")
    monkeypatch.setenv("ION_ALERT_RULES", str(own))
    monkeypatch.setenv("ION_DATABASE_URL", f"sqlite:///{tmp_path / 'ion.db'}")
    rules, alerts = alert_checks(ConfiguredFleet())
    assert (rules.status, alerts.status) == ("fail", "ok")
    assert "rule cpu_utilization, level" in rules.found
    monkeypatch.delenv("ION_ALERT_RULES")
    rules, _ = alert_checks(ConfiguredFleet())
    assert (rules.status, rules.found) == ("ok", "14, ours")
