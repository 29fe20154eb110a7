"""How a worker uses the cache: what it asks, what it computes, and what counts as slow."""

from collections.abc import Callable

from persona_system.cache import LocalCache, TwoTierCache
from persona_system.cache.answers import PROCESS, process_request
from persona_system.cache.counters import Counters
from persona_system.cache.popularity import Popularity
from workers.cache.answers import CachedAnswers, Plan
from workers.contract.payloads import Job


class Watch:
    """A clock that goes on when told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def answers_with(watch: Watch) -> tuple[CachedAnswers, Counters]:
    counters = Counters()
    cache = TwoTierCache(LocalCache())
    return CachedAnswers(cache, counters, Popularity(), "v1", ("Lua",), watch), counters


def answer(answers: CachedAnswers, jobs: list[Job], make: Callable[[], tuple[bytes, str]]) -> Plan:
    """Answer *jobs* as one batch."""
    plan = answers.begin(PROCESS, process_request, jobs, ask_store=True)
    for place in range(len(jobs)):
        if plan.ready(place) is None:
            answers.compute(plan, place, make)
    answers.finish(plan)
    return plan


def test_a_slow_computation_is_noticed_and_done_once_from_then_on() -> None:
    watch = Watch()
    answers, _ = answers_with(watch)

    def slow() -> tuple[bytes, str]:
        watch.now_s += 0.003
        return b"answer", "Lua"

    assert not answer(answers, [Job(id="1", text="first")], slow).once
    assert answer(answers, [Job(id="2", text="second")], slow).once


def test_jobs_that_go_around_the_cache_do_not_make_it_look_slow() -> None:
    """16 jobs of 1 ms, one of which the cache is asked about: a computation takes 1 ms, not 16."""
    watch = Watch()
    answers, counters = answers_with(watch)

    def quick() -> tuple[bytes, str]:
        watch.now_s += 0.001
        return b"answer", "Lua"

    jobs = [Job(id=str(n), text=f"text {n}", use_cache=n == 0) for n in range(16)]
    answer(answers, jobs, quick)

    assert not answer(answers, [Job(id="next", text="another")], quick).once
    assert counters.counts()["process"] == {"computed": 2, "bypassed": 15}


def test_what_is_asked_twice_in_a_batch_is_computed_once() -> None:
    answers, counters = answers_with(Watch())
    made: list[int] = []

    def make() -> tuple[bytes, str]:
        made.append(1)
        return b"answer", "Lua"

    answer(answers, [Job(id=str(n), text="the same") for n in range(5)], make)

    assert len(made) == 1
    assert counters.counts()["process"] == {"computed": 1, "worker_local": 4}
