"""How far the copies of a database are behind it, as PostgreSQL tells of its streaming replicas.

A replica is known by its ``application_name``: call it like its region.

Units:   milliseconds.
Errors:  StoreUnavailable.
Source:  PostgreSQL's documentation, 28.2.4 "pg_stat_replication": *replay_lag* is null for a replica that has
         nothing to catch up with, and for whoever may not see it (grant pg_monitor).
"""

import sqlalchemy as sa

from workers.store.engine import Store

_LAGS = sa.text("""
    SELECT application_name, extract(epoch FROM replay_lag) * 1000, replay_lsn >= sent_lsn
    FROM pg_stat_replication WHERE state = 'streaming'
""")


def replica_lags(store: Store) -> dict[str, float]:
    """Return how far each replica is behind, the farther one of two with a name; nothing for a file."""
    if store.file is not None:
        return {}
    lags: dict[str, float] = {}
    with store.reading() as connection:
        for name, lag_ms, is_level in connection.execute(_LAGS):
            if lag_ms is not None or is_level:
                behind_ms = 0.0 if lag_ms is None else float(lag_ms)
                lags[name] = max(behind_ms, lags.get(name, 0.0))
    return lags
