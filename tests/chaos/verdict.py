"""One scenario on one system: what came of it."""

from dataclasses import dataclass

from tests.chaos.scenario import Result, Scenario, SystemName


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario on one system.  *result* None: it could not run here, and *why* says so."""

    scenario: Scenario
    system: SystemName
    result: Result | None
    why: str
    took_s: float

    @property
    def failed(self) -> bool:
        """Whether a promise of ours did not hold; what is not ours is only measured."""
        return self.system != "stock" and (self.result is None or bool(self.result.broken))
