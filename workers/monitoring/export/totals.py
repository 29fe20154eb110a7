"""What was measured since the beginning: what counters and histograms for Prometheus are made of.

Units:   those of the metrics; seconds since the Unix epoch.
Errors:  what the history raises (StoreError, for the one in the database).
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from workers.monitoring.samples import Sample, Series


class Total(NamedTuple):
    """All that was ever measured of one series; *sample.at_s* is when the latest of it was."""

    series: Series
    sample: Sample


class Totals(Protocol):
    """Adds up for good: no number of a series ever falls, whatever is deleted of its minutes and hours."""

    def totals(self) -> Iterable[Total]:
        """Return every series of every metric, in any order."""
