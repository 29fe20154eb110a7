"""Every scenario of the suite, in the table's order."""

from tests.chaos import (
    beats,
    bulk_runs,
    client_view,
    duplicates,
    flood,
    hostile,
    kills,
    limits,
    memory,
    network,
    poison,
    servers,
    storage,
)
from tests.chaos.scenario import Scenario

SCENARIOS: tuple[Scenario, ...] = (
    *kills.SCENARIOS,
    *servers.SCENARIOS,
    *client_view.SCENARIOS,
    *network.SCENARIOS,
    *poison.SCENARIOS,
    *memory.SCENARIOS,
    *duplicates.SCENARIOS,
    *bulk_runs.SCENARIOS,
    *beats.SCENARIOS,
    *hostile.SCENARIOS,
    *flood.SCENARIOS,
    *limits.SCENARIOS,
    *storage.SCENARIOS,
)
