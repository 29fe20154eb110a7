"""Reports wait while nobody takes them, within bounds, and arrive in order and as they were."""

import threading

import pytest

from tests.support.measuring import MemoryInbox, MemoryOutlet
from tests.support.wait import wait_until
from workers.monitoring.collecting import reporting
from workers.monitoring.collecting.reporting import MOST_WAITING, Reporter
from workers.monitoring.events import CachePerformanceEvent
from workers.monitoring.metrics import REQUESTS
from workers.monitoring.recorder import MemoryRecorder, Recorder
from workers.monitoring.telling import EventBuffer

PLACE = ("process",)
EVENT = CachePerformanceEvent(at_ms=1, region="eu", endpoint="process", local=1)


class Parts:
    """A reporter that is told the time, and what it works with."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.recorder = MemoryRecorder("eu", "test", lambda: self.now_s)
        self.buffer = EventBuffer(most=10)
        self.inbox, self.outlet = MemoryInbox(), MemoryOutlet()
        self.closed = threading.Event()
        self.reporter = Reporter(
            self.recorder, self.buffer, self.inbox, self.outlet, self.closed.set, lambda: self.now_s
        )

    def outage(self, minutes: int) -> None:
        """Measure one job every five seconds, while nobody takes reports."""
        self.inbox.away = True
        for _ in range(minutes * 12):
            self.now_s += 5
            self.recorder.count(REQUESTS, 1, PLACE)
            self.reporter.report()


@pytest.fixture
def parts() -> Parts:
    return Parts()


def test_what_was_measured_is_reported(parts: Parts) -> None:
    parts.recorder.count(REQUESTS, 3, PLACE)
    parts.reporter.report()

    assert parts.inbox.total("requests") == 3


def test_nothing_measured_is_no_report(parts: Parts) -> None:
    parts.reporter.report()

    assert parts.inbox.tries == 0


def test_looks_are_taken_before_a_report(parts: Parts) -> None:
    def look(recorder: Recorder) -> None:
        recorder.count(REQUESTS, 1, PLACE)

    parts.reporter.looks.append(look)
    parts.reporter.report()

    assert parts.inbox.total("requests") == 1


def test_a_look_that_fails_is_a_gap(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    def look(_: Recorder) -> None:
        raise OSError("/secret")

    parts.reporter.looks.append(look)
    parts.recorder.count(REQUESTS, 1, PLACE)
    parts.reporter.report()
    parts.reporter.report()

    assert parts.inbox.total("requests") == 1
    assert [record.getMessage() for record in caplog.records] == [
        "looking at the process failed: OSError; jobs are answered all the same"
    ]


def test_an_outage_costs_nothing_but_time(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    """Five minutes are 60 jobs, in one report for each minute; two lines in the log tell of it."""
    parts.outage(minutes=5)
    parts.inbox.away = False
    parts.now_s += 60
    parts.reporter.report()

    assert parts.inbox.total("requests") == 60
    assert len(parts.inbox.reports) <= 7
    assert [report.at_ms for report in parts.inbox.reports] == sorted(r.at_ms for r in parts.inbox.reports)
    assert [record.getMessage() for record in caplog.records] == [
        "reporting what was measured failed: ConnectionError; jobs are answered all the same",
        "reporting what was measured works again",
    ]


def test_a_long_outage_costs_the_oldest_minutes_and_says_so(parts: Parts) -> None:
    """Of 40 minutes with 12 jobs each, fifteen wait, and the one under way."""
    parts.outage(minutes=40)
    parts.inbox.away = False
    parts.now_s += 60
    parts.reporter.report()
    parts.now_s += 60
    parts.reporter.report()
    lost = parts.inbox.total("monitoring_discarded", "overflow")

    assert len(parts.inbox.reports) == MOST_WAITING + 1
    assert parts.inbox.total("requests") == pytest.approx(12 * MOST_WAITING, abs=24)
    assert lost == pytest.approx(40 - MOST_WAITING, abs=1)


def test_a_report_that_may_have_arrived_is_sent_again_as_it_was(parts: Parts) -> None:
    """The inbox knows it by its bytes: what came since is another report."""
    parts.recorder.count(REQUESTS, 1, PLACE)
    parts.inbox.away = True
    parts.reporter.report()
    parts.recorder.count(REQUESTS, 1, PLACE)
    parts.inbox.away = False
    parts.reporter.report()
    parts.reporter.report()

    assert [report.cells[0].total for report in parts.inbox.reports] == [1, 1]


def test_events_go_out_and_those_that_cannot_are_counted(parts: Parts) -> None:
    parts.buffer.tell(EVENT)
    parts.reporter.tell()
    parts.outlet.away = True
    parts.buffer.tell(EVENT)
    parts.reporter.tell()
    parts.outlet.away = False
    for _ in range(12):
        parts.buffer.tell(EVENT)
    parts.outlet.unread = 40
    parts.reporter.tell()
    parts.reporter.report()

    assert len(parts.outlet.sent) == 1 + 10
    assert parts.inbox.total("monitoring_discarded", "events") == 1 + 2
    assert parts.inbox.total("monitoring_discarded", "unread") == 40


def test_it_works_in_a_thread_and_hands_on_the_rest_when_closed(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "TELL_EVERY_S", 0.01)
    monkeypatch.setattr(reporting, "REPORT_EVERY_S", 0.02)
    parts.reporter.start()
    parts.recorder.count(REQUESTS, 1, PLACE)
    wait_until(lambda: parts.inbox.reports)
    parts.recorder.count(REQUESTS, 1, PLACE)
    parts.buffer.tell(EVENT)
    parts.reporter.close(10)

    assert parts.inbox.total("requests") == 2
    assert parts.outlet.sent == [EVENT]
    assert parts.outlet.closed
    assert parts.closed.is_set()


def test_closing_waits_for_nobody_for_long(parts: Parts) -> None:
    """An inbox that hangs holds the thread, not whoever closes it."""
    hanging = threading.Event()

    def look(_: Recorder) -> None:
        hanging.wait(10)

    parts.reporter.looks.append(look)
    parts.reporter.start()
    parts.reporter.close(patience_s=0.01)

    assert not parts.closed.is_set()
    hanging.set()
    assert parts.closed.wait(10)
