"""The exported rules say what our own rules say, and Prometheus' and Alertmanager's own tools accept them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped] # only here: it reads what we write

from tests.support.tools import needs
from workers.monitoring.alerts.rule import Anomaly, Correlation, Rule, Trend
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.export.alertmanager import Receivers, alertmanager_config
from workers.monitoring.export.files import alertmanager_file, prometheus_file
from workers.monitoring.export.prometheus_rules import GONE, Options, alert_name, left_out, rule_file
from workers.monitoring.export.promql import exposed_name
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.notices.routing import ROUTES

FILES = Path(__file__).parents[4] / "infra" / "prometheus"
RULES = load_rules()
NINE = [rule for rule in RULES.values() if not rule.extra]


def tool(program: str, *words: str, where: Path = FILES) -> str:
    """Return what *program* of Prometheus says, which is to find no fault."""
    run = subprocess.run([needs(program), *words], cwd=where, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def alerts(rules: list[Rule], options: Options = Options()) -> dict[tuple[str, str], Any]:  # noqa: B008 - frozen
    """Return the alerts of the file for *rules*, by name and cause."""
    document: Any = rule_file(rules, options)
    found = [entry for group in document["groups"] for entry in group["rules"] if "alert" in entry]
    return {(entry["alert"], entry["labels"]["cause"]): entry for entry in found}


def rule(**given: object) -> Rule:
    """Return a rule with *given* fields."""
    whole = {
        "name": "a_rule",
        "level": "low",
        "collection": "queue_depth",
        "comparison": "above",
        "threshold": 5,
    }
    return Rule(**{**whole, **given})  # type: ignore[arg-type]


def test_the_files_beside_each_other_are_those_of_our_rules() -> None:
    """If not: ion alerts export prometheus -o infra/prometheus/ion.rules.yml, and alertmanager likewise."""
    exported = {
        "ion.rules.yml": prometheus_file(RULES.values(), Options()).text,
        "alertmanager.yml": alertmanager_file(RULES.values(), Receivers()).text,
    }

    assert {name: (FILES / name).read_text("utf-8") for name in exported} == exported


def test_there_are_nine_rules_of_the_first_system() -> None:
    assert len(NINE) == 9


def test_prometheus_accepts_rules_and_configuration(tmp_path: Path) -> None:
    shutil.copytree(FILES, tmp_path, dirs_exist_ok=True)
    (tmp_path / "ion-key").write_text("a key", encoding="utf-8")

    tool("promtool", "check", "config", "prometheus.yml", where=tmp_path)  # and the rules that it names


def test_what_is_written_as_json_is_accepted_too(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rule_file(RULES.values(), Options())), encoding="utf-8")

    tool("promtool", "check", "rules", str(file))


def test_every_alert_fires_and_is_quiet_when_it_should() -> None:
    tool("promtool", "test", "rules", "ion.rules.test.yml")


def cases(judged: Rule) -> Iterator[bool]:
    """Yield, for each case with series that *judged* is about, whether it is to fire there."""
    names = {exposed_name(part.metric, part.where) for part in (*judged.judges.of, *judged.judges.per)}
    for case in yaml.safe_load((FILES / "ion.rules.test.yml").read_text("utf-8"))["tests"]:
        series = " ".join(one["series"] for one in case["input_series"])
        if not any(name in series for name in names):
            continue
        for asked in case["promql_expr_test"]:
            if "ALERTS" in asked["expr"]:
                fired = " ".join(sample["labels"] for sample in asked["exp_samples"])
                yield f'"{alert_name(judged)}"' in fired


@pytest.mark.parametrize("judged", RULES.values(), ids=lambda judged: judged.name)
def test_every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_does_not(judged: Rule) -> None:
    assert set(cases(judged)) == {True, False}


@pytest.mark.parametrize("judged", NINE, ids=lambda judged: judged.name)
def test_an_alert_has_the_limit_level_and_runbook_of_its_rule(judged: Rule) -> None:
    alert = alerts(NINE)[alert_name(judged), "breach"]
    sign = {"above": ">", "below": "<"}[judged.comparison]

    assert f" {sign} {judged.threshold:g}" in alert["expr"]
    assert alert["labels"]["severity"] == judged.level
    assert alert["labels"]["channels"].split(",") == list(ROUTES[judged.level])
    assert alert["annotations"]["runbook_url"] == f"docs/operating.md#{judged.name}"
    assert f"it should not be {judged.comparison} {judged.threshold:g}" in alert["annotations"]["description"]


def test_three_judgements_a_minute_apart_are_two_minutes() -> None:
    alert = alerts([rule(every_s=60, occurrences=3)])["IonARule", "breach"]

    assert (alert["for"], alert["keep_firing_for"]) == ("2m", "2m")
    assert "for" not in alerts([rule(occurrences=1)])["IonARule", "breach"]


def test_little_is_not_judged() -> None:
    """Of counts, that is asked of Prometheus; a gauge that is not measured has no value anyway."""
    errors = rule(collection="error_rate_global", least=10, least_cases=3)
    conditions = alerts([errors])["IonARule", "breach"]["expr"].split("\nand ")

    assert [condition.rpartition(" ")[2] for condition in conditions] == ["5", "10", "3"]
    assert "ion_requests_total" in conditions[1]
    assert "ion_errors_total" in conditions[2]
    assert " and " not in alerts([rule(least=10)])["IonARule", "breach"]["expr"].replace("\n", " ")


def test_a_rule_may_be_about_some_series_only() -> None:
    document: Any = rule_file([rule(where={"queue_name": "bulk"}, by=("region",))], Options())
    recorded = document["groups"][0]["rules"][0]

    assert recorded["record"] == "region:ion_queue_depth_bulk:avg_5m"
    assert 'celery_queue_length{queue_name="bulk"}' in recorded["expr"]


def test_what_is_unlike_itself_is_told_by_standard_deviations_and_slopes() -> None:
    unusual = rule(name="unusual", detection=Anomaly(baseline_s=3600, scores=4))
    growing = rule(name="growing", comparison="below", detection=Trend(per_minute=2, over_s=600))
    told = alerts([unusual, growing])
    name = "fleet:ion_queue_depth:avg_5m"

    assert (
        f"{name} - avg_over_time({name}[1h]) > 4 * stddev_over_time({name}[1h])"
        in told["IonUnusual", "breach"]["expr"]
    )
    assert f"-60 * deriv({name}[10m]) > 2" in told["IonGrowing", "breach"]["expr"]


def test_what_correlates_is_left_out_and_named() -> None:
    beside = rule(name="beside", detection=Correlation(other="cpu_utilization"))

    assert left_out([beside]) == ["beside"]
    assert set(alerts([beside])) == {(GONE, "absence")}
    assert "left out: beside." in prometheus_file([beside], Options()).head


def test_nothing_can_be_below_nothing() -> None:
    """Such a rule is about absence."""
    absent = rule(comparison="below", threshold=0, absent_s=60)

    assert set(alerts([absent])) == {("IonARule", "absence"), (GONE, "absence")}


def test_a_trial_may_be_faster() -> None:
    quick: Any = rule_file([rule(occurrences=3)], Options(faster=60))
    recorded, alert = quick["groups"][0]["rules"]

    assert (quick["groups"][0]["interval"], alert["for"]) == ("1s", "2s")
    assert "[5s]" in recorded["expr"]


@pytest.mark.parametrize("level", ROUTES)
def test_alertmanager_tells_the_channels_of_each_level(level: str) -> None:
    channels = ROUTES[level]  # type: ignore[index] # they are the levels
    told = tool("amtool", "config", "routes", "test", "--config.file=alertmanager.yml",
                f"severity={level}", f"channels={','.join(channels)}")  # fmt: skip

    assert set(told.strip().split(",")) == set(channels)


def test_alertmanager_accepts_its_configuration() -> None:
    tool("amtool", "check-config", "alertmanager.yml")


def test_of_the_same_figure_only_the_graver_alert_is_told() -> None:
    told = alerts(NINE)
    graver, milder = told["IonResponseTimeCritical", "breach"], told["IonResponseTimeHigh", "breach"]
    first: Any = alertmanager_config(NINE, Receivers())["inhibit_rules"][0]  # type: ignore[index] # a list

    assert first["equal"] == ["figure", "region"]
    assert graver["labels"]["figure"] == milder["labels"]["figure"]


def test_secrets_are_in_files_of_their_own() -> None:
    text = alertmanager_file(NINE, Receivers()).text

    assert "api_url_file" in text
    assert "routing_key_file" in text
    assert "password" not in text
    assert all(rule.collection in COLLECTIONS for rule in NINE)
