"""How the product's local tier ranks among policies, on traces of a size for tests."""

import pytest

from infra.simulation.optimum import optimal_hits
from infra.simulation.policies import Lru, Product, S3Fifo, TinyLfu, hits
from infra.simulation.traces import trace

SIZE, REQUESTS = 300, 30_000


@pytest.mark.parametrize("family", ["base", "drift", "wide", "flat", "peruser"])
def test_the_product_is_ahead_of_s3_fifo_and_that_of_lru(family: str) -> None:
    """All families stand in docs/cache-simulation.md."""
    keys = [request.key for request in trace(family, REQUESTS, 1)]
    product = hits(Product(SIZE), keys)
    s3_fifo = max(hits(S3Fifo(SIZE), keys), hits(S3Fifo(SIZE, ghosts=2, uses=2), keys))

    assert product >= s3_fifo
    assert product > hits(Lru(SIZE), keys)
    assert product <= optimal_hits(keys, SIZE)


def test_a_loop_longer_than_the_cache_is_kept_in_part() -> None:
    """400 keys in a circle: LRU drops each one just before it comes round."""
    keys = [b"%d" % (n % 400) for n in range(REQUESTS)]
    assert hits(Lru(SIZE), keys) == 0
    assert hits(Product(SIZE), keys) > 0.6 * optimal_hits(keys, SIZE)


@pytest.mark.parametrize("policy", [Product(50), Lru(50), S3Fifo(50), TinyLfu(50)])
def test_keys_that_fit_are_looked_up_in_vain_once(policy: Product | Lru | S3Fifo | TinyLfu) -> None:
    keys = [b"%d" % (n % 40) for n in range(400)]
    assert hits(policy, keys) == 360
