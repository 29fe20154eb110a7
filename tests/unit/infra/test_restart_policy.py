"""When a dead process is started again, and when a start is given up."""

import pytest

from infra.local.policy import RestartPolicy, Verdict, crashes_after, delay_s, is_loud, start_verdict

RULES = RestartPolicy(first_delay_s=0.5, max_delay_s=4.0, stable_after_s=30.0, loud_after=3, start_attempts=3)


@pytest.mark.parametrize(
    ("crashes", "pause_s"),
    [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 4.0), (1_000_000, 4.0), (0, 0.5)],
)
def test_the_pause_doubles_up_to_the_cap(crashes: int, pause_s: float) -> None:
    assert delay_s(RULES, crashes) == pause_s


@pytest.mark.parametrize(
    ("crashes", "uptime_s", "counted"),
    [(0, 0.0, 1), (4, 29.9, 5), (4, 30.0, 1), (0, 3600.0, 1)],
)
def test_a_stable_period_clears_the_record(crashes: int, uptime_s: float, counted: int) -> None:
    assert crashes_after(RULES, crashes, uptime_s) == counted


@pytest.mark.parametrize(("crashes", "loud"), [(1, False), (2, False), (3, True), (99, True)])
def test_crashing_in_a_row_is_said_loudly(crashes: int, loud: bool) -> None:  # noqa: FBT001 - a table
    assert is_loud(RULES, crashes) is loud


@pytest.mark.parametrize(
    ("ready", "crashes", "waited_s", "verdict"),
    [
        (False, 0, 0.0, Verdict.WAIT),
        (False, 2, 9.9, Verdict.WAIT),
        (False, 0, 10.0, Verdict.FAILED),
        (False, 3, 0.1, Verdict.FAILED),
        (True, 0, 0.1, Verdict.READY),
        (True, 2, 9.9, Verdict.READY),
        (True, 0, 11.0, Verdict.READY),  # late is better than never
        (True, 3, 0.1, Verdict.FAILED),  # ready between two crashes is not up
    ],
)
def test_a_start_waits_succeeds_or_fails(
    ready: bool,  # noqa: FBT001 - a table
    crashes: int,
    waited_s: float,
    verdict: Verdict,
) -> None:
    judged = start_verdict(RULES, ready=ready, crashes=crashes, waited_s=waited_s, timeout_s=10.0)

    assert judged is verdict
