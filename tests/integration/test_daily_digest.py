"""The daily digest: once a day, with true figures, by mail; and what the commands tell of channels."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.history import MemoryHistory
from tests.support.notice_servers import Mails, fake_mail
from tests.support.notices import HOSTILE, NOW_S, alert
from workers.monitoring.alerts.alert import Alert
from workers.monitoring.alerts.silences import Silence
from workers.monitoring.history import Reader
from workers.monitoring.metrics import CACHE_HITS, CACHE_MISSES, ERRORS, REQUESTS, RESPONSE_TIME
from workers.monitoring.notices.channels.mail import bodies
from workers.monitoring.notices.channels.opening import open_channels
from workers.monitoring.notices.digest import Figure
from workers.monitoring.notices.digesting import DAY_S, DailyDigest, alerts_of, digest_of_day, due
from workers.monitoring.notices.message import Links
from workers.monitoring.notices.notifier import ChannelNotifier
from workers.monitoring.notices.outbox import Ended, MemoryOutbox
from workers.monitoring.notices.settings import ChannelSettings
from workers.store.engine import open_store
from workers.store.outbox import SqlOutbox

MIDNIGHT_S = NOW_S // DAY_S * DAY_S
SEVEN_S = MIDNIGHT_S + 7 * 3_600


@dataclass
class Remembered:
    """Alerts and silences in memory."""

    fired: tuple[Alert, ...] = ()
    silenced: tuple[Silence, ...] = ()

    def open_alerts(self) -> list[Alert]:
        return [one for one in self.fired if one.open]

    def history(self, since_s: float, limit: int) -> list[Alert]:
        return [one for one in self.fired if one.fired_s >= since_s][:limit]

    def silences(self, since_s: float) -> list[Silence]:
        return [one for one in self.silenced if one.until_s > since_s]


PAST = Remembered(
    (
        alert(
            id="a", state="resolved", fired_s=SEVEN_S - 7_200, since_s=SEVEN_S - 7_300,
            resolved_s=SEVEN_S - 3_600,
        ),
        alert(id="b", level="high", rule="database_lag", fired_s=SEVEN_S - 600, since_s=SEVEN_S - 700),
        alert(id="old", state="resolved", fired_s=SEVEN_S - 3 * DAY_S, resolved_s=SEVEN_S - 2 * DAY_S),
        alert(
            id="long", state="acknowledged", fired_s=SEVEN_S - 2 * DAY_S, acknowledged_s=SEVEN_S - DAY_S + 60,
            escalations=1, escalated_s=SEVEN_S - DAY_S + 30,
        ),
    ),
    (
        Silence(
            id="s", rule="database_lag", made_s=SEVEN_S - 60, until_s=SEVEN_S + 60, by="mina", why=HOSTILE
        ),
        Silence(id="t", made_s=0, until_s=SEVEN_S + 60, ended_s=SEVEN_S - 60, by="mina", why="lifted"),
    ),
)  # fmt: skip


def measured() -> MemoryHistory:
    """A day with 1 % of errors after one with none; 100 ms after 50 ms; three look-ups in four were hits."""
    history = MemoryHistory()
    for at_s, errors, took_ms in ((SEVEN_S - 3_600, 1, 100.0), (SEVEN_S - DAY_S - 3_600, 0, 50.0)):
        history.add(REQUESTS, at_s, *[1.0] * 100, labels=("process",))
        history.add(RESPONSE_TIME, at_s, *[took_ms] * 100, labels=("process",))
        if errors:
            history.add(ERRORS, at_s, errors, labels=("process",))
        history.add(CACHE_HITS, at_s, 75, labels=("l1", "process"))
        history.add(CACHE_MISSES, at_s, 25, labels=("process",))
    return history


@pytest.fixture(scope="module")
def mailing() -> Iterator[Mails]:
    with fake_mail() as mails:
        yield mails


@pytest.fixture
def mails(mailing: Mails) -> Mails:
    mailing.received.clear()
    return mailing


@pytest.mark.parametrize(
    ("at_s", "due_s"),
    [
        (SEVEN_S - 1, None),
        (SEVEN_S, SEVEN_S),
        (SEVEN_S + 3 * 3_600 - 1, SEVEN_S),
        (SEVEN_S + 3 * 3_600, None),
        (MIDNIGHT_S + DAY_S, None),
    ],
    ids=["just before", "on the hour", "a little late", "too late", "midnight"],
)
def test_a_digest_is_due_for_three_hours_from_its_hour_on(at_s: float, due_s: float | None) -> None:
    assert due(at_s, 7) == due_s


def test_an_hour_before_midnight_is_due_after_it_too() -> None:
    assert due(MIDNIGHT_S + 3_600, 23) == MIDNIGHT_S - 3_600


def test_it_is_mailed_once_though_several_workers_look(mails: Mails, tmp_path: Path) -> None:
    settings = ChannelSettings.model_validate(
        {
            "smtp_host": "127.0.0.1",
            "smtp_port": mails.port,
            "smtp_security": "none",
            "smtp_to": "ops@example.com",
        }
    )
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as store:
        now_s = [SEVEN_S - 60]

        def digester() -> DailyDigest:
            notifier = ChannelNotifier(
                SqlOutbox(store), open_channels(settings), now_s=lambda: now_s[0], patience_s=20
            )
            return DailyDigest(PAST, Reader(measured()), notifier, 7, lambda: now_s[0])

        workers = [digester(), digester()]
        for at_s in (SEVEN_S - 60, SEVEN_S, SEVEN_S + 60, SEVEN_S - 30, SEVEN_S + 3_600):
            now_s[0] = at_s
            for worker in workers:
                worker.digest()
        assert len(mails.received) == 1
        now_s[0] = SEVEN_S + DAY_S
        workers[1].digest()
        assert len(mails.received) == 2
    mail = mails.received[0]
    assert mail["Subject"] == "[ION] The last 24 hours: 2 alerts fired, 1 of them critical. 2 still open."
    assert mail["References"] is None


def test_it_tells_the_days_figures_beside_those_of_the_day_before() -> None:
    notice = digest_of_day(PAST, Reader(measured()), MemoryOutbox(), SEVEN_S, "d")
    assert notice.digest is not None
    found = {one.name: (one.value, one.before, one.is_worse) for one in notice.digest.figures}
    assert found["Error rate"] == (1.0, 0.0, True)
    assert found["Availability"] == (99.0, 100.0, True)
    assert found["Cache hit rate"] == (75.0, 75.0, False)
    value, before, worse = found["Response time, p95"]
    assert value == pytest.approx(100, rel=0.01)
    assert before == pytest.approx(50, rel=0.01)
    assert worse


def test_it_counts_what_fired_ended_and_was_told_again() -> None:
    digest = digest_of_day(PAST, Reader(MemoryHistory()), MemoryOutbox(), SEVEN_S, "d").digest
    assert digest is not None
    counts = (digest.fired, digest.critical, digest.resolved, digest.acknowledged, digest.escalated)
    assert (*counts, digest.still_open) == (2, 1, 1, 1, 1, 2)
    assert [one.id for one in alerts_of(PAST, SEVEN_S - DAY_S)] == ["b", "long", "a"]
    assert [one.what for one in digest.silences] == ["rule database_lag"]
    assert all(one.value is None for one in digest.figures)


def test_it_shows_what_did_not_arrive_and_no_markup_of_others() -> None:
    outbox = MemoryOutbox()
    now_ms = int(SEVEN_S * 1000)
    for name in ("n1", "n2"):
        outbox.put(name, now_ms - 60_000, b"", ["slack"])
    outbox.settle([Ended("n1", "slack", "failed", now_ms, why="status 404: no_service")])
    shown = bodies(
        digest_of_day(PAST, Reader(measured()), outbox, SEVEN_S, "d"), Links("https://ion.example")
    )
    for text in ("0 sent, 1 failed, 1 waiting: status 404: no_service", "resolved after 1 h", "no data"):
        assert (text in shown.text) == (text != "no data")
    assert "https://ion.example/dashboards/overview" in shown.html
    assert "<script>" not in shown.html
    assert "\x1b" not in shown.text


@pytest.mark.parametrize(
    ("unit", "value", "before", "lower", "worse"),
    [
        ("%", 99.9, 99.99, False, True),  # it lacks 0.1 % now, ten times as much
        ("%", 99.99, 99.99, False, False),
        ("%", 70.0, 75.0, False, True),
        ("%", 74.0, 75.0, False, False),
        ("ms", 56.0, 50.0, True, True),
        ("ms", 54.0, 50.0, True, False),
        ("jobs/s", 80.0, 100.0, False, True),
        ("jobs/s", 120.0, 100.0, False, False),
        ("ms", None, 50.0, True, False),
    ],
)
def test_worse_is_worse_by_a_tenth(
    unit: str, value: float | None, before: float | None, *, lower: bool, worse: bool
) -> None:
    assert Figure(name="x", unit=unit, value=value, before=before, lower_is_better=lower).is_worse is worse
