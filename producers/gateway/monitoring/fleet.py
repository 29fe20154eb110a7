"""What the whole fleet has measured, read from its database when a scraper asks.

Without the database a scraper still gets what the gateway itself counts, and is told that the rest lacks.

Units: seconds.
"""

import logging
import threading
import time
from collections.abc import Callable

from producers.errors import Unavailable
from producers.gateway.aside import Aside
from workers.monitoring.export.exposition import Fleet, read_fleet
from workers.store.errors import StoreError
from workers.store.metric_history import SqlHistory, open_history

PATIENCE_S = 2.0  # scrapers wait ten seconds as a rule

logger = logging.getLogger(__name__)


class FleetView:
    """Reads from the database at *address*, which may be another one the next time."""

    def __init__(self, address: Callable[[], str], clock: Callable[[], float] = time.time) -> None:
        self._address, self._clock = address, clock
        self._aside = Aside("the database", PATIENCE_S, most=2)
        self._lock = threading.Lock()
        self._open: tuple[str, SqlHistory] | None = None
        self._failing = False

    async def read(self) -> Fleet | None:
        """Return what is there, or None: it cannot be read, which is logged once."""
        try:
            fleet = await self._aside.run(self._read)
        except (StoreError, Unavailable) as error:
            if not self._failing:
                logger.warning("metrics lack what the fleet measures: %s", error)
            self._failing = True
            return None
        if self._failing:
            logger.info("metrics have again what the fleet measures")
        self._failing = False
        return fleet

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            opened, self._open = self._open, None
        if opened is not None:
            opened[1].close()

    def _read(self) -> Fleet:
        history = self._history()
        return read_fleet(history, history, self._clock())

    def _history(self) -> SqlHistory:
        address = self._address()
        with self._lock:
            if self._open is None or self._open[0] != address:
                if self._open is not None:
                    self._open[1].close()
                self._open = address, open_history(address)
            return self._open[1]
