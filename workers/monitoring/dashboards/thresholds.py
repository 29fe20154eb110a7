"""Where a figure becomes bad: what the alert rules say, so that a dashboard and an alert never disagree."""

from collections.abc import Iterable, Mapping, Sequence

from workers.monitoring.alert import Level
from workers.monitoring.dashboards.model import Limit, Tone
from workers.monitoring.dashboards.parts import Figure
from workers.monitoring.rules import Rule, Threshold

GRAVITY: tuple[Tone, ...] = ("unknown", "plain", "medium", "high", "critical")  # the worst last
TONES: Mapping[Level, Tone] = {"critical": "critical", "high": "high", "medium": "medium", "low": "medium"}


class Limits:
    """The limits that *rules* set.

    Those that judge a part of a collection only, or otherwise than by a limit, set none.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules = tuple(
            rule for rule in rules if isinstance(rule.detection, Threshold) and not rule.where
        )

    def of(self, figure: Figure) -> tuple[Limit, ...]:
        """Return the limits of *figure*, the worst first; none of a sum, which grows with its window."""
        if figure.way == "sum":
            return ()
        found = [
            Limit(TONES[rule.level], rule.comparison, rule.threshold, rule.name)
            for rule in self._rules
            if rule.made == figure.way and _judges(rule.collection, figure)
        ]
        return tuple(sorted(found, key=lambda limit: -GRAVITY.index(limit.tone)))


def tone_of(value: float | None, limits: Sequence[Limit]) -> Tone:
    """Return how bad *value* is."""
    if value is None:
        return "unknown"
    return max((limit.tone for limit in limits if limit.broken_by(value)), key=GRAVITY.index, default="plain")


def _judges(collection: str, figure: Figure) -> bool:
    """Tell whether a rule on *collection* holds for *figure*; response_time's holds for that of a region."""
    source = figure.source
    if source.name == collection:
        return True
    is_part = source.region is not None or any("endpoint" in part.where for part in source.of)
    return is_part and source.name.startswith(f"{collection}_")
