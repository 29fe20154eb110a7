"""Belady's optimum, checked against all there is to try."""

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from infra.simulation.optimum import optimal_hits


@given(st.lists(st.sampled_from([b"a", b"b", b"c", b"d", b"e"]), max_size=12), st.integers(1, 3))
def test_no_way_of_keeping_keys_has_more_hits(keys: list[bytes], max_entries: int) -> None:
    """Against every possible choice after each miss: which one to drop, or not to keep the new one."""

    @cache
    def best(position: int, kept: frozenset[bytes]) -> int:
        if position == len(keys):
            return 0
        key = keys[position]
        if key in kept:
            return 1 + best(position + 1, kept)
        if len(kept) < max_entries:
            return best(position + 1, kept | {key})
        return max(best(position + 1, choice) for choice in (kept, *((kept - {k}) | {key} for k in kept)))

    assert optimal_hits(keys, max_entries) == best(0, frozenset())


def test_a_loop_longer_than_the_cache() -> None:
    """Four keys round and round in a cache of three: two stay, so 2 of 3 new look-ups are hits, about."""
    keys = [b"%d" % (n % 4) for n in range(400)]
    assert optimal_hits(keys, 3) / 400 > 0.66
