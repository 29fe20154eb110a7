"""Warming: what the fleet asks most is at hand before it is asked, also under a new version."""

from collections.abc import Iterator

import msgspec
import pytest

from persona_system.cache import trends
from persona_system.cache.answers import process_request
from persona_system.models import Context, Response
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from tests.support.worker import KEY, InProcessWorker
from workers.cache.recipes import EVERY, Recipe, packed
from workers.contract.payloads import Job
from workers.tasks import cache

POPULAR = [f"What does a monad do, part {number}?" for number in range(8)]


@pytest.fixture
def store() -> Iterator[Server]:
    with server() as running:
        yield running


def ask_often(worker: InProcessWorker, *texts: str, times: int = 4) -> None:
    """Have *texts* asked so often that each has been looked at, and tell the fleet."""
    for _ in range(times):
        for text in texts:
            worker.process(*[text] * EVERY)  # of so many, one is looked at
    worker.upkeep.warmer._trends.share()


def warm_at_start(worker: InProcessWorker) -> None:
    """Wait until the warming that comes with the link is done."""
    warmer = worker.upkeep.warmer
    wait_until(lambda: warmer._thread is not None and not warmer._thread.is_alive(), what="warming")


def test_a_worker_that_starts_has_the_popular_answers(store: Server) -> None:
    with InProcessWorker(store.url) as first:
        ask_often(first, *POPULAR)
    with InProcessWorker(store.url) as second:
        warm_at_start(second)
        second.process(*POPULAR)

        assert second.counts("warm") == {"loaded": len(POPULAR)}
        assert second.counts("process") == {"worker_local": len(POPULAR)}


def test_a_new_version_has_the_popular_answers_before_they_are_asked(store: Server) -> None:
    """All its keys are new ones; the recipes are not."""
    with InProcessWorker(store.url, version="old") as old:
        ask_often(old, *POPULAR)
        before = old.process(POPULAR[0])
    with InProcessWorker(store.url, version="new") as new:
        warm_at_start(new)
        assert new.counts("warm") == {"computed": len(POPULAR)}
        after = new.process(*POPULAR)
        assert new.counts("process") == {"worker_local": len(POPULAR)}
    assert content(after[0].result) == content(before[0].result)


def test_each_answer_is_computed_by_one_worker(store: Server) -> None:
    with InProcessWorker(store.url, version="old") as old:
        ask_often(old, *POPULAR)
    with (
        InProcessWorker(store.url, version="new") as one,
        InProcessWorker(store.url, version="new") as other,
    ):
        warm_at_start(one)
        warm_at_start(other)
        computed = [worker.counts("warm").get("computed", 0) for worker in (one, other)]
        assert sum(computed) == len(POPULAR)


def test_the_task_warms_the_store_for_all(store: Server) -> None:
    with InProcessWorker(store.url, version="old") as old:
        ask_often(old, *POPULAR)
    with (
        InProcessWorker(store.url, version="new", cache_warm=0) as cold,
        InProcessWorker(store.url, version="new", cache_warm=0) as task_runner,
    ):
        assert task_runner.upkeep.warmer._thread is None  # nothing happened at the start
        assert task_runner.upkeep.warmer.warm(100).computed == len(POPULAR)
        cold.process(*POPULAR)
        assert cold.counts("process") == {"worker_shared": len(POPULAR)}


def test_the_task_body_and_a_worker_without_popular_answers(store: Server) -> None:
    with InProcessWorker(store.url) as worker:
        cache.warm(worker.runtime)
        cache.prefetch(worker.runtime)
        assert worker.counts("warm") == {}


def test_scenarios_are_warmed_too(store: Server) -> None:
    with InProcessWorker(store.url, version="old") as old:
        for _ in range(EVERY * 3):
            old.recommend("Somebody is stuck with a proof.")
        old.upkeep.warmer._trends.share()
    with InProcessWorker(store.url, version="new") as new:
        warm_at_start(new)
        new.recommend("Somebody is stuck with a proof.")
        assert new.counts("recommend") == {"worker_local": 1}


def test_what_one_person_asks_again_and_again_is_warmed_for_that_person_only(store: Server) -> None:
    mine, yours = Context(user_id="me"), Context(user_id="you")
    with InProcessWorker(store.url, version="old") as old:
        for _ in range(EVERY * 3):
            old.process(Job(id="1", text="Again?", key=KEY, context=mine))
        old.upkeep.warmer._trends.share()
    with InProcessWorker(store.url, version="new") as new:
        warm_at_start(new)
        new.process(Job(id="1", text="Again?", key=KEY, context=mine))
        new.process(Job(id="1", text="Again?", key=KEY, context=yours))
        assert new.counts("process") == {"worker_local": 1, "computed": 1}
        new.answers.cache.invalidate("user:me")
        new.process(Job(id="1", text="Again?", key=KEY, context=mine))
        assert new.counts("process")["computed"] == 2


def test_what_is_rarely_asked_leaves_no_recipe(store: Server) -> None:
    with InProcessWorker(store.url) as worker:
        for number in range(3 * EVERY):
            worker.process(f"once {number}", "and this, twice" if number < 2 else f"other {number}")
    assert list(store.client.scan_iter("ion:cache:q:*")) == []


def test_a_refresh_leaves_a_recipe_at_once(store: Server) -> None:
    """A producer answers most of what is asked by itself, but it sends what is due."""
    with InProcessWorker(store.url) as worker:
        worker.process(*[f"filler {number}" for number in range(3)])
        worker.process(Job(id="1", text="due", key=KEY, refresh=True))
    assert len(list(store.client.scan_iter("ion:cache:q:*"))) == 1


def test_recipes_hold_no_job_and_run_out(store: Server) -> None:
    """A recipe lives as long as an answer may be served: 300 s + 1,500 s."""
    job = Job(id="secret-id", text="due", key=KEY, refresh=True, metadata={"ticket": "T-1"})
    with InProcessWorker(store.url) as worker:
        worker.process(job)
    (name,) = store.client.scan_iter("ion:cache:q:*")
    stored = store.client.get(name)
    assert isinstance(stored, bytes)
    assert b"secret-id" not in stored
    assert b"T-1" not in stored
    assert 1_700 < store.client.ttl(name) <= 1_800


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\xc1 garbage",
        msgspec.msgpack.encode(["process", 7]),
        packed(Recipe("no such endpoint", "x")),
        packed(Recipe("process", "another text", KEY)),
        packed(Recipe("process", "", KEY)),
    ],
)
def test_a_recipe_that_is_not_what_it_should_be_is_dropped(store: Server, stored: bytes) -> None:
    """Nothing is computed from it: its id must be that of what it asks."""
    request = process_request("popular", KEY, None)
    store.client.zadd("ion:cache:popular", {request: 9})
    store.client.set(f"ion:cache:q:{request.hex()}", stored, ex=100)
    with InProcessWorker(store.url) as worker:
        warm_at_start(worker)
        assert worker.counts("warm") == {"failed": 1}
        assert worker.bugs == []
    assert list(store.client.scan_iter("ion:cache:[qe]:*")) == []


def test_a_recipe_whose_question_is_refused_is_dropped(store: Server) -> None:
    """Under a new version the same question may be no good any more."""
    request = process_request("", KEY, None)
    store.client.zadd("ion:cache:popular", {request: 9, b"foreign": 10})
    store.client.set(f"ion:cache:q:{request.hex()}", packed(Recipe("process", "", KEY)), ex=100)
    with InProcessWorker(store.url) as worker:
        warm_at_start(worker)
        assert worker.counts("warm") == {"failed": 1}
    assert list(store.client.scan_iter("ion:cache:[qe]:*")) == []


def test_a_bug_in_warming_is_reported_and_the_worker_goes_on(store: Server) -> None:
    with InProcessWorker(store.url, version="old") as old:
        ask_often(old, POPULAR[0])
    worker = InProcessWorker(store.url, version="new", cache_warm=0)

    def fail(*_: object) -> None:
        raise RuntimeError("private words")

    with worker:
        worker.pipeline._resolve = fail  # type: ignore[assignment]
        warmed = worker.upkeep.warmer.warm(10)
        assert (warmed.computed, warmed.failed) == (0, 1)
        assert worker.bugs == ["computing an answer ahead: RuntimeError"]


def test_after_an_outage_the_link_brings_the_popular_answers_back(store: Server) -> None:
    with InProcessWorker(store.url) as worker:
        ask_often(worker, *POPULAR)
        warm_at_start(worker)
        store.client.client_kill_filter(_type="pubsub")
        wait_until(lambda: worker.counts("warm").get("loaded") == len(POPULAR))
        worker.process(POPULAR[0])
        assert worker.counts("process").get("worker_shared", 0) == 0


def test_without_its_store_a_worker_answers_and_warms_nothing(store: Server) -> None:
    with InProcessWorker(store.url) as worker:
        ask_often(worker, *POPULAR)
        store.kill()
        (outcome,) = worker.process(POPULAR[0])
        assert outcome.status == "ok"
        assert worker.upkeep.warmer.warm(100).computed == 0
        assert worker.upkeep.warmer._trends.top(10) == []


def test_everybodys_counts_are_added_up(store: Server) -> None:
    with InProcessWorker(store.url) as one, InProcessWorker(store.url) as other:
        for worker, times in ((one, 3), (other, 4)):
            worker.process(*["both"] * times)
            worker.process("single")
            worker.upkeep.warmer._trends.share()
        top = one.upkeep.warmer._trends.top(10)
    assert [request for request, _ in top] == [
        process_request("both", KEY, None),
        process_request("single", KEY, None),
    ]
    assert [round(count) for _, count in top] == [7, 2]


def test_the_favourites_of_yesterday_fade_in_bounded_memory(
    store: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fading takes 1 / 60 of a half-life: 100 x 0.5 ** (1 / 60) = 98.85; and keeps the first 3."""
    monkeypatch.setattr(trends, "KEPT", 3)
    requests = [process_request(str(number), KEY, None) for number in range(6)]
    store.client.zadd("ion:cache:popular", {one: 100 - place for place, one in enumerate(requests)})
    with InProcessWorker(store.url) as worker:
        worker.upkeep.warmer._trends.share()
        first = worker.upkeep.warmer._trends.top(10)
        worker.upkeep.warmer._trends.share()  # within the same minute
        assert worker.upkeep.warmer._trends.top(10) == first
    assert [request for request, _ in first] == requests[:3]
    assert first[0][1] == pytest.approx(98.85, abs=0.01)
    assert 0 < store.client.ttl("ion:cache:popular") <= 24 * 3600


def test_strange_values_under_our_keys_do_no_harm(store: Server) -> None:
    store.client.set("ion:cache:popular", "not a sorted set")
    with InProcessWorker(store.url) as worker:
        ask_often(worker, POPULAR[0])
        assert worker.upkeep.warmer._trends.top(10) == []
        assert worker.upkeep.warmer.warm(10).computed == 0
        store.client.delete("ion:cache:popular")
        ask_often(worker, POPULAR[0])
        assert len(worker.upkeep.warmer._trends.top(10)) == 1
        assert worker.bugs == []


def test_a_store_that_takes_no_writes_does_no_harm() -> None:
    """Valkey at its limit refuses them all; what was there is still read."""
    with server(maxmemory="3mb", maxmemory_policy="noeviction") as store:
        with InProcessWorker(store.url, version="old") as old:
            ask_often(old, *POPULAR)
        store.client.config_set("maxmemory", "1mb")
        with InProcessWorker(store.url, version="new") as new:
            warm_at_start(new)
            ask_often(new, *POPULAR)
            assert new.process(POPULAR[0])[0].status == "ok"
            assert new.upkeep.warmer.warm(10).loaded == 0
            assert new.bugs == []
            assert new.answers.cache.up


def content(packed_response: msgspec.Raw) -> str:
    """Return the prompt in a packed answer."""
    return msgspec.msgpack.decode(packed_response, type=Response).content
