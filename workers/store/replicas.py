"""How far the copies of a database have come, as PostgreSQL tells of its streaming replicas.

A replica is known by its ``application_name``: call it like its region.  Positions count the bytes that the
primary has ever written to its log.

Units:   milliseconds; bytes.
Errors:  StoreUnavailable.
Source:  PostgreSQL's documentation, 28.2.4 "pg_stat_replication".  Its *replay_lag* tells how long the
         latest replay took that was reported: of a replica that stands still it says nothing new, and of one
         that has nothing to replay, nothing.  Who may not see it (grant pg_monitor) is told of no replica.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from workers.store.engine import Store

_PRIMARY = sa.text("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
_REPLICAS = sa.text("""
    SELECT application_name, pg_wal_lsn_diff(replay_lsn, '0/0'), extract(epoch FROM replay_lag) * 1000
    FROM pg_stat_replication WHERE state IN ('streaming', 'catchup') AND replay_lsn IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class Replica:
    """One copy: up to which position it has replayed, and how long its latest replay took, if known."""

    name: str
    replayed: int
    replay_ms: float | None


@dataclass(frozen=True, slots=True)
class Replication:
    """How much the primary has *written*, and its copies."""

    written: int
    replicas: tuple[Replica, ...]


def replication(store: Store) -> Replication | None:
    """Return what the primary tells; None: there are no replicas, or this is no primary."""
    if store.file is not None:
        return None
    with store.reading() as connection:
        if connection.scalar(sa.text("SELECT pg_is_in_recovery()")):
            return None
        written = int(connection.scalar(_PRIMARY) or 0)
        found = connection.execute(_REPLICAS).all()
    replicas = tuple(
        Replica(name, int(replayed), None if replay_ms is None else float(replay_ms))
        for name, replayed, replay_ms in found
    )
    return Replication(written, replicas) if replicas else None
