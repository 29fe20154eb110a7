"""Prefetching: what a person will probably ask next is computed before they ask it."""

from collections.abc import Iterator

import pytest

from persona_system.cache.answers import process_request
from persona_system.cache.keys import tag_id, version_id
from persona_system.cache.redis_cache import RedisCache
from persona_system.cache.sightings import Sightings, slot_of
from persona_system.models import Context, Message
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from tests.support.worker import KEY, InProcessWorker
from workers.cache import prefetching
from workers.cache.prefetching import Prefetching
from workers.contract.payloads import Job

FIRST, NEXT = "What is a monad?", "Why would I want one?"
PEOPLE = [f"u{number}" for number in range(200)]
FOLLOWED = [name for name in PEOPLE if not tag_id(f"user:{name}")[-1] & 3]  # on trial, one in four
TEACHERS, NEWCOMER, BYSTANDER = FOLLOWED[:12], FOLLOWED[12], FOLLOWED[13]
NEWCOMER_CONTEXT = Context(user_id=NEWCOMER)
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
    with InProcessWorker(store.url) as worker:
        teach(worker)
        worker.process(job(FIRST, NEWCOMER_CONTEXT))
        assert is_stored(store, worker, NEXT, NEWCOMER_CONTEXT)
        before = worker.counts("process")
        (outcome,) = worker.process(job(NEXT, NEWCOMER_CONTEXT))
        after = worker.counts("process")
        assert outcome.cached
        assert after["worker_shared"] == before.get("worker_shared", 0) + 1
        stats = prefetching_of(worker).prefetcher.stats()
        assert (stats.used, stats.wasted) == (stats.prefetched, 0)  # the teachers' own ones, too
        assert worker.counts("prefetch")["computed"] == stats.prefetched


def test_it_carries_the_persons_tag(store: Server) -> None:
    """What was prefetched for a person goes when that person's answers are invalidated."""
    with InProcessWorker(store.url) as worker:
        teach(worker)
        worker.process(job(FIRST, NEWCOMER_CONTEXT))
        worker.answers.cache.invalidate(f"user:{NEWCOMER}")
        (outcome,) = worker.process(job(NEXT, NEWCOMER_CONTEXT))
        assert not outcome.cached


def test_what_is_there_already_is_not_computed_again(store: Server) -> None:
    with InProcessWorker(store.url) as worker:
        teach(worker)
        worker.process(job(NEXT, NEWCOMER_CONTEXT))
        before = worker.counts("prefetch")
        worker.process(job(FIRST, NEWCOMER_CONTEXT))
        after = worker.counts("prefetch")
        assert after.get("there", 0) == before.get("there", 0) + 1
        assert after["computed"] == before["computed"]


def test_another_worker_knows_what_the_first_has_learnt(store: Server) -> None:
    """It never saw NEXT asked: that it follows FIRST comes by sightings, the text by its recipe."""
    with InProcessWorker(store.url) as first:
        teach(first)
        share(first)
    with InProcessWorker(store.url) as second:
        share(second)
        ask_this_and_that(second)
        second.process(job(FIRST, NEWCOMER_CONTEXT))
        assert second.counts("prefetch")["computed"] == 1
        assert is_stored(store, second, NEXT, NEWCOMER_CONTEXT)


def test_a_person_may_come_to_any_worker(store: Server) -> None:
    """FIRST is asked here and NEXT there, and still each of the two learns that one follows the other."""
    with InProcessWorker(store.url) as here, InProcessWorker(store.url) as there:
        ask_this_and_that(here)
        for name in TEACHERS:
            here.process(job(FIRST, Context(user_id=name)))
            share(here, there)
            there.process(job(NEXT, Context(user_id=name)))
            share(here, there)
        assert cases(here) == cases(there) == len(TEACHERS)
        assert 0 < store.client.ttl("ion:cache:seen") <= 600


def test_what_a_producer_answers_from_the_cache_counts_as_used(store: Server) -> None:
    """The producer finds the prefetched answer in the store, and no worker is asked."""
    producer = RedisCache(store.url, 2.0)
    told = Sightings(producer)
    assert producer.wait_until_up(10)
    with InProcessWorker(store.url) as worker, InProcessWorker(store.url) as other:
        teach(worker)
        share(worker, other)
        worker.process(job(FIRST, NEWCOMER_CONTEXT))
        before = prefetching_of(worker).prefetcher.stats().used
        told.add([(slot_of(NEWCOMER_CONTEXT), process_request(NEXT, KEY, None))])
        assert told.share()
        share(worker, other)
        stats = prefetching_of(worker).prefetcher.stats()
        assert (stats.used, stats.wasted) == (before + 1, 0)

        def reported() -> int:
            return sum(one.counts("prefetch").get("used", 0) for one in (worker, other))

        wait_until(lambda: 0 < reported() <= stats.used)  # by one of the two
    producer.close()


def test_foreign_entries_in_the_stream_are_skipped(store: Server) -> None:
    with InProcessWorker(store.url) as worker:
        store.client.xadd("ion:cache:seen", {"by": "x", "seen": b"odd"})
        store.client.xadd("ion:cache:seen", {"something": "else"})
        share(worker)
        store.client.delete("ion:cache:seen")
        store.client.set("ion:cache:seen", "not a stream")
        teach(worker)
        share(worker)
        assert worker.answers.cache.up
        assert cases(worker) == len(TEACHERS)


def test_without_the_text_nothing_is_computed(store: Server) -> None:
    with InProcessWorker(store.url) as first:
        teach(first)
        share(first)
    for name in store.client.scan_iter("ion:cache:q:*"):
        store.client.delete(name)
    with InProcessWorker(store.url) as second:
        share(second)
        ask_this_and_that(second)
        second.process(job(FIRST, NEWCOMER_CONTEXT))
        assert second.counts("prefetch") == {"unknown": 1}


def test_what_a_batch_has_too_many_of_is_left_to_the_task(
    store: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefetching, "INLINE", 0)
    with InProcessWorker(store.url) as first, InProcessWorker(store.url) as second:
        teach(first)
        first.process(job(FIRST, NEWCOMER_CONTEXT))
        assert first.counts("prefetch")["deferred"] > 0
        assert not is_stored(store, first, NEXT, NEWCOMER_CONTEXT)
        assert 0 < store.client.ttl("ion:cache:ahead") <= 60

        monkeypatch.setattr(prefetching, "INLINE", 32)
        second.upkeep.prefetch()
        assert is_stored(store, first, NEXT, NEWCOMER_CONTEXT)
        assert store.client.exists("ion:cache:ahead") == 0
        assert prefetching_of(second).work_off() == 0


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
        assert prefetching_of(worker).prefetcher.stats().observed == 0


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
    """Names of keys, counts of the popular and sightings hold digests only."""
    with InProcessWorker(store.url) as worker:
        teach(worker)
        share(worker)
        worker.upkeep.warmer._trends.share()
    told = b"".join(store.client.scan_iter("*"))
    told += repr(store.client.xrange("ion:cache:seen")).encode()
    told += repr(store.client.zrange("ion:cache:popular", 0, -1)).encode()
    for private in (FIRST.encode(), NEXT.encode(), TEACHERS[0].encode() + b"'", b"user:"):
        assert private not in told


def prefetching_of(worker: InProcessWorker) -> Prefetching:
    assert worker.upkeep.prefetching is not None
    return worker.upkeep.prefetching


def share(*workers: InProcessWorker) -> None:
    """Let each of *workers* tell what it has seen, and read what the others have told."""
    for worker in workers:
        prefetching_of(worker).leave_recipes()
        assert prefetching_of(worker).sightings.share()
    for worker in workers:
        assert prefetching_of(worker).sightings.share()


def cases(worker: InProcessWorker) -> int:
    """Return how often *worker* believes that NEXT followed FIRST."""
    follow_ups = prefetching_of(worker).prefetcher._follow_ups
    found = follow_ups._rows.get(process_request(FIRST, KEY, None))
    return 0 if found is None else found.followers[process_request(NEXT, KEY, None)]
