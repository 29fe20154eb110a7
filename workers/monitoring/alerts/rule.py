"""One alert rule, and the ways in which it can look at its figure.

Units:   thresholds in the unit of the rule's collection; seconds where a name ends in ``_s``.
"""

from collections.abc import Mapping

import msgspec

from workers.monitoring.alerts.alert import LEVELS, Comparison, Level
from workers.monitoring.figures import COLLECTIONS, Collection, How


class Threshold(msgspec.Struct, frozen=True, tag_field="kind", tag="threshold"):
    """The figure is beyond the rule's threshold."""


class Anomaly(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="anomaly", forbid_unknown_fields=True
):
    """It is beyond the threshold, and *scores* robust deviations from what it was in *baseline_s* before."""

    baseline_s: int = 3_600
    scores: float = 6.0


class Trend(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="trend", forbid_unknown_fields=True
):
    """It is beyond the threshold, and has moved that way by *per_minute* each minute for *over_s*."""

    per_minute: float
    over_s: int = 900


class Correlation(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="correlation", forbid_unknown_fields=True
):
    """It is beyond the threshold, and moved along with collection *other* for *over_s*.

    *least*: how closely, from 0, not at all, to 1, in step.
    """

    other: str = msgspec.field(name="with")
    over_s: int = 1_800
    least: float = 0.8


Detection = Threshold | Anomaly | Trend | Correlation


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to alert: *collection*, made *how*, is *comparison* *threshold*.

    *by*: the labels along which it is judged apart; *where*: only groups with these labels.
    *least*: measurements in the window below which there is nothing to judge; *least_cases*: of what a share
    counts.  *absent_s*: what was measured in the last six hours, and is not for so long, is an alert, too; 0:
    it is not.  *related*: collections to look at for what moved along.  *extra*: it is not one of the nine.
    """

    name: str
    level: Level
    collection: str
    comparison: Comparison
    threshold: float
    how: How | None = None
    by: tuple[str, ...] = ()
    where: dict[str, str] = {}
    window_s: int = 300
    every_s: int = 60
    occurrences: int = 3
    cooldown_s: int = 600
    least: float = 10
    least_cases: float = 0
    absent_s: int = 0
    detection: Detection = Threshold()
    channels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    about: str = ""
    related: tuple[str, ...] = ()
    enabled: bool = True
    extra: bool = False

    @property
    def judges(self) -> Collection:
        """The collection itself."""
        return COLLECTIONS[self.collection]

    @property
    def made(self) -> How:
        """How the figure is made: the rule's own way, or its collection's."""
        return self.judges.how if self.how is None else self.how

    @property
    def unit(self) -> str:
        """The unit of the figure and of the threshold."""
        return self.judges.unit


Rules = Mapping[str, Rule]
"""Rules by name: those that are switched on, in the order of the files."""


def inhibits(graver: Rule, milder: Rule) -> bool:
    """Whether *graver*, while it holds, says all that *milder* would say of the same group."""
    return (
        LEVELS.index(graver.level) < LEVELS.index(milder.level)
        and (graver.collection, graver.made, graver.comparison, graver.where, graver.by)
        == (milder.collection, milder.made, milder.comparison, milder.where, milder.by)
        and isinstance(graver.detection, Threshold)
    )
