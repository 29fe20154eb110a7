"""What those who look at a fleet leave each other: on a real Valkey."""

import pytest

from tests.support.valkey import Server
from workers.contract import names
from workers.monitoring.collecting.probe_notes import LOST_S, ProbeNotes

NOW_S = 1_800_000_000.0


@pytest.fixture
def notes(valkey: Server) -> ProbeNotes:
    valkey.client.flushall()
    return ProbeNotes(valkey.client)


def test_one_looks_at_a_region_each_ten_seconds(notes: ProbeNotes, valkey: Server) -> None:
    assert [notes.due("eu"), notes.due("eu"), notes.due("us")] == [True, False, True]
    assert 9_000 < valkey.client.pttl(names.probing_key("eu")) <= 9_500


def test_a_worker_that_is_gone_is_told_of_for_an_hour(notes: ProbeNotes) -> None:
    assert notes.lost(["a", "b"], NOW_S) == []
    assert notes.lost(["b"], NOW_S + 10) == ["a"]
    assert notes.lost([], NOW_S + LOST_S - 1) == ["a", "b"]
    assert notes.lost([], NOW_S + LOST_S + 5) == ["b"]
    assert notes.lost(["a"], NOW_S + LOST_S + 20) == []


def test_of_duplicates_the_rise_is_told_once(notes: ProbeNotes, valkey: Server) -> None:
    """A count that is there already when it is first seen came before anybody looked."""
    valkey.client.set(names.DUPLICATES_KEY, 7)
    assert notes.duplicates() == 0
    valkey.client.incrby(names.DUPLICATES_KEY, 3)
    assert [notes.duplicates(), notes.duplicates()] == [3, 0]
    valkey.client.delete(names.DUPLICATES_KEY)
    assert notes.duplicates() == 0


def test_the_latest_tick_of_the_collection_tells_how_late_it_was(notes: ProbeNotes, valkey: Server) -> None:
    """That of an hourly task, sent when a beat was started in the midst of the hour, tells nothing."""
    now_ms = int(NOW_S * 1000)
    assert notes.beat_lag_s(NOW_S) is None
    valkey.client.hset(names.BEAT_SLOTS, names.DEAD_TIDY, f"{now_ms - 900_000} {now_ms - 40}")
    assert notes.beat_lag_s(NOW_S) is None
    valkey.client.hset(names.BEAT_SLOTS, names.MONITORING_COLLECT, f"{now_ms - 1_000} {now_ms - 750}")
    assert notes.beat_lag_s(NOW_S) == 0.25
    assert notes.beat_lag_s(NOW_S + 3_600) is None


def test_a_copy_that_stands_still_falls_behind(notes: ProbeNotes) -> None:
    """It has 100 of what was written when; another one follows at a distance of some bytes."""
    behind_s = [
        notes.behind_s(written, [100, written - 5], NOW_S + after_s)
        for after_s, written in ((0, 100), (10, 100), (20, 180), (30, 260), (40, 260))
    ]
    assert [round(still, 3) for still, _ in behind_s] == [0, 0, 0, 10, 20]
    assert (
        max(follows for _, follows in behind_s[:4]) == 10
    )  # of 95, since the first look: nothing was written
    assert notes.behind_s(260, [260, 260], NOW_S + 50) == [0, 0]


def test_every_key_lapses(notes: ProbeNotes, valkey: Server) -> None:
    notes.due("eu")
    notes.lost(["a"], NOW_S)
    notes.duplicates()
    notes.behind_s(100, [50], NOW_S)
    keys = valkey.client.keys()
    assert len(keys) == 4
    assert min(valkey.client.ttl(key) for key in keys) > 0
