"""The dead-man's switch: whether rules are judged at all, seen by somebody who does not judge them.

Whoever evaluates notes the moment in the database.  When that moment gets old, or the database cannot be
asked, this says so: once, and once more when it is over.  Pure.

Units:   seconds since the Unix epoch.
Errors:  none.
"""

from dataclasses import dataclass, replace

from workers.monitoring.alerts.alert import Alert, short_id
from workers.monitoring.alerts.states import Track

RULE = "evaluation_stopped"
PERIOD_S = 5.0  # of the periodic task
LATE_S = 3 * PERIOD_S  # health says so
STOPPED_S = 60.0  # people are told: a restart of all workers takes less
_ABOUT = "Nobody judges the alert rules: no worker runs, or the database is away."


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known: when rules were judged last (*evaluated_s*), and when that was seen to change.

    *changed* is by the watcher's own monotonic clock, so that nobody's wall clock matters.  *why*: the moment
    could not be asked for.
    """

    changed: float
    evaluated_s: float | None = None
    why: str = ""

    def seen(self, evaluated_s: float | None, now: float) -> "Watch":
        """Return what is known after a look that found *evaluated_s*."""
        if evaluated_s is None or evaluated_s == self.evaluated_s:
            return replace(self, why="")
        return Watch(now, evaluated_s)

    def missed(self, why: str) -> "Watch":
        """Return what is known after a look that found nothing, for the reason *why*."""
        return replace(self, why=why)

    def silent_s(self, now: float) -> float:
        """Return for how long nothing was judged, as far as was watched."""
        return now - self.changed


def stopped_alert(watch: Watch, silent_s: float, now_s: float) -> Alert:
    """Return the alert that says so; it is the same one, whoever notices."""
    since_s = now_s - silent_s
    reason = f": {watch.why}" if watch.why else ""
    return Alert(
        id=short_id(RULE, int(since_s if watch.evaluated_s is None else watch.evaluated_s)),
        rule=RULE,
        level="critical",
        labels={},
        cause="absence",
        collection="evaluation",
        how="age",
        value=silent_s,
        unit="s",
        comparison="above",
        threshold=STOPPED_S,
        window_s=int(STOPPED_S),
        said=f"the alert rules were not judged for {silent_s:.0f} s{reason}",
        about=_ABOUT,
        tags=("monitoring",),
        since_s=since_s,
        fired_s=now_s,
        seen_s=now_s,
        told_s=now_s,
    )


def track_of(alert: Alert) -> Track:
    """Return what the next evaluation ends: it finds the alert, and that there is no such rule."""
    since_s, told_s = alert.since_s, alert.told_s
    return Track(rule=RULE, cause="absence", labels={}, since_s=since_s, alert=alert, told_s=told_s)
