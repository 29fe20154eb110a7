"""Run the simulation: one cache over ten families and three sizes, then a fleet, then single scenes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from infra.simulation.fleet import legacy, product
from infra.simulation.fleet import run as run_fleet
from infra.simulation.optimum import optimal_hits
from infra.simulation.policies import POLICIES, hits
from infra.simulation.scenes import prefetching, restart, scan_cost
from infra.simulation.traces import TEN, Request, trace

SIZE: Final = 1_500  # entries of a local tier
WORKERS: Final = (4, 8)
VOIDED_EVERY_S: Final = (30.0, 5.0)  # one tag in fifty


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is simulated."""

    seed: int
    requests: int  # of each trace over one cache
    fleet_requests: int  # of each trace over a fleet
    sizes: Sequence[int]

    @property
    def total_steps(self) -> int:
        """How often progress is told."""
        return len(TEN) * len(self.sizes) + 2 * len(WORKERS) + 2 * len(VOIDED_EVERY_S) + 6


def full(seed: int) -> Effort:
    """Return what docs/cache-simulation.md shows; about two minutes."""
    return Effort(seed, requests=200_000, fleet_requests=600_000, sizes=(500, SIZE, 5_000))


def quick(seed: int) -> Effort:
    """Return a smaller one, within 20 s; its caches are less often full, so its rates differ."""
    return Effort(seed, requests=40_000, fleet_requests=60_000, sizes=(SIZE,))


Progress = Callable[[], None]


def run_simulation(effort: Effort, progress: Progress) -> dict[str, Any]:
    """Return the figures, in the shape that ``ion simulate cache --json`` prints; pure, given the seed.

    Every rate is a share of the look-ups that it names: those of the trace, of an endpoint, or of a worker.
    """
    return {
        "seed": effort.seed,
        "requests": effort.requests,
        "fleet_requests": effort.fleet_requests,
        "size": SIZE,
        "one_cache": _one_cache(effort, progress),
        "fleet": _fleet(effort, progress),
        "scenes": _scenes(effort, progress),
    }


def _one_cache(effort: Effort, progress: Progress) -> dict[str, Any]:
    """Return by size and family the hit rates of the optimum and the policies, with means of their shares."""
    traces = {family: [r.key for r in trace(family, effort.requests, effort.seed)] for family in TEN}
    sizes: dict[str, Any] = {}
    for size in effort.sizes:
        families: dict[str, Any] = {}
        for family, keys in traces.items():
            optimum = optimal_hits(keys, size)
            rates = {name: hits(make(size), keys) / len(keys) for name, make in POLICIES.items()}
            families[family] = {
                "optimum": round(optimum / len(keys), 4),
                "rates": {name: round(rate, 4) for name, rate in rates.items()},
                "of_optimum": {name: round(rate * len(keys) / optimum, 4) for name, rate in rates.items()},
            }
            progress()
        means = {
            name: round(sum(row["of_optimum"][name] for row in families.values()) / len(families), 4)
            for name in POLICIES
        }
        sizes[str(size)] = {"families": families, "mean_of_optimum": means}
    return sizes


def _fleet(effort: Effort, progress: Progress) -> dict[str, Any]:
    """Return the tiers' hit rates on ``base``, and how many stale answers invalidations leave."""
    requests = trace("base", effort.fleet_requests, effort.seed)
    designs = {"legacy": legacy(SIZE), "product": product(SIZE)}
    rates: dict[str, Any] = {}
    stale: dict[str, Any] = {}
    for name, design in designs.items():
        rates[name] = {}
        for workers in WORKERS:
            rates[name][str(workers)] = run_fleet(design, requests, workers, effort.seed).figures()
            progress()
        stale[name] = {}
        for every_s in VOIDED_EVERY_S:
            tally = run_fleet(design, requests, WORKERS[0], effort.seed, every_s)
            stale[name][f"{every_s:g}"] = {
                "stale": tally.stale,
                "share": round(tally.stale / len(requests), 5),
                "local": tally.figures()["local"],
                "combined": tally.figures()["combined"],
            }
            progress()
    return {"rates": rates, "stale_by_seconds_between_invalidations": stale}


def _scenes(effort: Effort, progress: Progress) -> dict[str, Any]:
    """Return what a scan costs, how a restarted worker begins, and what prefetching brings."""
    number, workers, seed = min(effort.fleet_requests, 300_000), WORKERS[0], effort.seed

    def told(figures: dict[str, Any]) -> dict[str, Any]:
        progress()
        return figures

    def requests(family: str) -> list[Request]:
        return trace(family, number, seed)

    quiet = requests("quiet")
    return {
        "scan": {
            name: told(scan_cost(design, quiet, workers, seed))
            for name, design in (("legacy", legacy(SIZE)), ("product", product(SIZE)))
        },
        "restart": told(restart(product(SIZE), requests("base"), workers, seed)),
        "prefetch": {
            family: told(prefetching(product(SIZE), requests(family), workers, seed))
            for family in ("follow", "base", "wide")
        },
    }
