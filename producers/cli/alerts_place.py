"""Where the alerts of a fleet are, and what sends from here.

Alerts outlive the fleet, so commands that look at them need none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from producers.cli.collaborators import Fleet
from producers.cli.dead_place import database_of
from producers.errors import Unavailable
from workers.monitoring.notices.channels.errors import ChannelError
from workers.monitoring.notices.channels.opening import open_channels
from workers.monitoring.notices.notifier import ChannelNotifier
from workers.monitoring.notices.outbox import MemoryOutbox
from workers.monitoring.notices.settings import ChannelSettings, SentrySettings
from workers.store.alerts import AlertStore
from workers.store.audit import AuditStore
from workers.store.engine import open_store


@contextmanager
def reached(fleet: Fleet) -> Iterator[tuple[AlertStore, AuditStore]]:
    """Give the alerts of *fleet* and its audit log; raise Unavailable or StoreUnavailable."""
    url, running = database_of(fleet)
    with open_store(url, create=running) as store:
        yield AlertStore(store), AuditStore(store)


def own_notifier() -> ChannelNotifier:
    """Return what sends by the channels that this environment names; raise Unavailable."""
    sentry = SentrySettings()
    try:
        there = open_channels(ChannelSettings(), sentry.dsn, sentry.environment)
    except ChannelError as error:
        raise Unavailable("Sentry", f"ION_SENTRY_DSN {error.why}") from None
    return ChannelNotifier(MemoryOutbox(), there)
