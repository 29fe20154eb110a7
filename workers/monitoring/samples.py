"""What was measured of one series in one span of time, and how several such become one.

Units:  those of the metric; moments in seconds since the Unix epoch.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from workers.monitoring.sketch import Sketch


class Series(NamedTuple):
    """What is measured, where, and of what: *labels* are values in the order of the metric's labels."""

    region: str
    metric: str
    labels: tuple[str, ...] = ()


@dataclass(slots=True, eq=True)
class Sample:
    """Values of one series: how many, their sum, the lowest, the highest, and when the latest came.

    Of a count, *total* is by how much it rose.  *sketch* is there for distributions only.
    """

    count: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    at_s: float = 0.0
    sketch: Sketch | None = None

    def merge(self, other: "Sample") -> None:
        """Add what *other* holds, from another process, region or time."""
        self.count += other.count
        self.total += other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.at_s = max(self.at_s, other.at_s)
        if other.sketch is not None:
            if self.sketch is None:
                self.sketch = Sketch()
            self.sketch.merge(other.sketch)

    @property
    def average(self) -> float | None:
        """The mean of the values; None without any."""
        return self.total / self.count if self.count else None
