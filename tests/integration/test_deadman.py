"""The dead-man's switch: who notices that nobody judges the rules, by the clock of a test."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.planted import START_S, Listening, PlantedFleet
from tests.support.wait import wait_until
from workers.beat.deadman import DeadMan, DeadManThread, Means
from workers.monitoring.notices.notifier import ChannelNotifier
from workers.monitoring.notices.outbox import MemoryOutbox
from workers.store.alerts import AlertStore
from workers.store.engine import Store, open_store
from workers.store.errors import StoreUnavailable
from workers.store.outbox import SqlOutbox


@dataclass
class Beat:
    """A beat's switch, whose time passes by ``live`` only, and the pager that it reaches."""

    store: Store
    passed_s: float = 0.0
    leads: bool = True
    by_outbox: Listening = field(default_factory=Listening)
    past_it: Listening = field(default_factory=Listening)

    def __post_init__(self) -> None:
        wall = lambda: START_S + self.passed_s  # noqa: E731 - one clock for both
        self.alerts = AlertStore(self.store)
        notifier = ChannelNotifier(SqlOutbox(self.store), {"pagerduty": self.by_outbox}, now_s=wall)
        spare = ChannelNotifier(MemoryOutbox(), {"pagerduty": self.past_it}, now_s=wall)
        means = Means(self.alerts, notifier, spare)
        self.deadman = DeadMan(lambda: means, lambda: self.leads, wall, lambda: 7.0 + self.passed_s)

    def live(self, seconds: int, *, judged: bool = False) -> None:
        for _ in range(seconds // 5):
            self.passed_s += 5
            if judged:
                with self.alerts.evaluating(START_S + self.passed_s - 900):  # that clock is behind
                    pass
            self.deadman.look()

    def told(self) -> list[tuple[str, str]]:
        found = (*self.by_outbox.notices, *self.past_it.notices)
        return [(notice.kind, alert.rule) for notice in found for alert in notice.alerts]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'ion.db'}") as made:
        yield made


@pytest.fixture
def beat(store: Store) -> Beat:
    return Beat(store)


FIRED, RESOLVED = ("fired", "evaluation_stopped"), ("resolved", "evaluation_stopped")


def test_nothing_is_said_while_rules_are_judged_whatever_clocks_say(beat: Beat) -> None:
    beat.live(300, judged=True)
    assert beat.told() == []


def test_when_nobody_judges_that_is_told_once_and_listed(beat: Beat) -> None:
    beat.live(30, judged=True)
    beat.live(60)
    assert beat.told() == []
    beat.live(300)
    assert beat.told() == [FIRED]
    (alert,) = beat.alerts.open_alerts()
    assert (alert.rule, alert.level, alert.state) == ("evaluation_stopped", "critical", "firing")


def test_whoever_judges_again_says_so_and_the_beat_does_not(beat: Beat, store: Store) -> None:
    beat.live(120)
    fleet = PlantedFleet(store)
    fleet.now_s = START_S + beat.passed_s
    fleet.live(1 / 3)
    assert fleet.told("pagerduty") == [RESOLVED]
    beat.live(60, judged=True)
    assert beat.told() == [FIRED]
    beat.live(120)
    assert beat.told() == [FIRED, FIRED]


def test_a_beat_that_does_not_lead_says_nothing_and_begins_anew_when_it_does(beat: Beat) -> None:
    beat.leads = False
    beat.live(300)
    beat.leads = True
    beat.live(60)
    assert beat.told() == []
    beat.live(30)
    assert beat.told() == [FIRED]


def test_the_beat_that_leads_next_does_not_repeat_it(beat: Beat, store: Store) -> None:
    beat.live(120)
    next_one = Beat(store, passed_s=beat.passed_s)
    next_one.live(300)
    assert (beat.told(), next_one.told()) == ([FIRED], [])


def test_a_database_that_is_away_is_told_past_it_and_so_is_its_return(
    beat: Beat, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the database", "no connection")

    beat.live(30, judged=True)
    with monkeypatch.context() as patched:
        for name in ("evaluated_s", "evaluating"):
            patched.setattr(AlertStore, name, away)
        beat.live(120)
    assert beat.by_outbox.notices == []
    assert beat.told() == [FIRED]
    assert "no connection" in beat.past_it.notices[0].alerts[0].said
    beat.live(30, judged=True)
    assert beat.told() == [FIRED, RESOLVED]


def test_whatever_goes_wrong_the_thread_goes_on_and_says_it_once(
    beat: Beat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = threading.Semaphore(0)

    def broken(_: object) -> None:
        looks.release()
        raise RuntimeError("a bug")

    monkeypatch.setattr(DeadMan, "look", broken)
    thread = DeadManThread(beat.deadman, every_s=0.001)
    thread.start()
    thread.start()
    for _ in range(5):
        assert looks.acquire(timeout=10)
    thread.stop()
    thread.stop()
    assert thread._thread is not None
    wait_until(lambda: not (thread._thread and thread._thread.is_alive()), 10, "it ends")
    assert caplog.text.count("the dead-man's switch of the alerts does not work") == 1
