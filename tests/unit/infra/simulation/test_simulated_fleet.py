"""A small fleet: what tiers, lifetimes and pushed invalidations bring."""

from datetime import timedelta

from infra.simulation.fleet import Design, Fleet, legacy, product, run
from infra.simulation.run import Effort, run_simulation
from infra.simulation.scenes import prefetching, restart, scan_cost
from infra.simulation.traces import Request, trace
from persona_system.cache.lifetime import Lifetime
from persona_system.cache.local import LocalCache

BASE = [r._replace(time_s=10 * r.time_s) for r in trace("base", 20_000, 1)]  # 22 minutes


def ask(fleet: Fleet, time_s: float, key: bytes = b"k", worker: int = 0) -> bool:
    return fleet.ask(Request(time_s, key, "process", 1), worker)


def test_an_answer_is_computed_once_and_shared() -> None:
    fleet = Fleet(product(), 2, 1)
    assert [ask(fleet, t, worker=worker) for t, worker in ((0, 0), (1, 0), (2, 1), (3, 1))] == [0, 1, 0, 1]
    assert (fleet.tally.computed, fleet.tally.shared.total(), fleet.tally.local.total()) == (1, 1, 2)


def test_one_caller_refreshes_while_all_are_served() -> None:
    """Due at 300 s: the first one computes it anew, the other worker takes that from the store."""
    lifetime = Lifetime(timedelta(seconds=300), timedelta(seconds=1_500), early=0.0, jitter=0.0)
    fleet = Fleet(Design(lambda clock: LocalCache(clock=clock), lifetime), 2, 1)
    for worker in (0, 1):
        ask(fleet, 0, worker=worker)
    assert [ask(fleet, 310, worker=worker) for worker in (0, 1)] == [True, True]
    assert (fleet.tally.computed, fleet.tally.refreshed) == (1, 1)

    assert not ask(fleet, 310 + 1_801, worker=0)  # beyond the grace nothing is served
    assert fleet.tally.computed == 2


def test_nothing_stale_is_served_where_invalidations_are_pushed() -> None:
    assert run(product(), BASE, 4, 1, invalidate_every_s=2.0).stale == 0
    assert run(legacy(), BASE, 4, 1, invalidate_every_s=2.0).stale > 0


def test_the_product_has_more_hits_than_the_legacy_design_in_each_tier() -> None:
    old, new = (run(design, BASE, 4, 1).figures() for design in (legacy(), product()))
    assert new["local"] > old["local"]
    assert new["combined"] > old["combined"]
    requests = sum(part["requests"] for part in new["endpoints"].values())
    assert requests == new["requests"] == len(BASE)


def test_a_warmed_worker_begins_where_a_cold_one_does_not() -> None:
    figures = restart(product(), BASE, 4, 1)
    assert figures["cold"] < 0.7 * figures["steady"]
    assert figures["warm"] > 0.8 * figures["steady"]


def test_a_scan_costs_others_little() -> None:
    figures = scan_cost(product(200), trace("quiet", 20_000, 1), 2, 1)
    assert figures["cost"] < 0.05
    assert figures["scanned"] == 3_333


def test_prefetching_is_right_where_something_follows_and_idle_elsewhere() -> None:
    follow = prefetching(product(), trace("follow", 40_000, 1), 2, 1)
    assert follow["prefetched"] > 100
    assert follow["precision"] > 0.9
    assert abs(prefetching(product(), BASE, 2, 1)["extra_work"]) <= 0.01


def test_the_figures_repeat_themselves() -> None:
    steps: list[None] = []
    effort = Effort(seed=3, requests=2_000, fleet_requests=4_000, sizes=(200,))
    figures = run_simulation(effort, lambda: steps.append(None))
    assert len(steps) == effort.total_steps
    assert figures == run_simulation(effort, lambda: None)
