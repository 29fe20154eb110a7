"""From verdicts to alerts, and whom to tell: every step is pure."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.monitoring.alerts.alert import Alert, Notice
from workers.monitoring.alerts.announcing import announce, escalate
from workers.monitoring.alerts.detection import Verdict
from workers.monitoring.alerts.rule import Rule
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.alerts.silences import Silence
from workers.monitoring.alerts.states import Track, due, idle, retired, step

RULES = load_rules()
HIGH, CRITICAL = RULES["response_time_high"], RULES["response_time_critical"]
BAD = Verdict("broken", 231.0, "p95 is 231 ms, above 100 ms")
GOOD = Verdict("fine", 12.0, "p95 is 12 ms, not above 100 ms")
UNKNOWN = Verdict("unknown", None, "too little was measured")
START_S = 1_800_000_000.0


def track(rule: Rule = HIGH, region: str = "eu") -> Track:
    return Track(rule=rule.name, cause="breach", labels={"region": region})


def after(
    verdicts: Sequence[Verdict], rule: Rule = HIGH, begun: Track | None = None, at_s: float = START_S
) -> Track:
    """Return the track after *verdicts*, a minute apart from *at_s* on."""
    found = track(rule) if begun is None else begun
    for number, verdict in enumerate(verdicts):
        found = step(rule, found, verdict, at_s + 60 * number)
    return found


def told(found: Track, now_s: float, silences: Sequence[Silence] = ()) -> tuple[Track, list[Notice]]:
    (kept,), notices = announce([found], RULES, silences, now_s)
    return kept, notices


def alert_of(found: Track) -> Alert:
    assert found.alert is not None
    return found.alert


ROWS = {
    "quiet": ([GOOD] * 9, None),
    "twice": ([BAD, BAD], None),
    "three-times": ([BAD] * 3, "firing"),
    "not-in-a-row": ([BAD, BAD, GOOD, BAD, BAD], None),
    "a-gap-between": ([BAD, BAD, UNKNOWN, BAD, BAD], None),
    "goes-on": ([BAD] * 9, "firing"),
    "better-twice": ([BAD, BAD, BAD, GOOD, GOOD], "firing"),
    "up-and-down": ([BAD, BAD, BAD, GOOD, GOOD, BAD, GOOD, GOOD], "firing"),
    "better": ([BAD, BAD, BAD, GOOD, GOOD, GOOD], "resolved"),
    "nothing-measured-any-more": ([BAD, BAD, BAD, UNKNOWN, UNKNOWN, UNKNOWN], "resolved"),
}


@pytest.mark.parametrize(("verdicts", "state"), ROWS.values(), ids=ROWS)
def test_that_many_judgements_in_a_row_make_an_alert_and_as_many_end_it(
    verdicts: list[Verdict], state: str | None
) -> None:
    found = after(verdicts)
    assert (None if found.alert is None else found.alert.state) == state


def test_an_alert_says_what_since_when_and_how_often() -> None:
    alert = alert_of(after([GOOD, BAD, BAD, BAD, BAD]))
    assert (alert.since_s, alert.fired_s, alert.seen_s) == (START_S + 60, START_S + 180, START_S + 240)
    assert (alert.occurrences, alert.value, alert.unit, alert.level) == (4, 231.0, "ms", "high")
    assert alert.labels == {"region": "eu"}


def test_what_comes_back_is_another_alert() -> None:
    first = after([BAD] * 3 + [GOOD] * 3)
    second = after([BAD] * 3, begun=first, at_s=START_S + 600)
    assert alert_of(first).id != alert_of(second).id


def test_judgements_too_far_apart_are_not_in_a_row() -> None:
    """The window is 300 s: what was bad six minutes ago and is bad now may have been good between."""
    found = after([BAD, BAD])
    assert step(HIGH, found, BAD, START_S + 420).alert is None


@given(st.lists(st.tuples(st.sampled_from([BAD, GOOD, UNKNOWN]), st.integers(-4_000, 4_000)), max_size=30))
def test_whatever_the_clock_does_three_in_a_row_fire_and_nothing_less(
    looks: list[tuple[Verdict, int]],
) -> None:
    found, now_s, row = track(), START_S, 0
    for verdict, later_s in looks:
        now_s += later_s
        near = 0 <= later_s <= 300
        before, found = found, step(HIGH, found, verdict, now_s)
        row = (row if near else 0) + 1 if verdict.broken else 0
        assert found.broken == row
        if found.open and not before.open:
            assert row == 3
        if before.open and not found.open:
            assert found.fine == 3


DUE = {
    "never-judged": (None, True),
    "just-now": (START_S, False),
    "a-minute-ago": (START_S - 60, True),
    "by-a-clock-two-seconds-ahead": (START_S + 2, False),
    "before-the-clock-was-put-back": (START_S + 3_600, True),
}


@pytest.mark.parametrize(("judged_s", "expected"), DUE.values(), ids=DUE)
def test_when_a_rule_is_due(judged_s: float | None, expected: bool) -> None:  # noqa: FBT001 - a table's cell
    assert due(HIGH, judged_s, START_S) is expected


def test_people_are_told_once_of_the_beginning_and_once_of_the_end() -> None:
    found, notices = told(after([BAD] * 3), START_S + 121)
    assert [(notice.kind, notice.level) for notice in notices] == [("fired", "high")]
    found, notices = told(after([BAD], begun=found, at_s=START_S + 180), START_S + 181)
    assert notices == []
    found, notices = told(after([GOOD] * 3, begun=found, at_s=START_S + 240), START_S + 361)
    assert [notice.kind for notice in notices] == ["resolved"]
    assert told(found, START_S + 366)[1] == []


def test_what_comes_back_within_the_cooldown_is_told_when_that_is_over() -> None:
    found, _ = told(after([BAD] * 3), START_S + 120)
    found, _ = told(after([GOOD] * 3, begun=found, at_s=START_S + 180), START_S + 300)
    found = after([BAD] * 3, begun=found, at_s=START_S + 360)
    found, notices = told(found, START_S + 480)
    assert notices == []
    found, notices = told(found, START_S + 900)
    assert [notice.kind for notice in notices] == ["fired"]


def test_what_came_back_and_went_within_the_cooldown_is_never_told() -> None:
    found, _ = told(after([BAD] * 3), START_S + 120)
    found, _ = told(after([GOOD] * 3, begun=found, at_s=START_S + 180), START_S + 300)
    found, _ = told(after([BAD] * 3, begun=found, at_s=START_S + 360), START_S + 480)
    assert told(after([GOOD] * 3, begun=found, at_s=START_S + 540), START_S + 660)[1] == []


def test_a_clock_put_back_by_an_hour_does_not_make_the_cooldown_an_hour_longer() -> None:
    found = msgspec.structs.replace(after([BAD] * 3), told_s=START_S + 3_600)
    assert [notice.kind for notice in told(found, START_S + 121)[1]] == ["fired"]


def test_the_graver_rule_speaks_for_the_milder_one() -> None:
    """p95 of 231 ms is above 200 and above 100: one message, which is critical."""
    both = [after([BAD] * 3), after([BAD] * 3, rule=CRITICAL), after([BAD] * 3, begun=track(region="us"))]
    both, notices = announce(both, RULES, (), START_S + 121)
    (fired,) = notices
    assert [(alert.rule, alert.labels["region"]) for alert in fired.alerts] == [
        ("response_time_critical", "eu"),
        ("response_time_high", "us"),
    ]
    assert alert_of(both[0]).inhibited_by == "response_time_critical"

    better = after([GOOD] * 3, rule=CRITICAL, begun=both[1], at_s=START_S + 180)
    left, notices = announce([both[0], better], RULES, (), START_S + 301)
    assert [(notice.kind, [alert.rule for alert in notice.alerts]) for notice in notices] == [
        ("fired", ["response_time_high"]),
        ("resolved", ["response_time_critical"]),
    ]
    assert alert_of(left[0]).inhibited_by is None


def test_the_milder_one_waits_while_the_graver_one_may_be_about_to_fire() -> None:
    """A rate that climbs passes 0.5 % before it passes 1 %: people hear of it once."""
    both = [after([BAD] * 3), after([GOOD, BAD, BAD], rule=CRITICAL)]
    both, notices = announce(both, RULES, (), START_S + 121)
    assert notices == []
    either = [after([BAD], begun=both[0], at_s=START_S + 180), step(CRITICAL, both[1], BAD, START_S + 180)]
    assert [
        [alert.rule for alert in notice.alerts] for notice in announce(either, RULES, (), START_S + 181)[1]
    ] == [["response_time_critical"]]
    neither = [either[0], step(CRITICAL, both[1], GOOD, START_S + 180)]
    assert [
        [alert.rule for alert in notice.alerts] for notice in announce(neither, RULES, (), START_S + 181)[1]
    ] == [["response_time_high"]]


def silence(**given: Any) -> Silence:
    return Silence(id="s1", made_s=START_S, until_s=START_S + 3_600, by="mina", why="new disks", **given)


SILENCES: dict[str, tuple[dict[str, Any], bool]] = {
    "everything": ({}, True),
    "the-rule": ({"rule": "response_time_high"}, True),
    "another-rule": ({"rule": "error_rate_high"}, False),
    "the-level": ({"level": "high"}, True),
    "another-level": ({"level": "low"}, False),
    "the-region": ({"labels": {"region": "eu"}}, True),
    "another-region": ({"labels": {"region": "us"}}, False),
    "rule-and-another-region": ({"rule": "response_time_high", "labels": {"region": "us"}}, False),
    "ended": ({"ended_s": START_S + 1}, False),
}


@pytest.mark.parametrize(("given", "silenced"), SILENCES.values(), ids=SILENCES)
def test_what_a_silence_silences(given: dict[str, Any], silenced: bool) -> None:  # noqa: FBT001 - likewise
    found, notices = told(after([BAD] * 3), START_S + 121, [silence(**given)])
    assert (notices == []) is silenced
    assert (alert_of(found).silenced_by == "s1") is silenced


def test_what_outlasts_its_silence_is_told_then() -> None:
    found, _ = told(after([BAD] * 3), START_S + 121, [silence()])
    assert [notice.kind for notice in told(found, START_S + 3_600, [silence()])[1]] == ["fired"]


def test_the_end_is_told_in_a_silence_too_if_the_beginning_was() -> None:
    """PagerDuty would stay red for ever otherwise."""
    found, _ = told(after([BAD] * 3), START_S + 121)
    better = after([GOOD] * 3, begun=found, at_s=START_S + 180)
    assert [notice.kind for notice in told(better, START_S + 301, [silence()])[1]] == ["resolved"]


def test_an_acknowledgement_is_told_once() -> None:
    found, _ = told(after([BAD] * 3), START_S + 121)
    taken_on = msgspec.structs.replace(
        alert_of(found), state="acknowledged", acknowledged_by="mina", acknowledged_s=START_S + 130
    )
    found = msgspec.structs.replace(found, alert=taken_on)
    found, notices = told(found, START_S + 131)
    assert [notice.kind for notice in notices] == ["acknowledged"]
    assert told(found, START_S + 136)[1] == []
    assert alert_of(after([BAD], begun=found, at_s=START_S + 180)).state == "acknowledged"


def test_what_nobody_takes_on_is_told_again_with_another_id_each_time() -> None:
    found, _ = told(after([BAD] * 3), START_S + 121)
    (once,), (first,) = escalate([found], [alert_of(found)], START_S + 1_921)
    (twice,), (second,) = escalate([once], [alert_of(once)], START_S + 3_721)
    assert (first.kind, alert_of(twice).escalations) == ("escalated", 2)
    assert first.id != second.id
    assert escalate([twice], [], START_S + 3_722) == ([twice], [])


def test_the_same_news_has_the_same_id() -> None:
    """A worker that is killed between sending and noting so sends the same again, not another."""
    found = after([BAD] * 3)
    assert told(found, START_S + 121)[1][0].id == told(found, START_S + 126)[1][0].id


def test_a_rule_that_is_switched_off_ends_its_alerts() -> None:
    found, _ = told(after([BAD] * 3), START_S + 121)
    ended, notices = told(retired(found, START_S + 200, "switched off"), START_S + 200)
    assert (alert_of(ended).state, [notice.kind for notice in notices]) == ("resolved", ["resolved"])
    assert retired(ended, START_S + 201, "switched off") == ended


def test_what_need_not_be_remembered() -> None:
    assert idle(HIGH, after([GOOD]), START_S)
    assert not idle(HIGH, after([BAD]), START_S)
    found, _ = told(after([BAD] * 3), START_S + 120)
    assert not idle(HIGH, found, START_S + 120)
    found = after([GOOD] * 3, begun=found, at_s=START_S + 180)
    assert not idle(HIGH, found, START_S + 300)
    found, _ = told(found, START_S + 300)
    assert not idle(HIGH, found, START_S + 400)
    assert idle(HIGH, found, START_S + 900)
