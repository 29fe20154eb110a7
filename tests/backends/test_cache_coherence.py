"""Two processes' caches over one store: what one invalidates, the other does not serve."""

from collections.abc import Sequence
from typing import Any

import pytest

from persona_system.cache.keys import names_of, tag_ids
from persona_system.cache.local import LocalCache
from persona_system.cache.tiers import Item
from tests.backends.conftest import Backend
from tests.support.caching import EXACT, News, get, key, put
from tests.support.wait import wait_until


def test_what_one_stores_the_other_finds_and_keeps(shared: Backend) -> None:
    one, other = shared.make(), shared.make()
    put(one, "a", b"A", "t")
    assert get(other, "a") == b"A"
    found = other.lookup([key("a")])
    assert (found.values, found.local) == ([b"A"], 1 if other.local else 0)


def test_an_invalidation_reaches_the_other_both_ways(shared: Backend) -> None:
    caches = (shared.make(), shared.make())
    for one, other in (caches, caches[::-1]):
        heard = [News(cache) for cache in caches]
        put(one, "a", b"A", "t")
        put(one, "b", b"B")
        assert get(other, "a") == b"A"
        assert one.invalidate("t")
        for news in heard:  # by the one that invalidates, too, or its echo would count in the second round
            news.wait_for(1)
        assert [get(other, name) for name in "ab"] == [None, b"B"]
        assert [get(one, name) for name in "ab"] == [None, b"B"]


def test_clearing_reaches_the_other(shared: Backend) -> None:
    one, other = shared.make(), shared.make()
    put(one, "a", b"A")
    assert get(other, "a") == b"A"
    news = News(other)
    one.clear()
    news.wait_for(1)
    assert get(other, "a") is None


def test_the_store_alone_refuses_what_the_news_did_not_tell_yet(shared: Backend) -> None:
    """Whoever does not know a tag's stamp asks for it, so no news is needed."""
    one = shared.make()
    put(one, "a", b"A", "t")
    one.invalidate("t")
    assert get(shared.make(), "a") is None


def test_late_news_costs_a_look_at_the_store_and_nothing_else(shared: Backend) -> None:
    """The news of an invalidation comes again when a newer answer is there already."""
    one, other = shared.make(), shared.make()
    news = News(other)
    one.invalidate("t")
    news.wait_for(1)
    put(one, "a", b"new", "t")
    assert get(other, "a") == b"new"
    shared.client.publish("ion:cache:news", tag_ids(("t",))[0])
    news.wait_for(2)
    assert get(other, "a") == b"new"


def test_foreign_news_is_harmless(shared: Backend) -> None:
    one = shared.make()
    news = News(one)
    put(one, "a", b"A", "t")
    for foreign in (b"", b"x", bytes(1_000_003)):
        shared.client.publish("ion:cache:news", foreign)
    news.wait_for(3)
    assert (one.up, get(one, "a")) == (True, b"A")


def test_an_invalidation_that_overtakes_a_fill_leaves_nothing_stale(
    two_tier: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was read from the store, then invalidated, then it enters the local tier: it must not."""
    one, other = two_tier.make(), two_tier.make()
    put(one, "a", b"old", "t")
    news = News(other)
    assert other.redis is not None
    store = other.redis._store
    read = store.get_many

    def slowly(names: Sequence[bytes]) -> list[bytes | None]:
        answers = read(names)
        monkeypatch.undo()
        one.invalidate("t")
        news.wait_for(1)
        return answers

    monkeypatch.setattr(store, "get_many", slowly)
    assert get(other, "a") in {None, b"old"}  # the look-up began before
    assert get(other, "a") is None
    assert other.local is not None
    assert other.local.peek(key("a")) is None


def test_news_between_store_and_keeping_is_not_overlooked(
    two_tier: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store was written, then the tag invalidated, then the writer keeps its own copy: it must not."""
    one, other = two_tier.make(), two_tier.make()
    news = News(other)
    tags = tag_ids(("t",))
    ticket = other.lookup([key("a")], tags).ticket
    assert other.redis is not None
    store = other.redis._store
    write = store.set_many

    def slowly(items: Sequence[tuple[bytes, bytes, int]]) -> bool:
        taken = write(items)
        one.invalidate("t")
        news.wait_for(1)
        return taken

    monkeypatch.setattr(store, "set_many", slowly)
    other.store([Item(key("a"), b"old", tags, EXACT)], ticket)
    assert get(other, "a") is None


def test_news_while_an_answer_enters_the_local_tier_finds_it(
    two_tier: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The news comes when the stamps have been looked at, and before the answer is in its place."""
    cache = two_tier.make()
    assert cache.local is not None
    enter = LocalCache.put

    def invalidated_just_before(local: LocalCache, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        cache.invalidate("t")
        return enter(local, *args, **kwargs)

    monkeypatch.setattr(LocalCache, "put", invalidated_just_before)
    put(cache, "a", b"A", "t")
    assert cache.local.peek(key("a")) is None


def test_a_stamp_that_was_read_before_the_news_is_not_learnt_after_it(
    shared: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = shared.make(), shared.make()
    put(one, "a", b"old", "t")
    assert other.redis is not None
    news, store = News(other), other.redis._store
    read = store.get_many

    def slowly(names: Sequence[bytes]) -> list[bytes | None]:
        answers = read(names)
        monkeypatch.undo()
        one.invalidate("t")
        news.wait_for(1)
        return answers

    monkeypatch.setattr(store, "get_many", slowly)
    ticket = other.lookup([key("b")], tag_ids(("t",))).ticket
    other.store([Item(key("b"), b"old", tag_ids(("t",)), EXACT)], ticket)
    assert [get(other, name) for name in "ab"] == [None, None]


def test_a_broken_link_empties_the_local_tier_before_it_serves_again(two_tier: Backend) -> None:
    """The news of the invalidation is published while nobody listens."""
    one = two_tier.make()
    put(one, "a", b"A", "t")
    assert get(one, "a") == b"A"
    news = News(one)
    two_tier.client.client_kill_filter(_type="pubsub")
    two_tier.client.delete(*names_of(b"ion:cache:t:", list(tag_ids(("t",)))))
    news.wait_for(2)  # forgotten when the link broke, and once more before it was up
    wait_until(lambda: one.up)
    assert news.heard[:2] == [None, None]
    assert one.local is not None
    assert len(one.local) == 0
    assert get(one, "a") is None
    assert one.counters.counts()["store"]["outages"] == 1


def test_an_invalidation_while_the_link_comes_up_is_not_forgotten(
    shared: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made when what waited has been done already, but before the link is up."""
    one, other = shared.make(), shared.make()
    put(one, "a", b"A", "t")
    assert other.redis is not None
    catch_up = other.redis._catch_up
    answers: list[bool] = []

    def then_invalidate() -> None:
        catch_up()
        if not other.redis._link.up and not answers:  # type: ignore[union-attr]
            answers.append(other.invalidate("t"))

    monkeypatch.setattr(other.redis, "_catch_up", then_invalidate)
    served: list[tuple[bool, bytes | None]] = []
    other.redis.on_up.append(lambda _: served.append((other.up, get(other, "a"))))
    shared.client.client_kill_filter(_type="pubsub")
    wait_until(lambda: answers == [False] and other.up and one.up)
    assert served[0] == (False, None)  # the link was up, but the invalidation had not been made
    assert get(other, "a") is None
    assert get(one, "a") is None


def test_a_refresh_in_one_process_serves_the_others(two_tier: Backend) -> None:
    """Both hold the answer when it falls due; the second finds the refreshed one, and computes nothing."""
    one, other = two_tier.make(), two_tier.make()
    put(one, "a", b"old")
    assert get(other, "a") == b"old"
    two_tier.time.pass_by(100)
    found = one.lookup([key("a")])
    assert found.refresh == [0]
    one.store([Item(key("a"), b"new", (), EXACT)], found.ticket)
    two_tier.client.delete(*two_tier.client.keys("ion:cache:r:*"))  # the election was long ago

    found = other.lookup([key("a")])

    assert (found.values, found.refresh) == ([b"new"], [])
    assert other.get_here(key("a")) == b"new"


def test_counts_of_all_processes_add_up(shared: Backend) -> None:
    caches = [shared.make() for _ in range(3)]
    for n, cache in enumerate(caches):
        cache.counters.add("process", hits=n)
    assert caches[0].redis is not None
    for cache in caches:
        assert cache.redis is not None
        cache.redis.stats()
    assert caches[0].redis.stats()["process"] == {"hits": 3}


def test_a_stamp_that_was_made_anew_is_found_out(shared: Backend) -> None:
    """It expired, nothing was invalidated, and the other process gave the tag another one."""
    one, other = shared.make(), shared.make()
    put(one, "a", b"A", "t")
    shared.client.delete(*names_of(b"ion:cache:t:", list(tag_ids(("t",)))))
    put(other, "b", b"B", "t")

    found = one.lookup([key("b"), key("c")], tag_ids(("t",)))
    one.store([Item(key("c"), b"C", tag_ids(("t",)), EXACT)], found.ticket)

    assert found.values == [b"B", None]
    assert get(other, "c") == b"C"


def test_stamps_in_use_are_prolonged(shared: Backend) -> None:
    """Else every answer of the store would be void once a day, on the hour that its stamps were made."""
    one = shared.make()
    put(one, "a", b"A", "t")
    names = [bytes(name) for name in shared.client.scan_iter("ion:cache:t:*")]
    for name in names:
        shared.client.pexpire(name, 60_000)
    shared.time.pass_by(1)  # the first tick is the first of the hour
    wait_until(lambda: one.redis is not None and one.redis._stamps._prolonged_at is not None)
    shared.time.pass_by(3_601)
    wait_until(lambda: all(shared.client.pttl(name) > 60_000 for name in names))
