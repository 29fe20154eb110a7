"""The daily digest: what happened in 24 hours, once a day, however many workers look whether it is due.

Units:   seconds since the Unix epoch.
Errors:  StoreError.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from workers.monitoring import wording
from workers.monitoring.alert import LEVELS, Alert, Notice
from workers.monitoring.digest import Delivered, Digest, Figure, Silenced
from workers.monitoring.history import Reader
from workers.monitoring.metrics import COLLECTIONS
from workers.monitoring.notifier import ChannelNotifier
from workers.monitoring.outbox import Tally

DAY_S = 24 * 3_600
LATE_S = 3 * 3_600  # a digest that could not be made for so long after its hour is left out
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

    def alerts(self, since_s: float) -> Sequence[Alert]:
        """Return the alerts that are open, and those that began or ended since then."""

    def silences(self, now_s: float) -> Sequence[Silenced]:
        """Return the silences that are in force."""


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
        if not self.notifier.outbox.knows(notice_id):
            self.notifier.put(self.make(now_s, notice_id))
            self.notifier.deliver()

    def make(self, now_s: float, notice_id: str) -> Notice:
        """Return the digest of the 24 hours before *now_s*."""
        since_s = now_s - DAY_S
        tally = self.notifier.outbox.tally(int(since_s * 1000))
        return digest_of(
            self.past.alerts(since_s), figures(self.reader, now_s), self.past.silences(now_s), tally,
            now_s, notice_id,
        )  # fmt: skip


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
