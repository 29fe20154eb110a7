"""From verdicts to alerts: the state of one rule for one group of labels, as a pure function.

A rule that is broken at ``occurrences`` judgements in a row fires; when it is not at as many, it is resolved.
No verdict, for want of measurements, is a judgement that it is not broken.  Judgements that are further apart
than the rule's window are not in a row, so a clock that steps neither fires nor resolves anything by itself.

Units:   seconds since the Unix epoch.
Errors:  none.
"""

import msgspec

from workers.monitoring.alerts.alert import Alert, Cause, short_id
from workers.monitoring.alerts.detection import Verdict
from workers.monitoring.alerts.rule import Rule


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one rule, cause and group: how often in a row it was *broken*, or *fine*.

    *alert* is the present one, or the latest.  *told_s* is when people were last told of any alert of this
    group.  *ack_told*, *end_told*: they, or PagerDuty, know of the present alert's acknowledgement and end.
    """

    rule: str
    cause: Cause
    labels: dict[str, str]
    broken: int = 0
    fine: int = 0
    since_s: float = 0.0
    judged_s: float = 0.0
    alert: Alert | None = None
    told_s: float | None = None
    ack_told: bool = False
    end_told: bool = False

    @property
    def key(self) -> str:
        """What tells it apart from all others."""
        return key_of(self.rule, self.cause, self.labels)

    @property
    def open(self) -> bool:
        """Whether an alert goes on."""
        return self.alert is not None and self.alert.open


def key_of(rule: str, cause: Cause, labels: dict[str, str]) -> str:
    """Return the key of a track."""
    return short_id(rule, cause, sorted(labels.items()))


def step(rule: Rule, track: Track, verdict: Verdict, now_s: float) -> Track:
    """Return what is known after *verdict*."""
    track = _counted(rule, track, verdict, now_s)
    alert = track.alert
    if alert is None or not alert.open:
        if track.broken < rule.occurrences:
            return track
        return msgspec.structs.replace(
            track, alert=_fired(rule, track, verdict, now_s), ack_told=False, end_told=False
        )
    if verdict.broken:
        alert = _seen(rule, alert, verdict, now_s)
    elif track.fine >= rule.occurrences:
        alert = msgspec.structs.replace(alert, state="resolved", resolved_s=now_s)
    return msgspec.structs.replace(track, alert=alert)


def retired(track: Track, now_s: float, why: str) -> Track:
    """Return *track* with its alert resolved: its rule is not there any more, or switched off."""
    if track.alert is None or not track.alert.open:
        return track
    alert = msgspec.structs.replace(track.alert, state="resolved", resolved_s=now_s, said=why)
    return msgspec.structs.replace(track, alert=alert, broken=0)


def idle(rule: Rule | None, track: Track, now_s: float) -> bool:
    """Whether there is nothing about *track* that has to be remembered."""
    if track.broken or track.open:
        return False
    if track.alert is None:
        return True
    if track.alert.told_s is not None and not track.end_told:
        return False
    return rule is None or not cooling(rule, track, now_s)


def cooling(rule: Rule, track: Track, now_s: float) -> bool:
    """Whether people were told of this group so recently that what comes back is not told again yet."""
    return track.told_s is not None and abs(now_s - track.told_s) < rule.cooldown_s


def due(rule: Rule, judged_s: float | None, now_s: float) -> bool:
    """Whether *rule* is to be judged, which it was at *judged_s*.

    Machines' clocks differ a little, so only a moment that is more than a period ahead counts as a clock that
    was put back.
    """
    return judged_s is None or abs(now_s - judged_s) >= rule.every_s


def _counted(rule: Rule, track: Track, verdict: Verdict, now_s: float) -> Track:
    in_a_row = 0 <= now_s - track.judged_s <= max(rule.window_s, 2 * rule.every_s)
    broken, fine = (track.broken, track.fine) if in_a_row else (0, 0)
    if verdict.broken:
        since_s = now_s if broken == 0 else track.since_s
        return msgspec.structs.replace(track, broken=broken + 1, fine=0, since_s=since_s, judged_s=now_s)
    return msgspec.structs.replace(track, broken=0, fine=fine + 1, judged_s=now_s)


def _fired(rule: Rule, track: Track, verdict: Verdict, now_s: float) -> Alert:
    return Alert(
        id=short_id(track.key, track.since_s),
        rule=rule.name,
        level=rule.level,
        labels=track.labels,
        cause=track.cause,
        collection=rule.collection,
        how=rule.made,
        value=verdict.value,
        unit=rule.unit,
        comparison=rule.comparison,
        threshold=rule.threshold,
        window_s=rule.window_s,
        said=verdict.said,
        about=rule.about,
        channels=rule.channels,
        tags=rule.tags,
        since_s=track.since_s,
        fired_s=now_s,
        seen_s=now_s,
        occurrences=track.broken,
    )


def _seen(rule: Rule, alert: Alert, verdict: Verdict, now_s: float) -> Alert:
    """Return *alert* as it is now; the rule may have been changed meanwhile."""
    return msgspec.structs.replace(
        alert,
        value=verdict.value,
        said=verdict.said,
        threshold=rule.threshold,
        window_s=rule.window_s,
        level=rule.level,
        seen_s=now_s,
        occurrences=alert.occurrences + 1,
    )
