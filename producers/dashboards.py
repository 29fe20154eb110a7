"""Dashboards from the fleet's database: for commands, and for pages of a gateway.

Units:   windows in seconds.
Errors:  StoreUnavailable when the database is away or not there; UnusableUrl.
"""

import logging
import time
from collections.abc import Callable
from typing import Self

from workers.monitoring.alerts.errors import InvalidRules
from workers.monitoring.alerts.rule import Rules
from workers.monitoring.alerts.rules import load_rules
from workers.monitoring.alerts.settings import AlertSettings
from workers.monitoring.dashboards.building import Sources, build
from workers.monitoring.dashboards.definitions import DASHBOARDS
from workers.monitoring.dashboards.model import Dashboard
from workers.monitoring.dashboards.thresholds import Limits
from workers.store.alerts import AlertStore
from workers.store.engine import open_store
from workers.store.metric_history import SqlHistory

logger = logging.getLogger(__name__)


class Dashboards:
    """Builds dashboards from the database at *url*, whose figures *rules* judge.

    A database that is not there is not made.  Safe to use from several threads; whoever opened it closes it.
    """

    def __init__(self, url: str, rules: Rules, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = open_store(url, create=False), clock
        history, alerts = SqlHistory(self._store), AlertStore(self._store)
        self._sources = Sources(history, Limits(rules.values()), alerts)

    def built(self, name: str, window_s: int) -> Dashboard:
        """Return the dashboard *name* as it is now."""
        return build(DASHBOARDS[name], self._sources, self._clock(), window_s)

    def close(self) -> None:
        """Give the connections back."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def rules_in_effect() -> Rules:
    """Return the rules of ION_ALERT_RULES, or ours when they cannot be used: as workers do."""
    try:
        return load_rules(AlertSettings().alert_rules)
    except InvalidRules as error:
        logger.warning("dashboards show our own limits: %s", error)
        return load_rules()
