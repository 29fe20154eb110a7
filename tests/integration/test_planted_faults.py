"""Planted faults, by the clock of a test, through the real collection, database, rules and outbox.

Each fires the right rule, tells the right channels once, and resolves; a quiet hour fires nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.support.planted import START_S, WELL, Health, PlantedFleet
from workers.monitoring.alerts import deadman
from workers.monitoring.alerts.alert import LEVELS, Level
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.alerts.silences import Silence
from workers.store.engine import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as made:
        yield made


@pytest.fixture
def fleet(store: Store) -> PlantedFleet:
    return PlantedFleet(store)


REACHED: dict[Level, set[str]] = {
    "critical": {"pagerduty", "slack", "email", "sentry"},
    "high": {"slack", "email", "sentry"},
    "medium": {"slack", "sentry"},
}
FAULTS = {
    "very-slow": (replace(WELL, response_ms=900), {"response_time_critical"}),
    "slow": (replace(WELL, response_ms=150), {"response_time_high"}),
    "errors": (replace(WELL, errors=5), {"error_rate_critical", "availability"}),
    "few-errors": (replace(WELL, jobs=1_000, errors=7), {"error_rate_high", "availability"}),
    "stopped-worker": (replace(WELL, workers={"w1": 1.0, "w2": 0.0}), {"workers_missing"}),
    "cold-cache": (replace(WELL, hit_rate=0.1), {"cache_hit_rate"}),
    "full-queue": (replace(WELL, waiting=1_900), {"queue_depth"}),
    "standing-queue": (replace(WELL, oldest_s=30), {"queue_latency"}),
    "behind": (replace(WELL, lag_ms=900), {"database_lag"}),
    "dead-letters": (replace(WELL, dead=1), {"dead_letters"}),
}


@pytest.mark.parametrize(("fault", "rules"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_once_where_it_belongs_and_so_is_its_end(
    fleet: PlantedFleet, fault: Health, rules: set[str]
) -> None:
    fleet.live(2)
    fleet.live(7, fault)
    assert {name for name, alert in fleet.open().items() if alert.told_s is not None} == rules
    fleet.live(10)
    assert fleet.open() == {}
    known = load_rules()
    for name in fleet.channels:
        here = {rule for rule in rules if name in REACHED[known[rule].level]}
        told = fleet.told(name)
        assert sorted(told) == sorted((kind, rule) for rule in here for kind in ("fired", "resolved")), name


def test_a_quiet_hour_fires_nothing(fleet: PlantedFleet) -> None:
    """A handful of jobs, one of them slow, one failed, none of them known to the cache; then none at all."""
    fleet.live(5, replace(WELL, jobs=1, hit_rate=0.0, response_ms=90))
    fleet.live(1 / 3, replace(WELL, jobs=1, errors=1, hit_rate=0.0, response_ms=3_000))
    fleet.live(5, replace(WELL, jobs=0))
    fleet.live(5)
    assert fleet.alerts.history(0, 100) == []
    assert all(channel.notices == [] for channel in fleet.channels.values())


def test_a_bulk_run_that_takes_its_time_fires_nothing(fleet: PlantedFleet) -> None:
    fleet.live(5, replace(WELL, bulk_ms=45_000))
    assert fleet.alerts.history(0, 100) == []


def test_a_fleet_that_was_off_for_a_while_fires_nothing_when_it_is_back(fleet: PlantedFleet) -> None:
    """What was measured before is old, and nothing is measured yet when rules are first judged again."""
    fleet.live(3)
    fleet.now_s += 1_200
    fleet.evaluator.evaluate()
    fleet.live(5)
    assert fleet.alerts.history(0, 100) == []


def test_what_is_not_measured_any_more_is_an_alert(fleet: PlantedFleet) -> None:
    fleet.live(2)
    fleet.live(9, replace(WELL, cpu=None))
    assert {(alert.rule, alert.cause) for alert in fleet.open().values()} == {("cpu_utilization", "absence")}
    fleet.live(5)
    assert fleet.told("slack") == [("fired", "cpu_utilization"), ("resolved", "cpu_utilization")]


def test_when_nothing_is_measured_that_is_said_and_what_was_wrong_is_not_called_right(
    fleet: PlantedFleet,
) -> None:
    """A fleet that cannot be seen has not recovered."""
    fleet.live(6, replace(WELL, response_ms=900))
    fleet.live(8, None)
    told = fleet.told("pagerduty")
    assert told == [("fired", "response_time_critical"), ("fired", "nothing_measured")]
    assert fleet.open()["response_time_critical"].state == "firing"
    fleet.live(8)
    assert sorted(fleet.told("pagerduty")[2:]) == [
        ("resolved", "nothing_measured"),
        ("resolved", "response_time_critical"),
    ]


def test_alerts_of_one_moment_are_one_notice(fleet: PlantedFleet) -> None:
    fleet.live(2)
    fleet.live(6, replace(WELL, response_ms=900, lag_ms=900))
    (notice,) = fleet.channels["email"].notices
    assert [alert.rule for alert in notice.alerts] == ["response_time_critical", "database_lag"]
    levels = [LEVELS.index(alert.level) for alert in notice.alerts]
    assert levels == sorted(levels)


def test_an_alert_tells_what_moved_along(fleet: PlantedFleet) -> None:
    fleet.live(20)
    fleet.live(6, replace(WELL, response_ms=900, oldest_s=4.0, cpu=70))
    along = fleet.open()["response_time_critical"].along
    assert any(said.startswith("queue_latency 4 s (was 0 s)") for said in along)
    assert any(said.startswith("cpu_utilization 70 % (was 40 %)") for said in along)


def test_a_critical_alert_is_told_again_until_somebody_takes_it_on(fleet: PlantedFleet) -> None:
    bad = replace(WELL, response_ms=900)
    fleet.live(5, bad)
    fleet.live(31, bad)
    assert fleet.told("pagerduty") == [
        ("fired", "response_time_critical"),
        ("escalated", "response_time_critical"),
    ]
    alert = fleet.open()["response_time_critical"]
    assert (alert.state, alert.escalations) == ("firing", 1)
    fleet.alerts.acknowledge(alert.id, "mina", fleet.now_s)
    fleet.live(31, bad)
    assert fleet.told("pagerduty")[2:] == [("acknowledged", "response_time_critical")]
    assert fleet.open()["response_time_critical"].acknowledged_by == "mina"


def test_a_silence_keeps_people_from_being_told(fleet: PlantedFleet) -> None:
    fleet.alerts.silence(
        Silence(
            id="s1",
            level="critical",
            made_s=START_S,
            until_s=START_S + 600,
            by="mina",
            why="moving the database",
        )
    )
    bad = replace(WELL, response_ms=900)
    fleet.live(9, bad)
    assert fleet.told() == []
    assert fleet.open()["response_time_critical"].silenced_by == "s1"
    fleet.live(2, bad)
    assert fleet.told() == [("fired", "response_time_critical")]


def test_an_evaluation_that_is_cut_short_has_changed_nothing(
    fleet: PlantedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the transaction ends, nothing is told; after it, before sending, it is sent once."""
    bad = replace(WELL, response_ms=900)
    notifier = fleet.evaluator.notifier
    deliver = type(notifier).deliver

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    fleet.live(2, bad)
    with monkeypatch.context() as patched:
        patched.setattr(type(notifier), "channels", killed)
        with pytest.raises(KeyboardInterrupt):
            fleet.live(1, bad)
    assert fleet.open() == {}
    with monkeypatch.context() as patched:
        patched.setattr(type(notifier), "deliver", killed)
        while not fleet.open():
            with pytest.raises(KeyboardInterrupt):
                fleet.live(1 / 3, bad)
    assert fleet.told() == []
    assert type(notifier).deliver is deliver
    fleet.live(1, bad)
    assert fleet.told("pagerduty") == [("fired", "response_time_critical")]


def test_two_evaluators_judge_once(fleet: PlantedFleet, store: Store) -> None:
    """Three judgements a minute apart make an alert; six, by two workers, are still three."""
    other = PlantedFleet(store)
    for _ in range(6):
        fleet.live(1 / 3, replace(WELL, response_ms=900))
        other.now_s = fleet.now_s + 1.5  # its clock is ahead
        other.evaluator.evaluate()
    assert fleet.open() == {}
    for _ in range(3):
        fleet.live(1 / 3, replace(WELL, response_ms=900))
        other.now_s = fleet.now_s + 1.5
        other.evaluator.evaluate()
    assert len(fleet.told("slack") + other.told("slack")) == 1


def test_a_clock_that_steps_fires_nothing(fleet: PlantedFleet) -> None:
    fleet.live(3)
    for step_s in (7_200, -3_600, 40, -90, 600):
        fleet.now_s += step_s
        fleet.live(3)
    assert [alert.rule for alert in fleet.alerts.history(0, 100)] == []


def test_a_rule_that_is_switched_off_ends_its_alert(fleet: PlantedFleet, store: Store) -> None:
    bad = replace(WELL, oldest_s=30)
    fleet.live(3, bad)
    assert list(fleet.open()) == ["queue_latency"]
    rules = {name: rule for name, rule in load_rules().items() if name != "queue_latency"}
    later = PlantedFleet(store, rules)
    later.now_s = fleet.now_s
    later.live(1 / 3, bad)
    assert later.open() == {}
    assert later.told("slack") == [("resolved", "queue_latency")]


def test_whoever_judges_again_ends_the_alert_that_nobody_did(fleet: PlantedFleet) -> None:
    fleet.live(1)
    alert = deadman.stopped_alert(deadman.Watch(0.0, fleet.now_s), 90, fleet.now_s + 90)
    with fleet.alerts.evaluating(fleet.now_s + 90, evaluates=False) as work:
        work.tracks.append(deadman.track_of(alert))
    assert list(fleet.open()) == ["evaluation_stopped"]
    assert fleet.alerts.evaluated_s() == fleet.now_s
    fleet.now_s += 100
    fleet.live(1 / 3)
    assert fleet.open() == {}
    assert fleet.told("pagerduty") == [("resolved", "evaluation_stopped")]


def test_old_alerts_are_deleted_after_90_days(fleet: PlantedFleet) -> None:
    fleet.live(2, replace(WELL, oldest_s=30))
    fleet.live(5)
    (old,) = fleet.alerts.history(0, 10)
    assert msgspec.structs.replace(old, state="firing").rule == "queue_latency"
    fleet.now_s += 89 * 86_400
    fleet.live(1)
    assert fleet.alerts.history(0, 10) == [old]
    fleet.now_s += 2 * 86_400
    fleet.live(1)
    assert fleet.alerts.history(0, 10) == []
