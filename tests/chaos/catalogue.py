"""Every scenario of the suite, in the table's order."""

from tests.chaos import duplicates, kills, memory, network, poison, servers
from tests.chaos.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *kills.SCENARIOS,
    *servers.SCENARIOS,
    *network.SCENARIOS,
    *poison.SCENARIOS,
    *memory.SCENARIOS,
    *duplicates.SCENARIOS,
)
