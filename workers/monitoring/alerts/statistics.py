"""Robust statistics of short series: what is usual, how a figure moves, and whether two move together.

Gaps (None) are left out.  Everything is pure.

Units:   scores and correlations have none; a slope is in the unit of the values for each step.
Errors:  none; None says that there is too little to tell.
Source:  P. Rousseeuw, C. Croux, "Alternatives to the Median Absolute Deviation" (1993), for 1.4826;
         P. K. Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau" (1968), for the slope.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import median

LEAST = 8  # values, or pairs, below which nothing can be told

_MAD = 1.4826  # makes the median absolute deviation of a normal distribution its standard deviation
_LEAST_SPREAD = 0.01  # of the median: what hardly varies must not be unusual by a hair

Values = Sequence[float | None]


def present(values: Iterable[float | None]) -> list[float]:
    """Return the values without the gaps."""
    return [value for value in values if value is not None and math.isfinite(value)]


def robust_score(value: float, usual: Values) -> float | None:
    """Return how many robust standard deviations *value* is above (or, negative, below) what was *usual*."""
    known = present(usual)
    if len(known) < LEAST:
        return None
    middle = median(known)
    spread = _MAD * median(abs(one - middle) for one in known)
    return (value - middle) / max(spread, _LEAST_SPREAD * abs(middle), 1e-9)


def slope(values: Values) -> float | None:
    """Return by how much the values typically rise in a step: the median slope of all pairs."""
    known = [
        (place, value) for place, value in enumerate(values) if value is not None and math.isfinite(value)
    ]
    if len(known) < LEAST // 2:
        return None
    return median(
        (later - earlier) / (at - before)
        for number, (before, earlier) in enumerate(known)
        for at, later in known[number + 1 :]
    )


def correlation(ones: Values, others: Values) -> float | None:
    """Return how closely two series move together: 1 in step, 0 not at all, -1 against each other."""
    pairs = [
        (one, other)
        for one, other in zip(ones, others, strict=False)
        if one is not None and other is not None and math.isfinite(one) and math.isfinite(other)
    ]
    if len(pairs) < LEAST:
        return None
    mean_one = math.fsum(one for one, _ in pairs) / len(pairs)
    mean_other = math.fsum(other for _, other in pairs) / len(pairs)
    spread_one = math.fsum((one - mean_one) ** 2 for one, _ in pairs)
    spread_other = math.fsum((other - mean_other) ** 2 for _, other in pairs)
    if spread_one <= 1e-18 or spread_other <= 1e-18:
        return None  # what stands still moves with nothing
    together = math.fsum((one - mean_one) * (other - mean_other) for one, other in pairs)
    return max(-1.0, min(1.0, together / math.sqrt(spread_one) / math.sqrt(spread_other)))
