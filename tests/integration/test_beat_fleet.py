"""Beats as people run them, killed, stopped and cut off: each slot has one tick, by whoever leads then."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.beats import ALL, ENTRIES, ONCE, SKIP, Beats, beats_over, urls_of
from tests.support.valkey import server
from tests.support.wait import wait_until
from workers.contract import names

PATIENCE_S = 45.0
TAKEOVER_SLOTS = 15  # of a second: 6 s of lease, a look a second, and a busy machine's share


@pytest.fixture
def beats(tmp_path: Path) -> Iterator[Beats]:
    """Beats over a server of their own, whose data survives it; the queue is read by the test alone."""
    with server(appendonly="yes") as store, beats_over(store, tmp_path) as made:
        yield made
        assert_each_slot_once(made)


def assert_each_slot_once(beats: Beats) -> None:
    """Each slot of each entry was sent once at most, and in order."""
    for entry in ENTRIES:
        slots = beats.slots(entry.name)
        assert slots == sorted(set(slots)), entry.name


def never_sent(beats: Beats) -> set[int]:
    """Return the slots without a tick of the entry whose missed slots are all made up for."""
    slots = beats.slots(ALL)
    return set(range(slots[0], slots[-1])) - set(slots)


def wait_for(beats: Beats, entry: str, epoch: int, count: int = 1) -> None:
    """Wait for *count* ticks of *entry* in *epoch*."""
    wait_until(lambda: len(beats.slots(entry, epoch)) >= count, PATIENCE_S, f"{count} x {entry} in {epoch}")


def test_of_three_beats_one_sends(beats: Beats) -> None:
    beats.start(3)
    wait_for(beats, ALL, epoch=1, count=5)

    assert {tick.epoch for tick in beats.read()} == {1}
    assert never_sent(beats) == set()
    assert beats.store.client.get(names.BEAT_EPOCH) == b"1"


def test_another_beat_takes_over_from_a_killed_leader_and_obeys_each_policy(beats: Beats) -> None:
    beats.start(2)
    wait_for(beats, ONCE, epoch=1, count=2)
    leader = beats.leader()
    assert leader is not None
    leader.end(signal.SIGKILL)

    for entry in (ONCE, SKIP, ALL):
        wait_for(beats, entry, epoch=2, count=2)
    last, first = beats.slots(ONCE, epoch=1)[-1], beats.slots(ONCE, epoch=2)[0]
    assert 4 < first - last <= TAKEOVER_SLOTS, "seconds: the lease was to end first"
    missed = set(range(last + 1, first))
    assert missed.isdisjoint(beats.slots(ONCE)), "one tick stood for all"
    assert missed.isdisjoint(beats.slots(SKIP)), "they are forgotten"
    assert len(missed - set(beats.slots(ALL))) <= 1, "all but one that may have died with the leader"


def test_a_leader_that_was_stopped_for_longer_than_its_lead_sends_nothing_more(beats: Beats) -> None:
    beats.start(2)
    wait_for(beats, ONCE, epoch=1)
    stale = beats.leader()
    assert stale is not None
    stale.tell(signal.SIGSTOP)
    wait_for(beats, ONCE, epoch=2, count=2)

    stale.tell(signal.SIGCONT)
    wait_until(lambda: "leads the periodic work, epoch 2" in stale.log(), PATIENCE_S, "it sees who leads")
    wait_for(beats, ONCE, epoch=2, count=len(beats.slots(ONCE, epoch=2)) + 2)

    epochs = [tick.epoch for tick in beats.read()]
    assert epochs == sorted(epochs), (
        "in the order of their sending: after the second lead's, none of the first"
    )
    assert set(epochs) == {1, 2}


def test_who_ends_in_peace_hands_over_at_once(beats: Beats) -> None:
    beats.start(2)
    wait_for(beats, ONCE, epoch=1)
    leader = beats.leader()
    assert leader is not None

    assert leader.end(signal.SIGTERM) == 0
    assert not leader.ready
    wait_for(beats, ONCE, epoch=2)

    assert beats.slots(ONCE, epoch=2)[0] - beats.slots(ONCE, epoch=1)[-1] < TAKEOVER_SLOTS


def test_beat_goes_on_when_its_server_is_back_and_repeats_nothing(beats: Beats) -> None:
    (beat,) = beats.start(1).processes
    wait_for(beats, ALL, epoch=1, count=2)
    beats.store.kill()
    wait_until(lambda: "is away (ConnectionError)" in beat.log(), PATIENCE_S, "it notices")

    beats.store.start()
    sent = len(beats.slots(ALL))
    wait_until(lambda: len(beats.slots(ALL)) >= sent + 3, PATIENCE_S, "it goes on")

    assert beat.log().count("is away") == 1
    assert beat.log().count("keeps the lead is back") == 1
    assert len(never_sent(beats)) <= 1, "all but one that the server may have died on"


def test_an_emptied_server_starts_anew_and_repeats_nothing(beats: Beats) -> None:
    (beat,) = beats.start(1).processes
    wait_for(beats, ALL, epoch=1, count=2)
    sent = len(beats.read())
    beats.store.client.flushall()

    wait_until(lambda: len(beats.read()) >= sent + 6, PATIENCE_S, "it goes on")
    assert beats.leader() is beat


def test_no_slot_is_claimed_while_the_broker_is_away(tmp_path: Path) -> None:
    """The lead is kept elsewhere, so that there is a leader all the time."""
    with (
        server(appendonly="yes") as store,
        server(appendonly="yes") as broker,
        beats_over(store, tmp_path, urls_of(broker).broker_url) as beats,
    ):
        (beat,) = beats.start(1).processes
        wait_for(beats, ALL, epoch=1, count=2)
        broker.kill()
        wait_until(lambda: "the broker is away" in beat.log(), PATIENCE_S, "it notices")
        claimed = store.client.hgetall(names.BEAT_SLOTS)
        last = int(claimed[ALL.encode()].split()[0]) // 1000
        wait_until(lambda: store.client.time()[0] > last + 3, PATIENCE_S, "slots pass")
        assert store.client.hgetall(names.BEAT_SLOTS) == claimed

        broker.start()
        wait_for(beats, ALL, epoch=1, count=len(beats.slots(ALL)) + 3)

        assert beat.log().count("the broker is away") == 1
        assert len(never_sent(beats)) <= 1
        assert_each_slot_once(beats)
