"""Figures that the demo and the benchmark both tell."""

from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that *percent* of *values* (at least one) do not exceed, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
