"""When a dead process is started again, and when a start is given up.  Values in, values out.

Units: seconds; ``crashes`` counts ends in a row, without a stable period between them.
"""

from dataclasses import dataclass
from enum import Enum

_MAX_DOUBLINGS = 30  # keeps the power small whatever the count


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How patiently a process is restarted.  A running supervisor never gives up; a start does."""

    first_delay_s: float = 0.2
    max_delay_s: float = 10.0
    stable_after_s: float = 30.0  # who ran that long starts again with a clean record
    loud_after: int = 3  # crashes in a row from which the log shows the process's last lines
    start_attempts: int = 3  # a process that dies so often while starting up fails the start


class Verdict(Enum):
    """What to do about a process that is starting for the first time."""

    WAIT = "wait"
    READY = "ready"
    FAILED = "failed"


def crashes_after(policy: RestartPolicy, crashes: int, uptime_s: float) -> int:
    """Return the count after one more end, following *uptime_s* of running."""
    return 1 if uptime_s >= policy.stable_after_s else crashes + 1


def delay_s(policy: RestartPolicy, crashes: int) -> float:
    """Return the pause before the next attempt: doubled by each crash, up to the cap."""
    doublings = min(max(crashes - 1, 0), _MAX_DOUBLINGS)
    return min(policy.max_delay_s, policy.first_delay_s * 2.0**doublings)


def is_loud(policy: RestartPolicy, crashes: int) -> bool:
    """Say whether the log should show what the process said before it died."""
    return crashes >= policy.loud_after


def start_verdict(
    policy: RestartPolicy, *, ready: bool, crashes: int, waited_s: float, timeout_s: float
) -> Verdict:
    """Judge a first start that has taken *waited_s* of the *timeout_s* it may take."""
    if crashes >= policy.start_attempts:
        return Verdict.FAILED
    if ready:
        return Verdict.READY
    return Verdict.FAILED if waited_s >= timeout_s else Verdict.WAIT
