"""The beat watches whether anybody judges the alert rules, since who judges them cannot.

A thread looks every few seconds when rules were last judged.  When that has not changed for a minute, people
are told: by the outbox in the database, where the next evaluation ends the alert and says so; or past it,
when the database itself is away.  Only the beat that leads does so.  Nothing of it disturbs the beat.

Units:   seconds; by the monotonic clock, but for the moments in alerts.
Errors:  none leave the thread: what is unexpected is logged, once for each kind.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workers.monitoring.alerts.deadman import (
    LATE_S,
    PERIOD_S,
    RULE,
    STOPPED_S,
    Watch,
    stopped_alert,
    track_of,
)

if TYPE_CHECKING:
    from workers.monitoring.alerts.alert import Alert
    from workers.monitoring.notices.notifier import ChannelNotifier
    from workers.store.alerts import AlertStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What the watch works with: the alerts, what sends by their outbox, and what sends past it."""

    alerts: "AlertStore"
    notifier: "ChannelNotifier"
    spare: "ChannelNotifier"


@dataclass(slots=True)
class DeadMan:
    """Looks, and tells.  *leads* says whether this beat leads; *means* is not made before the first look."""

    means: Callable[[], Means]
    leads: Callable[[], bool]
    now_s: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _made: Means | None = field(init=False, default=None)
    _watch: Watch | None = field(init=False, default=None)
    _alert: "Alert | None" = field(init=False, default=None)
    _kept: bool = field(init=False, default=False)  # the alert is in the database

    def look(self) -> None:
        """Look once, and tell people of what has changed."""
        if not self.leads():
            self._watch = self._alert = None  # whoever leads next begins to watch anew
            return
        now = self.monotonic()
        means = self._made = self.means() if self._made is None else self._made
        self._watch = self._seen(means, Watch(now) if self._watch is None else self._watch, now)
        silent_s = self._watch.silent_s(now)
        if self._alert is None and silent_s > STOPPED_S:
            self._alert = self._fire(means, stopped_alert(self._watch, silent_s, self.now_s()))
        elif self._alert is not None and silent_s < LATE_S:
            self._end(means, self._alert)
            self._alert = None
        if self._alert is not None:
            self._deliver(means)

    def _seen(self, means: Means, watch: Watch, now: float) -> Watch:
        from workers.store.errors import StoreError  # noqa: PLC0415 - see means

        try:
            return watch.seen(means.alerts.evaluated_s(), now)
        except StoreError as error:
            return watch.missed(str(error))

    def _fire(self, means: Means, alert: "Alert") -> "Alert":
        """Tell people, unless another beat has, and return the alert that they know of."""
        from workers.monitoring.alerts.announcing import notice_of  # noqa: PLC0415 - see means
        from workers.store.errors import StoreError  # noqa: PLC0415 - likewise

        logger.error("%s", alert.said)
        notice = notice_of("fired", [alert], alert.fired_s)
        try:
            with means.alerts.evaluating(alert.fired_s, evaluates=False) as work:
                known = next(
                    (track.alert for track in work.tracks if track.rule == RULE and track.open), None
                )
                if known is None:
                    work.tracks.append(track_of(alert))
                    work.tell(notice, means.notifier.channels(notice))
            self._kept = True
        except StoreError:
            means.spare.put(notice)
            self._kept, known = False, None
        return alert if known is None else known

    def _end(self, means: Means, alert: "Alert") -> None:
        """Tell people that it is over; of what is in the database, whoever judges again has told them."""
        import msgspec  # noqa: PLC0415 - see means

        from workers.monitoring.alerts.announcing import notice_of  # noqa: PLC0415 - likewise

        logger.warning("the alert rules are judged again")
        if not self._kept:
            now_s = self.now_s()
            ended = msgspec.structs.replace(alert, state="resolved", resolved_s=now_s)
            means.spare.put(notice_of("resolved", [ended], now_s))
            means.spare.deliver()

    def _deliver(self, means: Means) -> None:
        from workers.store.errors import StoreError  # noqa: PLC0415 - see means

        means.spare.deliver()
        if self._kept:
            try:
                means.notifier.deliver()
            except StoreError as error:
                logger.info("notices wait: %s", error)


class DeadManThread:
    """Has *deadman* look every few seconds, until it is stopped.  It may be started and stopped twice."""

    def __init__(self, deadman: DeadMan, every_s: float = PERIOD_S) -> None:
        self._deadman, self._every_s = deadman, every_s
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: set[str] = set()

    def start(self) -> None:
        """Begin."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="deadman", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Let it end; does not wait, as a signal handler may call it."""
        self._ending.set()

    def _run(self) -> None:
        while not self._ending.wait(self._every_s):
            try:
                self._deadman.look()
            except Exception as error:  # the beat goes on, whatever it is
                kind = type(error).__name__
                if kind not in self._said:
                    self._said.add(kind)
                    logger.exception("the dead-man's switch of the alerts does not work")
