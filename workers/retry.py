"""Whether, and when, to try again what failed.

Only what may pass by itself is tried again: a server that is away.  Pauses double up to a longest one, and
each is drawn from the whole of its range, so that those who failed together do not come back together.
No pause reaches beyond a deadline.

Units:   seconds.
Source:  M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
"""

import enum
from dataclasses import dataclass

_SHORTEST_S = 0.05
_TO_ANSWER_S = 0.2  # of what is left before the deadline: kept for the answer itself
_MAX_DOUBLINGS = 30  # keeps the power small whatever the count


class Failure(enum.Enum):
    """What went wrong."""

    UNAVAILABLE = "unavailable"  # a server did not answer
    INVALID = "invalid"  # the caller's value is wrong, and stays so
    BUG = "bug"  # nobody expected it


@dataclass(frozen=True, slots=True)
class Backoff:
    """How patient to be: so many *tries* in all, with pauses from *first_s* up to *longest_s*."""

    tries: int
    first_s: float = 0.5
    longest_s: float = 8.0


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Try again in *wait_s*."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again; *why*, for people."""

    why: str


# A job whose answering needs a server that is away.
JOBS = Backoff(tries=5)
# A batch whose reply store is away: 40 s on average, beyond the default deadline.
REPLIES = Backoff(tries=14)
# A batch whose handling failed with an error that nobody expected: it may have depended on the moment.
INTERNAL = Backoff(tries=2)


def decide(
    failure: Failure, tries: int, left_s: float | None, backoff: Backoff, chance: float
) -> RetryAfter | GiveUp:
    """Return what to do after *failure*, the *tries*-th try of this work, the first being 1.

    *left_s* is the time to its deadline, None without one; *chance* is a random number in [0, 1).
    """
    if failure is Failure.INVALID:
        return GiveUp("it would fail again")
    if tries >= backoff.tries:
        return GiveUp("tried once" if tries == 1 else f"tried {tries} times")
    ceiling = min(backoff.longest_s, backoff.first_s * 2.0 ** min(tries - 1, _MAX_DOUBLINGS))
    if left_s is not None:
        ceiling = min(ceiling, left_s - _TO_ANSWER_S)
        if ceiling < _SHORTEST_S:
            return GiveUp(f"its deadline is near, after {tries} {'try' if tries == 1 else 'tries'}")
    return RetryAfter(max(_SHORTEST_S, chance * ceiling))
