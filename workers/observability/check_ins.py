"""Check-ins of the periodic work: a monitor's server notices what did not come, came late, failed or hangs.

The beat says that a tick begins, and the worker that does it says how it ended, under the same id: it travels
in the headers of the message, which are those that Sentry's own integration sends.  Only entries of whole
minutes have a monitor: Sentry knows no shorter period.

Units:   seconds; the monitor's in minutes and hours.
Errors:  none; Sentry away costs nothing but the check-in.
Source:  sentry_sdk/crons/api.py, and sentry_sdk/integrations/celery/beat.py (headers) of 2.75.
"""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from workers.contract.periodic import Periodic

SLUG_HEADER = "sentry-monitor-slug"
ID_HEADER = "sentry-monitor-check-in-id"
START_HEADER = "sentry-monitor-start-timestamp-s"
_MINUTE_S, _HOUR_S = 60, 3_600
_SLUG = re.compile(r"[a-z0-9_-]{1,50}")
_ID = re.compile(r"[0-9a-f]{32}")
_LONGEST_S = 86_400.0


class CheckIns(Protocol):
    """Tells a monitor how periodic work goes."""

    def began(self, entry: Periodic) -> dict[str, str]:
        """Say that a tick of *entry* is sent; return the headers that its message takes along."""

    def lost(self, entry: Periodic) -> None:
        """Say that a tick of *entry* will not be sent."""

    def ended(self, headers: Mapping[str, Any], *, ok: bool) -> None:
        """Say how the tick ended whose message had these *headers*."""

    def close(self) -> None:
        """Send what waits, within two seconds."""


class NoCheckIns:
    """Nobody monitors."""

    def began(self, entry: Periodic) -> dict[str, str]:  # noqa: ARG002 - the protocol's signature
        """Say nothing."""
        return {}

    def lost(self, entry: Periodic) -> None:
        """Say nothing."""

    def ended(self, headers: Mapping[str, Any], *, ok: bool) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Nothing to send."""


class SentryCheckIns:
    """Checks in with Sentry, which must have been started; *now_s* reads the wall clock."""

    def __init__(
        self, now_s: Callable[[], float] = time.time, farewell: Callable[[], None] = lambda: None
    ) -> None:
        self._now_s, self._farewell = now_s, farewell

    def began(self, entry: Periodic) -> dict[str, str]:
        """Say that a tick begins."""
        config = monitor_of(entry)
        if config is None:
            return {}
        slug = slug_of(entry)
        check_in = _capture(slug, None, "in_progress", None, config)
        if check_in is None:
            return {}
        return {SLUG_HEADER: slug, ID_HEADER: check_in, START_HEADER: f"{self._now_s():.3f}"}

    def lost(self, entry: Periodic) -> None:
        """Say that a tick failed before it was sent."""
        config = monitor_of(entry)
        if config is not None:
            _capture(slug_of(entry), None, "error", None, config)

    def ended(self, headers: Mapping[str, Any], *, ok: bool) -> None:
        """Say how a tick ended; headers that are none of ours come from elsewhere and are passed over."""
        slug, check_in = headers.get(SLUG_HEADER), headers.get(ID_HEADER)
        if not (isinstance(slug, str) and _SLUG.fullmatch(slug)):
            return
        if isinstance(check_in, str) and _ID.fullmatch(check_in):
            took_s = self._since(headers.get(START_HEADER))
            _capture(slug, check_in, "ok" if ok else "error", took_s, None)

    def close(self) -> None:
        """Send what waits."""
        self._farewell()

    def _since(self, start: object) -> float | None:
        """Return how long ago *start* was, from the tick to the end of its work."""
        try:
            took_s = self._now_s() - float(str(start))
        except ValueError:
            return None
        return round(took_s, 3) if 0 <= took_s < _LONGEST_S else None


def slug_of(entry: Periodic) -> str:
    """Return what the monitor of *entry* is called: ``cache-warm`` for cache.warm."""
    return entry.name.replace(".", "-").lower()[:50]


def monitor_of(entry: Periodic) -> dict[str, Any] | None:
    """Return when *entry* has to check in; None: more often than a monitor can tell."""
    if entry.period_s % _MINUTE_S:
        return None
    if entry.period_s % _HOUR_S:
        schedule = {"type": "interval", "value": entry.period_s // _MINUTE_S, "unit": "minute"}
    else:
        schedule = {"type": "interval", "value": entry.period_s // _HOUR_S, "unit": "hour"}
    minutes = entry.period_s // _MINUTE_S
    return {
        "schedule": schedule,
        "timezone": "UTC",
        "checkin_margin": max(1, minutes // 10),  # minutes: later than that is missed
        "max_runtime": max(1, minutes),  # minutes: a tick is void before the next one
        "failure_issue_threshold": 2,  # one may be lost when a beat is killed
        "recovery_threshold": 1,
    }


def _capture(slug: str, check_in: str | None, status: str, took_s: float | None, config: Any) -> str | None:
    from sentry_sdk.crons import capture_checkin  # noqa: PLC0415 - see start_sentry

    return capture_checkin(slug, check_in, status, took_s, config)
