"""What the families of traces promise."""

from collections import Counter

import pytest

from infra.simulation.traces import FAMILIES, TEN, trace


@pytest.mark.parametrize("family", TEN)
def test_a_trace_is_the_same_again_and_another_with_another_seed(family: str) -> None:
    once = trace(family, 3_000, 1)
    assert once == trace(family, 3_000, 1)
    assert once != trace(family, 3_000, 2)
    assert [r.time_s for r in once] == sorted(r.time_s for r in once)


def test_there_are_ten_families() -> None:
    assert len(TEN) == 10


def test_bulk_comes_in_runs_and_has_its_share() -> None:
    """In ``scan`` 37 % are bulk, of which one in twenty was in the run before."""
    requests = trace("scan", 60_000, 1)
    bulk = [r.key for r in requests if r.endpoint == "bulk"]
    assert len(bulk) / len(requests) == pytest.approx(FAMILIES["scan"].bulk, abs=0.03)
    assert len(set(bulk)) / len(bulk) > 0.93


def test_a_follow_up_comes_from_the_same_person() -> None:
    """In ``follow``, what follows a text that has a follow-up is nearly always the same."""
    last: dict[int, bytes] = {}
    pairs: Counter[tuple[bytes, bytes]] = Counter()
    for request in trace("follow", 40_000, 1):
        if (before := last.get(request.user)) is not None:
            pairs[before, request.key] += 1
        last[request.user] = request.key
    (first, _), most = pairs.most_common(1)[0]
    others = sum(count for (before, _), count in pairs.items() if before == first)
    assert most / others > 0.7


def test_a_loop_comes_round_after_as_many_others() -> None:
    loop = [r.key for r in trace("loop", 20_000, 1) if r.endpoint == "recommend"]
    keys = Counter(loop)
    turns = FAMILIES["loop"].loop_keys
    assert sum(count >= 2 for count in keys.values()) >= turns
