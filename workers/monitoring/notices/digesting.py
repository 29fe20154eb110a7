"""The daily digest: what happened in 24 hours, once a day, however many workers look whether it is due.

Units:   seconds since the Unix epoch.
Errors:  StoreError.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from workers.monitoring.alerts.alert import LEVELS, Alert, Notice
from workers.monitoring.alerts.silences import Silence
from workers.monitoring.figures import COLLECTIONS
from workers.monitoring.history import Reader
from workers.monitoring.notices import wording
from workers.monitoring.notices.digest import Delivered, Digest, Figure, Silenced
from workers.monitoring.notices.notifier import ChannelNotifier
from workers.monitoring.notices.outbox import Outbox, Tally

DAY_S = 24 * 3_600
LATE_S = 3 * 3_600  # a digest that could not be made for so long after its hour is left out
_LONGEST_S = 7 * DAY_S  # an alert that lasted longer is told of only while it is open
_MOST_LOOKED_AT = 2_000
MOST_ALERTS = 60  # that travel with a digest

FIGURES = (  # collection, what people call it, whether less of it is better
    ("availability_global", "Availability", False),
    ("error_rate_global", "Error rate", True),
    ("response_time", "Response time, p95", True),
    ("throughput_global", "Throughput", False),
    ("cache_hit_rate", "Cache hit rate", False),
)


class Past(Protocol):
    """Knows the alerts and silences of the last days."""

    def open_alerts(self) -> Sequence[Alert]:
        """Return the alerts that go on."""

    def history(self, since_s: float, limit: int) -> Sequence[Alert]:
        """Return at most *limit* alerts that fired since then, the latest first."""

    def silences(self, since_s: float) -> Sequence[Silence]:
        """Return the silences that were in force at some time since then."""


@dataclass(frozen=True, slots=True)
class DailyDigest:
    """Sends the digest when its hour has come; *hour_utc* is that hour."""

    past: Past
    reader: Reader
    notifier: ChannelNotifier
    hour_utc: int
    now_s: Callable[[], float] = time.time

    def digest(self) -> None:
        """Put the day's digest into the outbox, once, and send it."""
        now_s = self.now_s()
        due_s = due(now_s, self.hour_utc)
        if due_s is None:
            return
        notice_id = f"digest-{wording.date(due_s)}"
        outbox = self.notifier.outbox
        if not outbox.knows(notice_id):
            self.notifier.put(digest_of_day(self.past, self.reader, outbox, now_s, notice_id))
            self.notifier.deliver()


def digest_of_day(past: Past, reader: Reader, outbox: Outbox, now_s: float, notice_id: str) -> Notice:
    """Return the digest of the 24 hours before *now_s*."""
    since_s = now_s - DAY_S
    return digest_of(
        alerts_of(past, since_s),
        figures(reader, now_s),
        [silenced(one) for one in past.silences(now_s) if one.holds(now_s)],
        outbox.tally(int(since_s * 1000)),
        now_s,
        notice_id,
    )


def alerts_of(past: Past, since_s: float) -> list[Alert]:
    """Return the alerts that are open, or began or ended since then."""
    lately = past.history(since_s - _LONGEST_S, _MOST_LOOKED_AT)
    found = {alert.id: alert for alert in (*past.open_alerts(), *lately)}
    return [
        alert
        for alert in found.values()
        if alert.open or alert.fired_s >= since_s or (alert.resolved_s or 0) >= since_s
    ]


def silenced(silence: Silence) -> Silenced:
    """Return *silence* as a digest shows it."""
    parts = [f"rule {silence.rule}"] if silence.rule is not None else []
    parts += [f"level {silence.level}"] if silence.level is not None else []
    parts += [f"{name} {value}" for name, value in sorted(silence.labels.items())]
    what = ", ".join(parts) or "everything"
    return Silenced(what=what, until_s=silence.until_s, by=silence.by, why=silence.why)


def due(now_s: float, hour_utc: int) -> float | None:
    """Return when the digest was due that is to be sent now, if one is."""
    due_s = now_s // DAY_S * DAY_S + hour_utc * 3_600
    if due_s > now_s:
        due_s -= DAY_S
    return due_s if now_s - due_s < LATE_S else None


def figures(reader: Reader, now_s: float) -> tuple[Figure, ...]:
    """Return the figures of the 24 hours before *now_s*, and of those before them."""
    return tuple(
        Figure(
            name=name,
            unit=COLLECTIONS[collection].unit,
            value=reader.value(COLLECTIONS[collection], now_s, DAY_S).value,
            before=reader.value(COLLECTIONS[collection], now_s - DAY_S, DAY_S).value,
            lower_is_better=lower,
        )
        for collection, name, lower in FIGURES
    )


def digest_of(
    alerts: Sequence[Alert],
    found: Sequence[Figure],
    silences: Sequence[Silenced],
    tally: dict[str, Tally],
    now_s: float,
    notice_id: str,
) -> Notice:
    """Return the digest of the 24 hours before *now_s*, in which *alerts* were open."""
    since_s = now_s - DAY_S
    fired = [alert for alert in alerts if alert.fired_s >= since_s]
    digest = Digest(
        from_s=since_s,
        to_s=now_s,
        fired=len(fired),
        critical=sum(alert.level == "critical" for alert in fired),
        resolved=sum(alert.resolved_s is not None and alert.resolved_s >= since_s for alert in alerts),
        acknowledged=sum(
            alert.acknowledged_s is not None and alert.acknowledged_s >= since_s for alert in alerts
        ),
        escalated=sum(alert.escalated_s is not None and alert.escalated_s >= since_s for alert in alerts),
        still_open=sum(alert.open for alert in alerts),
        figures=tuple(found),
        silences=tuple(silences),
        deliveries=tuple(
            Delivered(
                channel=channel,
                sent=one.sent,
                merged=one.merged,
                failed=one.failed,
                waiting=one.waiting,
                why=one.why,
            )
            for channel, one in sorted(tally.items())
        ),
    )
    shown = sorted(alerts, key=lambda alert: (not alert.open, LEVELS.index(alert.level), -alert.fired_s))
    return Notice(
        id=notice_id,
        kind="digest",
        at_s=now_s,
        alerts=tuple(shown[:MOST_ALERTS]),
        said=digest.said,
        digest=digest,
    )
