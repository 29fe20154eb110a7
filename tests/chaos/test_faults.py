"""The quick part of the fault suite: each promise of it is put to the test with every run of the tests."""

import pytest

from tests.chaos.catalogue import SCENARIOS
from tests.chaos.run import run_one
from tests.chaos.scenario import Scenario

_QUICK = [scenario for scenario in SCENARIOS if scenario.quick]


@pytest.mark.timeout(600)  # a busy machine starts and answers slowly
@pytest.mark.parametrize("scenario", _QUICK, ids=lambda scenario: scenario.id)
def test_what_is_promised_holds(scenario: Scenario) -> None:
    run = run_one(scenario, "ours", full=False)

    assert run.result is not None, run.why
    assert run.result.faults > 0
    assert not run.result.broken, run.result.said


def test_scenarios_have_names_of_their_own() -> None:
    names = [scenario.id for scenario in SCENARIOS]
    assert len(names) == len(set(names))
