"""Every scenario of the suite, in the table's order."""

from tests.chaos import (
    beats,
    bulk_runs,
    client_view,
    duplicates,
    failovers,
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

_GROUPS = (
    kills,
    servers,
    client_view,
    failovers,
    network,
    poison,
    memory,
    duplicates,
    bulk_runs,
    beats,
    hostile,
    flood,
    limits,
    storage,
)


def _number(scenario: Scenario) -> int:
    return int("".join(filter(str.isdigit, scenario.id)))


SCENARIOS: tuple[Scenario, ...] = tuple(
    sorted((scenario for group in _GROUPS for scenario in group.SCENARIOS), key=_number)
)
