"""Settling once: the same rules for the real reply store and the one in memory that other tests use."""

import threading
import uuid
from collections.abc import Iterator

import msgspec
import pytest

from tests.support.settling import MemorySettlements
from tests.support.valkey import Server, server
from workers.contract import names
from workers.contract.payloads import Outcome, Status
from workers.errors import Unavailable
from workers.settling import DONE, NO_JOURNAL, Journal, Mark, Part, RedisSettlements, Settlements

SPLIT = Mark("split", [Part("suspect", [1], 2), Part("rest", [0, 2], 1)])


@pytest.fixture(scope="module")
def store() -> Iterator[Server]:
    with server() as made:
        yield made


@pytest.fixture(params=["memory", "valkey"])
def settlements(request: pytest.FixtureRequest) -> Iterator[Settlements]:
    if request.param == "memory":
        yield MemorySettlements()
        return
    made = RedisSettlements(request.getfixturevalue("store").url, 10.0)
    yield made
    made.close()


@pytest.fixture
def real(store: Server) -> Iterator[RedisSettlements]:
    made = RedisSettlements(store.url, 10.0)
    yield made
    made.close()


def fresh() -> str:
    return uuid.uuid4().hex


def test_the_first_mark_stays_and_is_told_to_whoever_comes_later(settlements: Settlements) -> None:
    me, batch = fresh(), fresh()

    assert settlements.settle(me, batch, SPLIT, None) is None
    assert settlements.settle(me, batch, DONE, b"late") == SPLIT
    assert settlements.look(me, batch) == (SPLIT, NO_JOURNAL)


def test_a_batch_without_an_end_has_no_mark(settlements: Settlements) -> None:
    assert settlements.look(fresh(), fresh()) == (None, NO_JOURNAL)


def test_the_same_batch_id_of_another_client_is_another_batch(settlements: Settlements) -> None:
    batch = fresh()
    assert settlements.settle(fresh(), batch, DONE, b"1") is None
    assert settlements.settle(fresh(), batch, DONE, b"2") is None


def test_the_journal_tells_who_was_at_work_after_how_many_losses(settlements: Settlements) -> None:
    batch = fresh()
    settlements.at_work(batch, 0, 1)
    settlements.at_work(batch, 1, 1)
    assert settlements.look(fresh(), batch)[1] == Journal(1, 1)

    settlements.hangs(batch)
    assert settlements.look(fresh(), batch)[1] == Journal(1, 1, hung=True)


def test_a_final_outcome_stays(settlements: Settlements) -> None:
    job = fresh()
    first = Outcome(job, Status.OK, msgspec.Raw(b"\x01"))
    assert settlements.record([first]) == [first]
    assert settlements.record([Outcome(job, Status.OK, msgspec.Raw(b"\x02"))]) == [first]
    assert settlements.record([Outcome(job, Status.EXPIRED)]) == [first]


@pytest.mark.parametrize("passing", [Status.EXPIRED, Status.FAILED, Status.DEAD])
def test_an_outcome_that_may_pass_gives_way_to_a_later_one(settlements: Settlements, passing: Status) -> None:
    """The job may be sent again, under the same id, and then ends as it does then."""
    job = fresh()
    settlements.record([Outcome(job, passing)])
    answered = Outcome(job, Status.OK, msgspec.Raw(b"\x01"))

    assert settlements.record([answered]) == [answered]
    assert settlements.record([Outcome(job, passing)]) == [answered]


def test_outcomes_hold_each_by_itself(settlements: Settlements) -> None:
    known, new = fresh(), fresh()
    first = Outcome(known, Status.OK, msgspec.Raw(b"\x01"))
    settlements.record([first])
    other = Outcome(new, Status.REJECTED)

    assert settlements.record([Outcome(known, Status.FAILED), other]) == [first, other]


def test_one_reply_is_sent_and_duplicates_are_counted(store: Server, real: RedisSettlements) -> None:
    """Fifty deliveries at once: one reply, forty-nine duplicates."""
    me, batch = fresh(), fresh()
    before = int(store.client.get(names.DUPLICATES_KEY) or 0)
    threads = [
        threading.Thread(target=real.settle, args=(me, batch, DONE, str(n).encode())) for n in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.client.llen(names.reply_key(me)) == 1
    assert int(store.client.get(names.DUPLICATES_KEY) or 0) - before == 49


def test_everything_but_the_count_of_duplicates_expires(store: Server, real: RedisSettlements) -> None:
    me, batch, job = fresh(), fresh(), fresh()
    real.settle(me, batch, DONE, b"reply")
    real.settle(me, batch, DONE, b"reply")
    real.at_work(batch, 0, 1)
    real.record([Outcome(job, Status.OK)])

    assert 0 < store.client.ttl(names.reply_key(me)) <= names.REPLY_TTL_S
    assert 0 < store.client.ttl(names.settled_key(me, batch)) <= names.SETTLED_TTL_S
    assert 0 < store.client.ttl(names.work_key(batch)) <= names.WORK_TTL_S
    assert 0 < store.client.ttl(names.outcome_key(job)) <= names.OUTCOME_TTL_S
    assert [k for k in store.client.scan_iter() if store.client.ttl(k) == -1] == [
        names.DUPLICATES_KEY.encode()
    ]


def test_the_digest_of_a_durable_job_stays_beside_its_outcome(store: Server, real: RedisSettlements) -> None:
    job = fresh()
    store.client.hset(names.outcome_key(job), "d", b"digest")
    real.record([Outcome(job, Status.OK)])

    assert store.client.hget(names.outcome_key(job), "d") == b"digest"


def test_a_mark_and_its_reply_share_a_cluster_slot() -> None:
    """Redis takes the slot of a key from what stands in its braces."""
    tags = [
        key.partition("{")[2].partition("}")[0]
        for key in (names.settled_key("me", "b"), names.reply_key("me"))
    ]
    assert tags == ["me", "me"]


def test_a_server_that_forgot_the_scripts_is_told_them_again(store: Server, real: RedisSettlements) -> None:
    real.settle(fresh(), fresh(), DONE, b"1")
    real.record([Outcome(fresh(), Status.OK)])
    store.client.script_flush()

    me, job = fresh(), fresh()
    assert real.settle(me, fresh(), DONE, b"2") is None
    store.client.script_flush()
    assert real.record([Outcome(job, Status.OK)]) == [Outcome(job, Status.OK)]
    assert store.client.llen(names.reply_key(me)) == 1


def test_settling_takes_one_round_trip(store: Server, real: RedisSettlements) -> None:
    real.settle(fresh(), fresh(), DONE, b"the first, which teaches the script")
    calls = int(store.client.info("commandstats")["cmdstat_evalsha"]["calls"])
    real.settle(fresh(), fresh(), DONE, b"reply")

    assert int(store.client.info("commandstats")["cmdstat_evalsha"]["calls"]) == calls + 1


def test_a_reply_that_cannot_be_stored_leaves_no_mark(store: Server, real: RedisSettlements) -> None:
    me, batch = fresh(), fresh()
    store.client.set(names.reply_key(me), "not a list", ex=60)

    with pytest.raises(Unavailable, match="the reply store"):
        real.settle(me, batch, DONE, b"reply")
    assert real.look(me, batch)[0] is None


def test_a_store_that_is_away_is_unavailable() -> None:
    with server() as own:
        lonely = RedisSettlements(own.url, 0.5)
        lonely.settle("me", "b1", DONE, b"reply")
        own.stop()
        with pytest.raises(Unavailable):
            lonely.settle("me", "b2", DONE, b"reply")
        with pytest.raises(Unavailable):
            lonely.look("me", "b2")
        with pytest.raises(Unavailable):
            lonely.record([Outcome("j", Status.OK)])
        with pytest.raises(Unavailable):
            lonely.at_work("b2", 0, 1)
        lonely.close()
