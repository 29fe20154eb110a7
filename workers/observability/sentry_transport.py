"""The SDK's way to Sentry, which says so when Sentry does not take what it is sent; the SDK is silent."""

import logging
import time
from typing import Any

from sentry_sdk.transport import HttpTransport

from workers.observability.sparing import Sparing

logger = logging.getLogger(__name__)

_ONE_LINE_IN_S = 600.0


class TellingTransport(HttpTransport):
    """Sends over HTTP from a thread of its own; what cannot be sent is dropped, counted, and told of."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._sparing = Sparing(time.monotonic, _ONE_LINE_IN_S)

    def on_dropped_event(self, _reason: str) -> None:
        """Log that Sentry is away, or refuses; one line in ten minutes."""
        dropped = self._sparing.passes("dropped")
        if dropped:
            logger.warning("Sentry does not take what it is sent (%s); %d dropped", _reason, dropped)
