"""The arithmetic of a sliding window counter: what is left of a limit, and when more will be.

Two windows are counted: the present one, and the one before it, which weighs less the more of the present one
has passed.  What counts is

    before x (what is left of the present window / the period) + present

rounded down.  It takes what was let in during the window before for evenly spread over it; so in the worst
case, all of it at the end of one window and again in the next, a period sees almost twice the limit.

Units: seconds outside; milliseconds inside, as on the server, so that both round alike.
Source: the scripts of the library ``limits`` (resources/redis/lua_scripts/acquire_sliding_window.lua).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from limits import RateLimitItem

_TICK_S = 0.002  # what is over after a wait has to be over on a clock of milliseconds


@dataclass(frozen=True, slots=True)
class Window:
    """What was let in *before* and in the *present* window, of which *left_ms* are left."""

    before: int
    present: int
    left_ms: int

    @classmethod
    def of(cls, found: tuple[int, float, int, float], rate: RateLimitItem) -> Self:
        """Return the window that a storage of the library has *found*: counts, each with its time to live.

        A count lives for two periods; one that is not there begins with the next hit.
        """
        before, before_ttl_s, present, present_ttl_s = found
        period_s = rate.get_expiry()
        left_s = before_ttl_s if before else present_ttl_s - period_s if present_ttl_s else period_s
        return cls(before, present, max(0, math.ceil(round(left_s * 1000, 3))))

    def room(self, rate: RateLimitItem) -> int:
        """Return how many more *rate* lets in now; below 0 for more than it would have."""
        return rate.amount - self.before * self.left_ms // (rate.get_expiry() * 1000) - self.present

    def wait_s(self, rate: RateLimitItem, cost: int) -> float:
        """Return after how long *rate* lets *cost* in, if nobody else comes; *cost* is within *rate*."""
        period_ms, spare = rate.get_expiry() * 1000, rate.amount - cost
        wait_ms = 0.0
        if self.present > spare:  # until enough of it has faded, once it is the window before
            wait_ms = self.left_ms + period_ms * (1 - (spare + 1) / self.present)
        elif self.before:  # until enough of the window before has faded
            wait_ms = max(0.0, self.left_ms - period_ms * (spare - self.present + 1) / self.before)
        return wait_ms / 1000 + _TICK_S


def shares(window: Window, rate: RateLimitItem, costs: Sequence[int]) -> list[float]:
    """Return for each of *costs* 0 if it fits into what is left, else how long to wait, in seconds.

    They are let in as if they came one by one: what does not fit leaves its place to what comes after it.
    """
    fits = []
    for cost in costs:
        fits.append(cost <= window.room(rate))
        if fits[-1]:
            window = replace(window, present=window.present + cost)
    return [0.0 if fit else window.wait_s(rate, cost) for fit, cost in zip(fits, costs, strict=True)]
