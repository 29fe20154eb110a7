"""Silences: whom not to tell of what, until when, and who decided so.

A silenced alert is there like any other one, to be looked at; nobody is told of it while the silence lasts.

Units:   seconds since the Unix epoch.
Errors:  none.
"""

from collections.abc import Iterable

import msgspec

from workers.monitoring.alerts.alert import Alert, Level


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """Silences alerts of *rule*, of *level* and with *labels*; what is not given may be anything.

    *by* and *why* are for people.  *ended_s*: somebody has lifted it before its time.
    """

    id: str
    rule: str | None = None
    level: Level | None = None
    labels: dict[str, str] = {}
    made_s: float
    until_s: float
    by: str
    why: str
    ended_s: float | None = None

    def holds(self, now_s: float) -> bool:
        """Whether it is in force."""
        return self.ended_s is None and now_s < self.until_s

    def matches(self, alert: Alert) -> bool:
        """Whether *alert* is one of those that it silences."""
        return (
            self.rule in (None, alert.rule)
            and self.level in (None, alert.level)
            and all(alert.labels.get(name) == value for name, value in self.labels.items())
        )


def silence_of(alert: Alert, silences: Iterable[Silence], now_s: float) -> str | None:
    """Return the id of a silence that holds for *alert*; None: there is none."""
    return next((one.id for one in silences if one.holds(now_s) and one.matches(alert)), None)
