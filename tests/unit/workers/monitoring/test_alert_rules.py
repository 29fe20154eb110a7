"""The rules as they ship, and what a file of one's own may say."""

from pathlib import Path

import pytest

from workers.monitoring.alerts.errors import InvalidRules
from workers.monitoring.alerts.rule import Rule, Threshold, Trend, inhibits
from workers.monitoring.alerts.rules import all_rules, load_rules

NINE = {
    ("response_time", "p95", "above", 200.0, "critical"),
    ("error_rate_global", "share", "above", 1.0, "critical"),
    ("availability_global", "rest", "below", 99.95, "critical"),
    ("response_time", "p95", "above", 100.0, "high"),
    ("error_rate_global", "share", "above", 0.5, "high"),
    ("database_lag", "high", "above", 500.0, "high"),
    ("cache_hit_rate", "share", "below", 70.0, "medium"),
    ("cpu_utilization", "avg", "above", 80.0, "medium"),
    ("memory_utilization", "avg", "above", 80.0, "medium"),
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own.toml"


def test_the_nine_rules_are_those_of_the_facts() -> None:
    nine = [rule for rule in load_rules().values() if not rule.extra]
    assert {(r.collection, r.made, r.comparison, r.threshold, r.level) for r in nine} == NINE
    assert {(r.window_s, r.every_s, r.occurrences, r.cooldown_s) for r in nine} == {(300, 60, 3, 600)}
    assert all(r.about and r.tags and isinstance(r.detection, Threshold) for r in nine)


def test_what_a_queue_needs_is_extra_and_what_is_unusual_is_switched_off() -> None:
    extra = {name for name, rule in load_rules().items() if rule.extra}
    assert extra == {"queue_latency", "queue_depth", "workers_missing", "dead_letters", "nothing_measured"}
    off = {name for name, rule in all_rules().items() if not rule.enabled}
    assert off == {"response_time_unusual", "queue_growing", "slow_for_want_of_processors"}


def test_the_graver_of_two_rules_on_the_same_inhibits_the_milder() -> None:
    rules = load_rules()
    inhibited = {
        (graver.name, milder.name)
        for graver in rules.values()
        for milder in rules.values()
        if inhibits(graver, milder)
    }
    assert inhibited == {
        ("response_time_critical", "response_time_high"),
        ("error_rate_critical", "error_rate_high"),
    }


def test_a_file_of_ones_own_changes_adds_and_switches_off(own: Path) -> None:
    own.write_text(
        """
        [defaults]
        window_s = 120
        every_s = 20
        [rules.cpu_utilization]
        threshold = 90
        [rules.memory_utilization]
        enabled = false
        [extra.bulk_line]
        level = "low"
        collection = "queue_depth"
        where = { queue_name = "bulk" }
        comparison = "above"
        threshold = 10
        detection = { kind = "trend", per_minute = 3 }
        channels = ["slack"]
        """
    )
    rules = load_rules(own)
    cpu, bulk = rules["cpu_utilization"], rules["bulk_line"]
    assert (cpu.threshold, cpu.level, cpu.window_s, cpu.extra) == (90, "medium", 120, False)
    assert "memory_utilization" not in rules
    assert (bulk.detection, bulk.channels, bulk.extra) == (Trend(per_minute=3), ("slack",), True)
    assert len(rules) == len(load_rules())


BAD = {
    "not-toml": ("[rules.x\n", "", "not valid TOML"),
    "no-section": ("[rule.x]\nlevel='low'\n", "rule", "is no section"),
    "section-is-no-table": ("rules = 3\n", "rules", "is no section"),
    "rule-is-no-table": ("[rules]\nx = 3\n", "rule x", "is no table"),
    "defaults-are-no-table": ("defaults = 3\n", "defaults", "is no table"),
    "both-sections": ("[rules.cpu]\n[extra.cpu]\n", "rule cpu", "both sections"),
    "bad-name": (
        "[rules.CPU]\nlevel='low'\ncollection='x'\ncomparison='above'\nthreshold=1\n",
        "CPU",
        "name",
    ),
    "name-given": ("[rules.cpu_utilization]\nname='x'\n", "name", "not set so"),
    "missing-field": ("[rules.mine]\nlevel='low'\n", "rule mine, collection", "missing required field"),
    "misspelt-field": ("[rules.cpu_utilization]\ntreshold=3\n", "treshold", "unknown field"),
    "wrong-type": ("[rules.cpu_utilization]\nthreshold='much'\n", "threshold", "Expected"),
    "wrong-level": ("[rules.cpu_utilization]\nlevel='fatal'\n", "level", "Invalid enum value 'fatal'"),
    "wrong-collection": ("[rules.cpu_utilization]\ncollection='cpus'\n", "collection", "'cpus'"),
    "wrong-label": ("[rules.cpu_utilization]\nby=['user_id']\n", "by", "'user_id'"),
    "wrong-where": ("[rules.cpu_utilization]\nwhere={ rack='a' }\n", "where", "'rack'"),
    "no-percentiles": ("[rules.cpu_utilization]\nhow='p95'\n", "how", "no percentiles"),
    "no-share": ("[rules.cpu_utilization]\nhow='share'\n", "how", "share of nothing"),
    "not-finite": ("[rules.cpu_utilization]\nthreshold=nan\n", "threshold", "finite"),
    "odd-window": ("[rules.cpu_utilization]\nwindow_s=90\n", "window_s", "90"),
    "too-often": ("[rules.cpu_utilization]\nevery_s=1\n", "every_s", "1"),
    "no-occurrence": ("[rules.cpu_utilization]\noccurrences=0\n", "occurrences", "0"),
    "does-not-fit": ("[rules.cpu_utilization]\noccurrences=9\n", "occurrences", "do not fit"),
    "negative-cooldown": ("[rules.cpu_utilization]\ncooldown_s=-1\n", "cooldown_s", "-1"),
    "negative-least": ("[rules.cpu_utilization]\nleast=-1\n", "least", "no amount"),
    "cases-of-nothing": ("[rules.cpu_utilization]\nleast_cases=3\n", "least_cases", "means nothing"),
    "short-absence": ("[rules.cpu_utilization]\nabsent_s=5\n", "absent_s", "5"),
    "unknown-channel": ("[rules.cpu_utilization]\nchannels=['fax']\n", "channels", "'fax'"),
    "odd-tag": ("[rules.cpu_utilization]\ntags=['A b']\n", "tags", "'A b'"),
    "two-lines": ('[rules.cpu_utilization]\nabout="a\\nb"\n', "about", "short sentence"),
    "wrong-related": ("[rules.cpu_utilization]\nrelated=['x']\n", "related", "'x'"),
    "unknown-detection": ("[rules.cpu_utilization]\ndetection='magic'\n", "detection", "magic"),
    "bad-trend": (
        "[rules.cpu_utilization]\ndetection={kind='trend',per_minute=0}\n",
        "per_minute",
        "positive",
    ),
    "bad-span": ("[rules.cpu_utilization]\ndetection={kind='anomaly',baseline_s=7}\n", "baseline_s", "7"),
    "bad-least": (
        "[rules.cpu_utilization]\ndetection={kind='correlation',with='up',least=2}\n",
        "detection.least",
        "2",
    ),
    "unknown-other": (
        "[rules.cpu_utilization]\ndetection={kind='correlation',with='x'}\n",
        "detection.with",
        "'x'",
    ),
}


@pytest.mark.parametrize(("text", "place", "problem"), BAD.values(), ids=BAD)
def test_an_error_names_the_file_the_rule_and_the_field(
    own: Path, text: str, place: str, problem: str
) -> None:
    own.write_text(text)
    with pytest.raises(InvalidRules) as caught:
        load_rules(own)
    error = caught.value
    assert str(own) in error.place
    assert place in error.place
    assert problem in error.problem
    assert error.fix


def test_a_file_that_cannot_be_read_is_named(own: Path) -> None:
    with pytest.raises(InvalidRules, match="cannot be read"):
        load_rules(own)
    own.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidRules, match="UTF-8"):
        load_rules(own)


def test_a_file_has_an_end(own: Path) -> None:
    own.write_text("\n".join(f"[rules.r{number}]" for number in range(300)))
    with pytest.raises(InvalidRules, match="keep at most 200"):
        load_rules(own)


def test_a_rule_needs_little() -> None:
    rule = Rule(name="x1", level="low", collection="queue_wait", comparison="above", threshold=1)
    assert (rule.made, rule.unit, rule.judges.name) == ("p95", "s", "queue_wait")
