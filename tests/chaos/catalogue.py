"""Every scenario of the suite, in the table's order."""

from tests.chaos import kills
from tests.chaos.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (*kills.SCENARIOS,)
