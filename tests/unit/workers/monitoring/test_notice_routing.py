"""Who hears of what, when it is told again, and what is sent now, later or never."""

import pytest

from tests.support.notices import NOW_S, alert, notice
from workers.monitoring.alerts.alert import CHANNELS, Level, Notice, NoticeKind
from workers.monitoring.notices import escalation, trying
from workers.monitoring.notices.channels.errors import Away, Busy, ChannelError, Refused
from workers.monitoring.notices.outbox import Ended, Waiting
from workers.monitoring.notices.routing import channels_of, for_channel

ALL = frozenset(CHANNELS)
NOW_MS = int(NOW_S * 1000)


@pytest.mark.parametrize(
    ("level", "goes_to"),
    [
        ("critical", ("pagerduty", "slack", "email", "sentry")),
        ("high", ("slack", "email", "sentry")),
        ("medium", ("slack", "sentry")),
        ("low", ("sentry",)),
    ],
)
def test_each_level_has_its_channels(level: Level, goes_to: tuple[str, ...]) -> None:
    for kind in ("fired", "escalated", "resolved"):
        assert channels_of(notice(kind, alert(level=level)), ALL) == goes_to


@pytest.mark.parametrize(
    ("kind", "there", "goes_to"),
    [
        ("acknowledged", ALL, ("pagerduty",)),
        ("acknowledged", {"slack", "log"}, ()),
        ("digest", ALL, ("email",)),
        ("digest", {"slack", "log"}, ("log",)),
        ("fired", {"log"}, ("log",)),
        ("fired", {"log", "email"}, ("email",)),
    ],
)
def test_a_notice_goes_where_it_is_of_use_and_to_the_log_if_nowhere(
    kind: NoticeKind, there: frozenset[str], goes_to: tuple[str, ...]
) -> None:
    assert channels_of(notice(kind), there) == goes_to


def test_a_rule_may_choose_its_own_channels() -> None:
    assert channels_of(notice("fired", alert(channels=("email",))), ALL) == ("email",)
    assert channels_of(notice("fired", alert(level="low", channels=("pagerduty", "log"))), ALL) == (
        "pagerduty",
        "log",
    )


def test_of_alerts_told_together_each_channel_is_told_those_that_are_its_own() -> None:
    both = notice("fired", alert(id="a"), alert(id="b", level="medium"))
    assert channels_of(both, ALL) == ("pagerduty", "slack", "email", "sentry")
    assert [one.id for one in for_channel(both, "pagerduty").alerts] == ["a"]
    assert [one.id for one in for_channel(both, "slack").alerts] == ["a", "b"]
    assert for_channel(both, "log") is both


@pytest.mark.parametrize(
    ("given", "minutes", "again"),
    [
        ({}, 29.9, False),
        ({}, 30, True),
        ({"level": "high"}, 90, False),
        ({"state": "acknowledged"}, 90, False),
        ({"state": "resolved"}, 90, False),
        ({"told_s": None}, 90, False),
        ({"silenced_by": "s1"}, 90, False),
        ({"inhibited_by": "a1"}, 90, False),
        ({"escalations": 1, "escalated_s": NOW_S + 30 * 60}, 59, False),
        ({"escalations": 1, "escalated_s": NOW_S + 30 * 60}, 60, True),
        ({"escalations": escalation.MOST, "escalated_s": NOW_S}, 600, False),
    ],
)
def test_a_critical_alert_that_nobody_takes_on_is_told_again_each_30_minutes(
    given: dict[str, object], minutes: float, *, again: bool
) -> None:
    waits = alert(**{"told_s": NOW_S, **given})
    assert (escalation.overdue([waits], NOW_S + minutes * 60) == (waits,)) is again


def due(number: int, level: Level = "high", kind: NoticeKind = "fired") -> trying.Due:
    told = Notice(id=f"n{number}", kind=kind, at_s=NOW_S, alerts=(alert(id=f"a{number}", level=level),))
    return trying.Due(Waiting(told.id, "slack", NOW_MS + number, b""), told)


def ids(chosen: tuple[trying.Due, ...]) -> list[str]:
    return [one.notice.id for one in chosen]


def test_what_is_within_the_limit_is_sent_as_it_came() -> None:
    plan = trying.plan("slack", [due(1), due(2, "critical"), due(3)], sent=17)
    assert (ids(plan.single), plan.together, plan.later) == (["n1", "n2", "n3"], (), ())


def test_what_is_beyond_the_limit_is_told_in_one_message_the_gravest_alone() -> None:
    """Slack has room for 20 - 18 = 2 messages: one notice alone, and three together."""
    plan = trying.plan("slack", [due(1), due(2), due(3, "critical"), due(4)], sent=18)
    assert (ids(plan.single), ids(plan.together), plan.later) == (["n3"], ["n1", "n2", "n4"], ())


def test_a_channel_without_room_waits_and_pagerduty_never_sums_up() -> None:
    plan = trying.plan("email", [due(1)], sent=10)
    assert (plan.single, plan.together, ids(plan.later)) == ((), (), ["n1"])
    plan = trying.plan("pagerduty", [due(1), due(2)], sent=99)
    assert (ids(plan.single), plan.together, ids(plan.later)) == (["n1"], (), ["n2"])


def test_a_summary_counts_by_kind_and_shows_each_alert_once_as_it_is_now() -> None:
    later = notice("resolved", alert(id="a1", state="resolved", resolved_s=NOW_S), id="n9")
    summary = trying.summary_of([due(1).notice, due(2).notice, later], NOW_S)
    assert "3 notices" in summary.said
    assert summary.said.endswith("2 fired, 1 resolved")
    assert [(one.id, one.state) for one in summary.alerts] == [("a1", "resolved"), ("a2", "firing")]
    assert summary.id == trying.summary_of([due(1).notice, due(2).notice, later], NOW_S + 5).id


@pytest.mark.parametrize(
    ("error", "tries", "age_s", "state", "wait_s"),
    [
        (Refused("status 404: no_service"), 0, 0, "failed", 0),
        (Away("no answer"), 0, 0, "waiting", 5),
        (Away("no answer"), 2, 0, "waiting", 20),
        (Away("no answer"), 60, 0, "waiting", 60),
        (Busy("status 429", 17), 3, 0, "waiting", 17),
        (Busy("status 429", 3_600), 0, 0, "waiting", 540),
        (Away("no answer"), 9, 3_601, "failed", 0),
    ],
)
def test_after_trouble_a_delivery_waits_longer_each_time_until_it_is_given_up(
    error: ChannelError, tries: int, age_s: float, state: str, wait_s: float
) -> None:
    waiting = Waiting("n1", "slack", NOW_MS - int(age_s * 1000), b"", tries)
    ended = trying.after(error, waiting, NOW_MS, give_up_s=3_600, chance=1.0)
    given_up = "given up: " if isinstance(error, Away) and state == "failed" else ""
    assert ended == Ended(
        "n1", "slack", state, NOW_MS, NOW_MS + wait_s * 1000 if wait_s else 0, given_up + error.why  # type: ignore[arg-type]
    )  # fmt: skip


def test_tries_of_many_are_spread() -> None:
    assert trying.wait_before(0, 0.0) == 4.0
    assert trying.wait_before(0, 0.5) == 4.5
