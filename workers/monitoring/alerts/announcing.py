"""Who is to be told of what, now: inhibition, silences, cooldown, grouping.  Pure.

Of alerts that go on, people are told once, unless a graver rule of the same says it already or is about to,
somebody has silenced it, or they were told of its like a short while ago; then they are told when that has
ended, if the alert still goes on.  Of the end they are told if they were told of the beginning, silence or
not.  What is to be told at one time goes in one notice of its kind.

Units:   seconds since the Unix epoch.
Errors:  none.
"""

from collections.abc import Iterable, Sequence

import msgspec

from workers.monitoring.alerts.alert import LEVELS, Alert, Notice, NoticeKind, short_id
from workers.monitoring.alerts.rule import Rules, inhibits
from workers.monitoring.alerts.silences import Silence, silence_of
from workers.monitoring.alerts.states import Track, cooling


def announce(
    tracks: Iterable[Track], rules: Rules, silences: Sequence[Silence], now_s: float
) -> tuple[list[Track], list[Notice]]:
    """Return the tracks as they are after telling people, and what to tell them."""
    found = [_marked(track, marks, silences, now_s) for track, marks in _with_graver(list(tracks), rules)]
    told: dict[NoticeKind, list[Alert]] = {"fired": [], "acknowledged": [], "resolved": []}
    after = []
    for track in found:
        kind = _news(track, rules, now_s)
        if kind is not None and track.alert is not None:
            track = _told(track, track.alert, kind, now_s)  # noqa: PLW2901 - the same one, a step on
            told[kind].append(_alert(track))
        after.append(track)
    return after, [notice_of(kind, alerts, now_s) for kind, alerts in told.items() if alerts]


def escalate(
    tracks: Iterable[Track], overdue: Sequence[Alert], now_s: float
) -> tuple[list[Track], list[Notice]]:
    """Return the tracks with the *overdue* alerts escalated once more, and what to tell people."""
    chosen = {alert.id for alert in overdue}
    after, escalated = [], []
    for track in tracks:
        alert = track.alert
        if alert is not None and alert.open and alert.id in chosen:
            alert = msgspec.structs.replace(alert, escalations=alert.escalations + 1, escalated_s=now_s)
            escalated.append(alert)
            after.append(msgspec.structs.replace(track, alert=alert))
        else:
            after.append(track)
    return after, [notice_of("escalated", escalated, now_s)] if escalated else []


def notice_of(kind: NoticeKind, alerts: Sequence[Alert], now_s: float) -> Notice:
    """Return a notice of *alerts*, the gravest first."""
    ordered = sorted(alerts, key=lambda alert: (LEVELS.index(alert.level), alert.rule, alert.id))
    parts = [f"{alert.id}.{alert.escalations}" for alert in ordered]
    return Notice(id=short_id(kind, *parts), kind=kind, at_s=now_s, alerts=tuple(ordered))


def _with_graver(tracks: list[Track], rules: Rules) -> list[tuple[Track, str | None]]:
    """Return each track with the rule that says all that its own would, or is about to."""
    broken = [track for track in tracks if (track.open or track.broken) and track.cause == "breach"]
    return [(track, _graver(track, broken, rules)) for track in tracks]


def _graver(track: Track, broken: list[Track], rules: Rules) -> str | None:
    if track.cause != "breach" or track.rule not in rules:
        return None
    return next(
        (
            other.rule
            for other in broken
            if other.labels == track.labels
            and other.rule in rules
            and inhibits(rules[other.rule], rules[track.rule])
        ),
        None,
    )


def _marked(track: Track, graver: str | None, silences: Sequence[Silence], now_s: float) -> Track:
    alert = track.alert
    if alert is None or not alert.open:
        return track
    silence = silence_of(alert, silences, now_s)
    if (alert.inhibited_by, alert.silenced_by) == (graver, silence):
        return track
    marked = msgspec.structs.replace(alert, inhibited_by=graver, silenced_by=silence)
    return msgspec.structs.replace(track, alert=marked)


def _news(track: Track, rules: Rules, now_s: float) -> NoticeKind | None:
    """Return what people do not know yet of the present alert."""
    alert = track.alert
    if alert is None:
        return None
    if not alert.open:
        return "resolved" if alert.told_s is not None and not track.end_told else None
    if alert.told_s is not None:
        return "acknowledged" if alert.state == "acknowledged" and not track.ack_told else None
    if alert.state == "acknowledged" or alert.inhibited_by is not None or alert.silenced_by is not None:
        return None
    rule = rules.get(track.rule)
    return None if rule is not None and cooling(rule, track, now_s) else "fired"


def _told(track: Track, alert: Alert, kind: NoticeKind, now_s: float) -> Track:
    match kind:
        case "fired":
            alert = msgspec.structs.replace(alert, told_s=now_s)
            return msgspec.structs.replace(track, alert=alert, told_s=now_s)
        case "acknowledged":
            return msgspec.structs.replace(track, ack_told=True)
        case _:
            return msgspec.structs.replace(track, end_told=True, told_s=now_s)


def _alert(track: Track) -> Alert:
    assert track.alert is not None  # noqa: S101 - it is told of
    return track.alert
