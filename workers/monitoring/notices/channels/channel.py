"""The port of a channel, and the channel that is always there: the log."""

import logging
from typing import Protocol

from workers.monitoring.alerts.alert import Notice
from workers.monitoring.notices import wording

logger = logging.getLogger(__name__)


class Channel(Protocol):
    """Sends notices one way.  Used by one thread at a time."""

    def send(self, notice: Notice) -> None:
        """Send *notice*, once; raise ChannelError when it was not taken, or may not have been."""


class LogChannel:
    """Writes notices to the log."""

    def send(self, notice: Notice) -> None:
        """Write a line for the notice, and one for each alert where there are several."""
        grave = notice.kind in ("fired", "escalated") and notice.level in ("critical", "high")
        level = logging.ERROR if grave else logging.WARNING if notice.kind == "fired" else logging.INFO
        logger.log(level, "alert: %s", wording.title(notice))
        if len(notice.alerts) > 1:
            for alert in notice.alerts:
                logger.log(
                    level, "alert: %s %s: %s", alert.level, wording.subject(alert), wording.measured(alert)
                )
