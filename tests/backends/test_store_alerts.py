"""Alerts, tracks and silences in the database, on every kind of database there is."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.support.databases import postgresql_database
from tests.support.notices import alert
from workers.monitoring.alerts.alert import Notice
from workers.monitoring.alerts.silences import Silence
from workers.monitoring.alerts.states import Track
from workers.store.alerts import KEPT_S, AlertStore
from workers.store.engine import Store, open_store
from workers.store.outbox import SqlOutbox

NOW_S = 1_800_000_000.0
HOSTILE = "\0 'quoted' \"\\ \u202e ; DROP TABLE alerts --"


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each kind of database in turn, without alerts."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'ion.db'}" if sqlite else request.getfixturevalue("postgresql")
    with open_store(url) as made:
        with made.writing() as connection:
            for table in (
                "alerts",
                "alert_tracks",
                "alert_silences",
                "alert_evaluations",
                "notices",
                "notice_deliveries",
            ):
                connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608 - names of ours
        yield made


@pytest.fixture
def alerts(store: Store) -> AlertStore:
    return AlertStore(store)


def track(region: str = "eu", **given: Any) -> Track:
    fields: dict[str, Any] = {
        "rule": "response_time_critical",
        "cause": "breach",
        "labels": {"region": region},
        "broken": 3,
    }
    return Track(**{**fields, **given})


def firing(alert_id: str = "a1", **given: Any) -> Track:
    region = given.pop("region", "eu")
    return track(region, alert=alert(id=alert_id, fired_s=NOW_S, labels={"region": region}, **given))


def silence(**given: Any) -> Silence:
    fields: dict[str, Any] = {
        "id": "s1",
        "made_s": NOW_S,
        "until_s": NOW_S + 60,
        "by": "mina",
        "why": "new disks",
    }
    return Silence(**{**fields, **given})


def keep(alerts: AlertStore, *tracks: Track, now_s: float = NOW_S) -> None:
    with alerts.evaluating(now_s) as work:
        work.tracks = list(tracks)


def test_what_an_evaluation_leaves_the_next_one_finds(alerts: AlertStore) -> None:
    given = [firing("a1"), firing("a2", region="us"), track("asia", broken=1)]
    assert alerts.evaluated_s() is None
    with alerts.evaluating(NOW_S) as work:
        assert (work.judged, work.tracks, work.silences) == ({}, [], [])
        work.judged, work.tracks = {"availability": NOW_S}, given
    known = alerts.known()
    assert known.judged == {"availability": NOW_S}
    assert known.tracks == {one.key: one for one in given}
    assert alerts.evaluated_s() == NOW_S
    assert {one.id for one in alerts.open_alerts()} == {"a1", "a2"}


def test_an_evaluation_that_fails_leaves_all_as_it_was(alerts: AlertStore, store: Store) -> None:
    keep(alerts, firing())
    before = alerts.known()

    def fail() -> None:
        with alerts.evaluating(NOW_S + 5) as work:
            work.tracks, work.judged = [], {"x": 1.0}
            work.tell(Notice(id="n", kind="fired", at_s=NOW_S), ["slack"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert alerts.known() == before
    assert alerts.evaluated_s() == NOW_S
    assert SqlOutbox(store).claim(int(NOW_S * 1000), int(NOW_S * 1000) + 1, 10) == []


def test_notices_go_out_with_the_change_that_they_tell_of(alerts: AlertStore, store: Store) -> None:
    with alerts.evaluating(NOW_S) as work:
        work.tell(Notice(id="n", kind="fired", at_s=NOW_S), ["slack", "email"])
    waiting = SqlOutbox(store).claim(int(NOW_S * 1000), int(NOW_S * 1000) + 1, 10)
    assert [(one.notice_id, one.channel) for one in waiting] == [("n", "email"), ("n", "slack")]


def test_a_track_that_is_forgotten_leaves_its_alert_in_the_history(alerts: AlertStore) -> None:
    given = firing()
    keep(alerts, given)
    ended = msgspec.structs.replace(alert(id="a1", fired_s=NOW_S), state="resolved", resolved_s=NOW_S + 60)
    with alerts.evaluating(NOW_S + 60) as work:
        work.tracks, work.forgotten = [], [msgspec.structs.replace(given, alert=ended)]
    assert alerts.known().tracks == {}
    assert alerts.open_alerts() == []
    assert [one.state for one in alerts.history(0, 10)] == ["resolved"]


def test_alerts_are_found_by_time_rule_level_and_the_beginning_of_their_id(alerts: AlertStore) -> None:
    keep(
        alerts,
        firing("aa1"),
        firing("aa2", region="us", rule="availability", level="critical"),
        firing("bb1", region="asia", rule="database_lag", level="high"),
    )
    assert {one.id for one in alerts.history(NOW_S, 10)} == {"aa1", "aa2", "bb1"}
    assert alerts.history(NOW_S + 1, 10) == []
    assert [one.id for one in alerts.history(0, 10, "availability")] == ["aa2"]
    assert [one.id for one in alerts.history(0, 10, None, "high")] == ["bb1"]
    assert [one.id for one in alerts.find("bb")] == ["bb1"]
    assert {one.id for one in alerts.find("aa")} == {"aa1", "aa2"}
    assert alerts.find("%") == []


def test_what_is_open_or_moved_lately_is_what_a_digest_tells(alerts: AlertStore) -> None:
    old = {"fired_s": NOW_S - 9_000}
    keep(
        alerts,
        track("us", alert=alert(id="open", **old)),
        track("eu", alert=alert(id="ended", state="resolved", resolved_s=NOW_S - 10, **old)),
        track("asia", alert=alert(id="past", state="resolved", resolved_s=NOW_S - 8_000, **old)),
    )
    assert {one.id for one in alerts.alerts(NOW_S - 100)} == {"open", "ended"}


def test_an_acknowledgement_is_kept_once(alerts: AlertStore) -> None:
    keep(alerts, firing())
    first = alerts.acknowledge("a1", "mina", NOW_S + 5)
    second = alerts.acknowledge("a1", "juno", NOW_S + 9)
    assert first == second
    assert first is not None
    assert (first.state, first.acknowledged_by, first.acknowledged_s) == ("acknowledged", "mina", NOW_S + 5)
    assert alerts.acknowledge("nonsense", "mina", NOW_S) is None
    (known,) = alerts.known().tracks.values()
    assert known.alert == first


def test_silences_come_and_go(alerts: AlertStore) -> None:
    alerts.silence(silence(labels={"region": HOSTILE}, why=HOSTILE))
    alerts.silence(silence(id="s2", until_s=NOW_S + 5))
    with alerts.evaluating(NOW_S + 10) as work:
        assert [one.id for one in work.silences] == ["s1"]
        assert work.silences[0].labels == {"region": HOSTILE}
    lifted = alerts.lift("s1", NOW_S + 20)
    assert lifted is not None
    assert lifted.ended_s == NOW_S + 20
    assert alerts.lift("s1", NOW_S + 30) == lifted
    assert alerts.lift("nonsense", NOW_S) is None
    assert alerts.silences(NOW_S + 30) == []
    assert {one.id for one in alerts.silences(0)} == {"s1", "s2"}


def test_whatever_a_label_holds_can_be_kept(alerts: AlertStore) -> None:
    keep(alerts, firing(region=HOSTILE, said=HOSTILE))
    (kept,) = alerts.open_alerts()
    assert (kept.labels, kept.said) == ({"region": HOSTILE}, HOSTILE)


def test_rows_that_a_newer_version_wrote_are_passed_over(alerts: AlertStore, store: Store) -> None:
    keep(alerts, firing("a1"), firing("a2", region="us"))
    with store.writing() as connection:
        connection.execute(sa.text("UPDATE alerts SET alert = '{\"id\": 3}' WHERE id = 'a1'"))
        connection.execute(sa.text("UPDATE alert_evaluations SET judged = '[]'"))
    assert [one.id for one in alerts.open_alerts()] == ["a2"]
    with alerts.evaluating(NOW_S) as work:
        assert work.judged == {}
        assert sorted(one.alert.id for one in work.tracks if one.alert is not None) == ["a2"]


def test_what_is_over_is_deleted_after_90_days_and_what_goes_on_is_not(alerts: AlertStore) -> None:
    ended = alert(id="old", state="resolved", fired_s=NOW_S - 60, resolved_s=NOW_S)
    with alerts.evaluating(NOW_S) as work:
        work.tracks = [firing("open", region="us")]
        work.forgotten = [track(alert=ended)]
    alerts.silence(silence())
    keep(alerts, firing("open", region="us"), now_s=NOW_S + KEPT_S - 10)
    assert {one.id for one in alerts.history(0, 10)} == {"open", "old"}
    keep(alerts, firing("open", region="us"), now_s=NOW_S + KEPT_S + 3_700)
    assert [one.id for one in alerts.history(0, 10)] == ["open"]
    assert alerts.silences(0) == []


def test_two_at_once_come_one_after_the_other(alerts: AlertStore, store: Store) -> None:
    """Whoever acknowledges while an evaluation is being written waits, and then finds what it wrote."""
    inside, acknowledged = threading.Event(), []

    def acknowledge() -> None:
        inside.wait(10)
        acknowledged.append(AlertStore(store).acknowledge("a1", "mina", NOW_S + 1))

    thread = threading.Thread(target=acknowledge)
    thread.start()
    with alerts.evaluating(NOW_S) as work:
        work.tracks = [firing()]
        inside.set()
    thread.join(10)
    (found,) = acknowledged
    assert found is not None
    assert alerts.open_alerts() == [found]
