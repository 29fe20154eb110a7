"""No count is lost, and none counts twice."""

import threading

from persona_system.cache.counters import Counters


def test_counts_add_up_by_scope_and_name() -> None:
    counters = Counters()
    counters.add("process", hits=2, misses=1)
    counters.add("process", hits=1, due=0)
    counters.add("bulk", hits=5)
    assert counters.counts() == {"process": {"hits": 3, "misses": 1}, "bulk": {"hits": 5}}


def test_a_drain_takes_what_is_new() -> None:
    counters = Counters()
    counters.add("a", hits=1)
    assert dict(counters.drain()) == {("a", "hits"): 1}
    assert not counters.drain()
    counters.add("a", hits=2)
    assert dict(counters.drain()) == {("a", "hits"): 2}
    assert counters.counts() == {"a": {"hits": 3}}


def test_what_could_not_be_handed_on_is_there_again() -> None:
    counters = Counters()
    counters.add("a", hits=1)
    taken = counters.drain()
    counters.add("a", hits=10, misses=1)
    counters.give_back(taken)
    assert dict(counters.drain()) == {("a", "hits"): 11, ("a", "misses"): 1}
    assert counters.counts() == {"a": {"hits": 11, "misses": 1}}


def test_threads_that_count_and_drain_lose_nothing() -> None:
    counters, taken = Counters(), list[int]()

    def count() -> None:
        for _ in range(2_000):
            counters.add("a", hits=1)
            if not len(taken) % 3:
                taken.append(sum(counters.drain().values()))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) + sum(counters.drain().values()) == 8_000
    assert counters.counts() == {"a": {"hits": 8_000}}


def test_a_fork_counts_from_nothing() -> None:
    counters = Counters()
    counters.add("a", hits=1)
    counters.start_afresh()
    assert (counters.counts(), dict(counters.drain())) == ({}, {})
