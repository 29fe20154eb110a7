"""Where a figure becomes bad: what the alert rules say, so that a dashboard and an alert never disagree."""

from collections.abc import Iterable, Iterator, Mapping

from workers.monitoring.alerts.alert import Level
from workers.monitoring.alerts.detection import beyond, enough
from workers.monitoring.alerts.rule import Rule, Threshold
from workers.monitoring.dashboards.model import Limit, Tone
from workers.monitoring.dashboards.parts import Figure
from workers.monitoring.figures import Collection, Part
from workers.monitoring.history import Reading

GRAVITY: tuple[Tone, ...] = ("unknown", "plain", "medium", "high", "critical")  # the worst last
TONES: Mapping[Level, Tone] = {"critical": "critical", "high": "high", "medium": "medium", "low": "medium"}


class Limits:
    """The limits that *rules* set.

    Those that judge a part of a collection only, or otherwise than by a limit, set none.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        limiting = (rule for rule in rules if isinstance(rule.detection, Threshold))
        self._rules = tuple(rule for rule in limiting if not rule.where)

    def of(self, figure: Figure) -> tuple[Limit, ...]:
        """Return the limits of *figure*, the worst first; none of a sum, which grows with its window."""
        found = [
            Limit(TONES[rule.level], rule.comparison, rule.threshold, rule.name)
            for rule in self._judging(figure)
        ]
        return tuple(sorted(found, key=lambda limit: -GRAVITY.index(limit.tone)))

    def tone(self, figure: Figure, reading: Reading) -> Tone:
        """Return how bad *reading* of *figure* is; what rests on too little to be judged is not."""
        if reading.value is None:
            return "unknown"
        broken = (
            TONES[rule.level]
            for rule in self._judging(figure)
            if enough(rule, reading) and beyond(rule, reading.value)
        )
        return max(broken, key=GRAVITY.index, default="plain")

    def _judging(self, figure: Figure) -> Iterator[Rule]:
        if figure.way != "sum":
            yield from (
                rule for rule in self._rules if rule.made == figure.way and _judges(rule.judges, figure)
            )


def _judges(whole: Collection, figure: Figure) -> bool:
    """Tell whether what holds for *whole* holds for *figure*: the same, or a region's or an endpoint's."""
    source = figure.source
    if source.name == whole.name:
        return True
    is_part = source.region is not None or any("endpoint" in part.where for part in source.of)
    return (
        is_part
        and source.per == whole.per
        and len(source.of) == len(whole.of)
        and all(_is_within(one, other) for one, other in zip(source.of, whole.of, strict=True))
    )


def _is_within(one: Part, other: Part) -> bool:
    """Tell whether *one* is *other*, or that of one endpoint which *other* does not leave out."""
    return (
        one.metric is other.metric
        and other.where.items() <= one.where.items()
        and one.where.keys() - other.where.keys() <= {"endpoint"}
        and not one.where.items() & other.unless.items()
    )
