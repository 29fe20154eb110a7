"""The dead-man's switch: whether rules are judged at all, seen by somebody who does not judge them.

Whoever evaluates notes the moment in the database.  When that moment gets old, or the database cannot be
asked, this says so: once, and once more when it is over.  Pure.

Units:   seconds since the Unix epoch.
Errors:  none.
"""

from dataclasses import dataclass

from workers.monitoring.alert import Alert, short_id
from workers.monitoring.alerts import Track

RULE = "evaluation_stopped"
PERIOD_S = 5.0  # of the periodic task
LATE_S = 3 * PERIOD_S  # health says so
STOPPED_S = 60.0  # people are told: a restart of all workers takes less
_ABOUT = (
    "Nobody judges the alert rules: no worker runs, or the database is away. No other alert can be trusted."
)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What one look found: when rules were last judged, None: not known, for the reason *why*."""

    evaluated_s: float | None
    why: str = ""


def age_s(pulse: Pulse, since_s: float, now_s: float) -> float:
    """Return for how long nothing was judged, since somebody began to watch at *since_s* at most.

    A moment that lies ahead counts as now: a clock was put back.
    """
    seen_s = since_s if pulse.evaluated_s is None else max(pulse.evaluated_s, since_s)
    return max(0.0, now_s - seen_s)


def stopped_alert(pulse: Pulse, since_s: float, now_s: float) -> Alert:
    """Return the alert that says so; it is the same one, whoever notices."""
    silent_s = age_s(pulse, since_s, now_s)
    last_s = since_s if pulse.evaluated_s is None else pulse.evaluated_s
    reason = f": {pulse.why}" if pulse.why else ""
    return Alert(
        id=short_id(RULE, int(last_s)),
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
        since_s=last_s,
        fired_s=now_s,
        seen_s=now_s,
        told_s=now_s,
    )


def track_of(alert: Alert) -> Track:
    """Return what the next evaluation ends: it finds the alert, and that there is no such rule."""
    return Track(
        rule=RULE, cause="absence", labels={}, since_s=alert.since_s, alert=alert, told_s=alert.told_s
    )
