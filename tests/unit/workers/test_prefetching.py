"""Prefetching: what a person will probably ask next is computed before they ask it."""

from collections.abc import Iterator

import pytest

from persona_system.cache.answers import process_request
from persona_system.cache.keys import tag_id, version_id
from persona_system.models import Context, Message
from tests.support.valkey import Server, server
from tests.support.worker import KEY, InProcessWorker
from workers import prefetching
from workers.contract.payloads import Job
from workers.prefetching import slot_of

FIRST, NEXT = "What is a monad?", "Why would I want one?"
PEOPLE = [f"u{number}" for number in range(200)]
FOLLOWED = [name for name in PEOPLE if not tag_id(f"user:{name}")[-1] & 3]  # on trial, one in four
TEACHERS, NEWCOMER, BYSTANDER = FOLLOWED[:12], FOLLOWED[12], FOLLOWED[13]
REQUESTS = 150


@pytest.fixture
def store() -> Iterator[Server]:
    with server() as running:
        yield running


def job(text: str, context: Context | None) -> Job:
    return Job(id=text, text=text, key=KEY, context=context)


def teach(worker: InProcessWorker) -> None:
    """Let twelve people ask FIRST and then NEXT, so that it is no accident."""
    ask_this_and_that(worker)
    for name in TEACHERS:
        worker.process(job(FIRST, Context(user_id=name)))
        worker.process(job(NEXT, Context(user_id=name)))


def ask_this_and_that(worker: InProcessWorker) -> None:
    """Earn an allowance of 1 %, and show that NEXT is not what everybody asks anyway."""
    worker.process(*[job(f"unrelated {number}", Context(user_id=BYSTANDER)) for number in range(REQUESTS)])


def is_stored(server: Server, worker: InProcessWorker, text: str, context: Context) -> bool:
    key = version_id(worker.pipeline.version) + process_request(text, KEY, context)
    return bool(server.client.exists(f"ion:cache:e:{key.hex()}"))


def test_the_next_question_is_answered_before_it_is_asked(store: Server) -> None:
    newcomer = Context(user_id=NEWCOMER)
    with InProcessWorker(store.url) as worker:
        teach(worker)
        worker.process(job(FIRST, newcomer))
        assert is_stored(store, worker, NEXT, newcomer)
        before = worker.counts("process")
        (outcome,) = worker.process(job(NEXT, newcomer))
        after = worker.counts("process")
        assert outcome.cached
        assert after["worker_shared"] == before.get("worker_shared", 0) + 1
        prefetch = worker.upkeep.prefetching
        assert prefetch is not None
        stats = prefetch._prefetcher.stats()
        assert (stats.used, stats.wasted) == (stats.prefetched, 0)  # the teachers' own ones, too
        assert worker.counts("prefetch")["computed"] == stats.prefetched


def test_it_carries_the_persons_tag(store: Server) -> None:
    """What was prefetched for a person goes when that person's answers are invalidated."""
    newcomer = Context(user_id=NEWCOMER)
    with InProcessWorker(store.url) as worker:
        teach(worker)
        worker.process(job(FIRST, newcomer))
        worker.answers.cache.invalidate(f"user:{newcomer.user_id}")
        (outcome,) = worker.process(job(NEXT, newcomer))
        assert not outcome.cached


def test_what_is_there_already_is_not_computed_again(store: Server) -> None:
    newcomer = Context(user_id=NEWCOMER)
    with InProcessWorker(store.url) as worker:
        teach(worker)
        worker.process(job(NEXT, newcomer))
        before = worker.counts("prefetch")
        worker.process(job(FIRST, newcomer))
        after = worker.counts("prefetch")
        assert after.get("there", 0) == before.get("there", 0) + 1
        assert after["computed"] == before["computed"]


def test_another_worker_knows_what_the_first_has_learnt(store: Server) -> None:
    """It never saw NEXT asked: the pair comes by the exchange, the text by its recipe."""
    newcomer = Context(user_id=NEWCOMER)
    with InProcessWorker(store.url) as first:
        teach(first)
        share(first)
    with InProcessWorker(store.url) as second:
        share(second)
        ask_this_and_that(second)
        second.process(job(FIRST, newcomer))
        assert second.counts("prefetch")["computed"] == 1
        assert is_stored(store, second, NEXT, newcomer)


def test_what_is_learnt_is_merged_once_and_never_at_home(store: Server) -> None:
    with InProcessWorker(store.url) as first, InProcessWorker(store.url) as second:
        teach(first)
        for worker in (first, second, first, second):
            share(worker)
        mine, theirs = row(first), row(second)
    assert mine == theirs == len(TEACHERS)
    assert 0 < store.client.ttl("ion:cache:follow") <= 24 * 3600


def test_foreign_entries_in_the_exchange_are_skipped(store: Server) -> None:
    with InProcessWorker(store.url) as worker:
        store.client.xadd("ion:cache:follow", {"by": "x", "rows": b"\xc1"})
        store.client.xadd("ion:cache:follow", {"something": "else"})
        share(worker)
        store.client.delete("ion:cache:follow")
        store.client.set("ion:cache:follow", "not a stream")
        share(worker)
        assert worker.answers.cache.up


def test_without_the_text_nothing_is_computed(store: Server) -> None:
    with InProcessWorker(store.url) as first:
        teach(first)
        share(first)
    for name in store.client.scan_iter("ion:cache:q:*"):
        store.client.delete(name)
    with InProcessWorker(store.url) as second:
        share(second)
        ask_this_and_that(second)
        second.process(job(FIRST, Context(user_id=NEWCOMER)))
        assert second.counts("prefetch") == {"unknown": 1}


def test_what_a_batch_has_too_many_of_is_left_to_the_task(
    store: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetching, "INLINE", 0)
    newcomer = Context(user_id=NEWCOMER)
    with InProcessWorker(store.url) as first, InProcessWorker(store.url) as second:
        teach(first)
        first.process(job(FIRST, newcomer))
        assert first.counts("prefetch")["deferred"] > 0
        assert not is_stored(store, first, NEXT, newcomer)
        assert 0 < store.client.ttl("ion:cache:ahead") <= 60

        monkeypatch.setattr(prefetching, "INLINE", 32)
        second.upkeep.prefetch()
        assert is_stored(store, first, NEXT, newcomer)
        assert store.client.exists("ion:cache:ahead") == 0
        assert second.upkeep.prefetching is not None
        assert second.upkeep.prefetching.work_off() == 0


def test_nonsense_that_waits_for_the_task_is_dropped(store: Server) -> None:
    with InProcessWorker(store.url) as worker:
        store.client.rpush("ion:cache:ahead", b"\xc1", b"", b"\x91\xa1x")
        worker.upkeep.prefetch()
        assert store.client.exists("ion:cache:ahead") == 0
        store.client.set("ion:cache:ahead", "not a list")
        worker.upkeep.prefetch()
        assert worker.counts("prefetch") == {}


def test_nothing_is_learnt_from_pipelines_or_conversations(store: Server) -> None:
    person = Context(user_id=FOLLOWED[0], history=(Message("user", "earlier"),))
    with InProcessWorker(store.url) as worker:
        worker.process(job(FIRST, Context(user_id=FOLLOWED[0])), bulk=True)
        worker.process(job(FIRST, person), job(FIRST, None), job(FIRST, Context()))
        assert worker.upkeep.prefetching is not None
        assert worker.upkeep.prefetching._prefetcher.stats().observed == 0


def test_who_asks_is_the_session_else_the_person() -> None:
    assert slot_of(Context(user_id="u", session_id="s")) == slot_of(Context(session_id="s"))
    assert slot_of(Context(user_id="u")) not in (b"", slot_of(Context(session_id="u")))
    assert slot_of(Context(user_id="u", summary="so far")) == b""
    assert slot_of(Context()) == b""


def test_prefetching_can_be_switched_off(store: Server) -> None:
    with InProcessWorker(store.url, cache_prefetch=False) as worker:
        teach(worker)
        worker.upkeep.prefetch()
        assert worker.counts("prefetch") == {}


def test_no_person_and_no_text_is_in_what_is_shared_about_habits(store: Server) -> None:
    """Names of keys, counts of the popular and the exchange hold digests only."""
    with InProcessWorker(store.url) as worker:
        teach(worker)
        share(worker)
        worker.upkeep.warmer._trends.share()
    told = b"".join(store.client.scan_iter("*"))
    told += repr(store.client.xrange("ion:cache:follow")).encode()
    told += repr(store.client.zrange("ion:cache:popular", 0, -1)).encode()
    for private in (FIRST.encode(), NEXT.encode(), TEACHERS[0].encode() + b"'", b"user:"):
        assert private not in told


def share(worker: InProcessWorker) -> None:
    """Let *worker* hand on what it has learnt, and read what others have."""
    exchange = worker.upkeep.exchange
    assert exchange is not None
    assert exchange.share()


def row(worker: InProcessWorker) -> int:
    """Return how often *worker* believes that NEXT followed FIRST."""
    assert worker.upkeep.prefetching is not None
    found = worker.upkeep.prefetching._prefetcher._follow_ups._rows.get(process_request(FIRST, KEY, None))
    assert found is not None
    return found.followers[process_request(NEXT, KEY, None)]
