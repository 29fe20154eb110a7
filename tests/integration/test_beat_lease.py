"""The lead and the slots on a real server: two beats, one tick; what was lost is known to be lost."""

from collections.abc import Iterator

import pytest
import redis

from producers.cli.doctor_beat import read_notes
from tests.support.valkey import VALKEY, Server, redis_7, server
from tests.support.wait import wait_until
from workers.beat.lease import MARGIN_S, Lease
from workers.contract import names
from workers.contract.periodic import Periodic

EVERY_SECOND = Periodic("tick", "a.task", 1, "once")
SHORT_MS = 300
LONG_MS = 600_000


@pytest.fixture(scope="module", params=["valkey", "redis"])
def shared(request: pytest.FixtureRequest) -> Iterator[Server]:
    binary = VALKEY if request.param == "valkey" else redis_7()
    if binary is None:
        pytest.skip("NO REDIS 7 ON THIS MACHINE: beat's lead is NOT tested on it by this run")
    with server(binary) as started:
        yield started


@pytest.fixture
def store(shared: Server) -> Server:
    shared.client.flushall()
    return shared


class Beats:
    """Makes leases and closes them."""

    def __init__(self, url: str) -> None:
        self._url, self._made = url, list[Lease]()

    def new(self, owner: str, ttl_ms: int = LONG_MS) -> Lease:
        self._made.append(Lease(self._url, owner, ttl_ms))
        return self._made[-1]

    def close(self) -> None:
        for lease in self._made:
            lease.close()


@pytest.fixture
def beats(store: Server) -> Iterator[Beats]:
    made = Beats(store.url)
    yield made
    made.close()


def present(lease: Lease) -> int:
    """Return the slot that the server is in."""
    return lease.look().now_ms // EVERY_SECOND.period_ms


def test_the_first_who_looks_leads_and_the_second_stands_by(beats: Beats) -> None:
    first, second = beats.new("first"), beats.new("second")

    seen = [lease.look() for lease in (first, second, first)]

    assert {(view.leader, view.epoch) for view in seen} == {("first", 1)}
    assert (first.trusted, second.trusted) == (True, False)
    assert second.claim(EVERY_SECOND, present(first)) is False


def test_a_slot_is_claimed_once_and_never_before_its_time_or_after_a_later_one(beats: Beats) -> None:
    lease = beats.new("first")
    slot = present(lease)

    assert lease.claim(EVERY_SECOND, slot + 1_000) is False
    assert lease.claim(EVERY_SECOND, slot - 1) is True
    assert [lease.claim(EVERY_SECOND, slot) for _ in range(3)] == [True, False, False]
    assert lease.claim(EVERY_SECOND, slot - 1) is False
    assert lease.look().last_ms == {"tick": slot * 1000}


def test_slots_of_one_entry_are_nothing_to_another(beats: Beats) -> None:
    lease = beats.new("first")
    slot = present(lease)

    assert lease.claim(EVERY_SECOND, slot) is True
    assert lease.claim(Periodic("other", "a.task", 1, "once"), slot) is True


def test_a_leader_that_lost_the_lead_without_knowing_claims_nothing(beats: Beats, store: Server) -> None:
    stale, other = beats.new("stale"), beats.new("other")
    slot = present(stale)
    store.client.delete(names.BEAT_LEAD)  # as its expiry does, while the leader is stopped
    assert other.look().epoch == 2

    assert stale.trusted, "it does not know"
    assert stale.claim(EVERY_SECOND, slot) is False
    assert other.claim(EVERY_SECOND, slot) is True
    assert stale.look().leader == "other"


def test_a_leader_whose_lead_ended_unseen_claims_nothing_until_it_leads_again(
    beats: Beats, store: Server
) -> None:
    lease = beats.new("first")
    slot = present(lease)
    store.client.delete(names.BEAT_LEAD)

    assert lease.claim(EVERY_SECOND, slot) is False
    assert lease.look().epoch == 2
    assert lease.claim(EVERY_SECOND, slot) is True


def test_a_lead_that_nobody_renews_ends_by_itself(beats: Beats) -> None:
    dead, other = beats.new("dead", SHORT_MS), beats.new("other")
    dead.look()

    wait_until(lambda: other.look().leader == "other")

    assert dead.claim(EVERY_SECOND, present(other)) is False


def test_a_renewed_lead_lasts(beats: Beats, store: Server) -> None:
    lease = beats.new("first")
    lease.look()
    store.client.pexpire(names.BEAT_LEAD, 10_000)

    lease.look()

    assert store.client.pttl(names.BEAT_LEAD) > LONG_MS / 2


def test_who_ends_in_peace_leaves_the_lead_at_once(beats: Beats) -> None:
    first, second = beats.new("first"), beats.new("second")
    first.look()

    second.release()
    assert first.look().epoch == 1, "only its holder gives a lead up"
    first.release()

    assert not first.trusted
    assert (second.look().leader, second.look().epoch) == ("second", 2)


def test_trust_counts_from_the_start_of_the_attempt_and_ends_before_the_lease(store: Server) -> None:
    """A slow answer does not lengthen it: 6 s of lease, asked for at 100 s, are trusted until 105 s."""
    clock = iter([100.0, 104.9, 105.0]).__next__
    lease = Lease(store.url, "first", 6_000, clock)
    try:
        lease.look()
        assert (lease.trusted, lease.trusted) == (True, False)
        assert MARGIN_S == 1.0
    finally:
        lease.close()


def test_an_emptied_server_gives_the_lead_anew_and_an_old_one_is_worth_nothing(
    beats: Beats, store: Server
) -> None:
    """Epochs begin at 1 again, so the number alone would not tell the old leader from the new one."""
    old, new = beats.new("old"), beats.new("new")
    slot = present(old)
    store.client.flushall()

    assert (new.look().epoch, new.look().last_ms) == (1, {})
    assert old.claim(EVERY_SECOND, slot) is False
    assert new.claim(EVERY_SECOND, slot) is True


def test_what_was_claimed_is_known_after_a_crash_of_the_server() -> None:
    """It is with ``appendfsync always``; with ``everysec`` the last moments may go; beats remember."""
    with server(appendonly="yes", appendfsync="always") as store:
        lease = Lease(store.url, "first", LONG_MS)
        try:
            slot = present(lease)
            assert lease.claim(EVERY_SECOND, slot)
            store.kill()
            with pytest.raises(redis.ConnectionError):
                lease.look()
            store.start()

            assert lease.look().last_ms == {"tick": slot * 1000}
            assert lease.claim(EVERY_SECOND, slot) is False
        finally:
            lease.close()


def test_only_the_two_notes_that_must_outlive_beats_are_permanent(beats: Beats, store: Server) -> None:
    lease = beats.new("first")
    lease.claim(EVERY_SECOND, present(lease))

    lasting = {key.decode() for key in store.client.scan_iter() if store.client.ttl(key) == -1}

    assert lasting == {names.BEAT_EPOCH, names.BEAT_SLOTS}


def test_the_doctor_reads_what_beats_note(beats: Beats, store: Server) -> None:
    assert (read_notes(store.client).leader, read_notes(store.client).ticks) == ("", {})
    lease = beats.new("some-host:4711:f00")
    slot = present(lease)
    assert lease.claim(EVERY_SECOND, slot)

    notes = read_notes(store.client)

    assert (notes.leader, notes.epoch) == ("some-host:4711", 1)
    begun_ms, sent_ms = notes.ticks["tick"]
    assert begun_ms == slot * 1000 <= sent_ms <= notes.now_ms
