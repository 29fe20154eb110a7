"""Notices on their way to people, in the database: see ``workers.monitoring.notices.outbox``.

Units:   milliseconds since the Unix epoch.
Errors:  StoreUnavailable from every method.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from workers.monitoring.notices.outbox import LONGEST_WAIT_MS, Ended, Tally, Waiting, tallied
from workers.store.engine import Store
from workers.store.letters import cleaned
from workers.store.metadata import metadata

KEPT_MS = 90 * 24 * 3_600_000  # notices are, as long as the alerts that they tell of
_LONGEST = 300  # characters of what went wrong

_NOTICES = sa.Table(
    "notices",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("packed", sa.LargeBinary, nullable=False),
)
_DELIVERIES = sa.Table(
    "notice_deliveries",
    metadata,
    sa.Column("notice_id", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("due_ms", sa.BigInteger, nullable=False),  # later while somebody is at it
    sa.Column("ended_ms", sa.BigInteger, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Index("ix_notice_deliveries_state_due_ms", "state", "due_ms"),
    sa.Index("ix_notice_deliveries_ended_ms", "ended_ms"),
)
_INSERT: dict[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def put(
    connection: sa.Connection, notice_id: str, at_ms: int, packed: bytes, channels: Collection[str]
) -> None:
    """Take a notice for *channels* in the transaction of *connection*, once however often it comes."""
    notice = {"id": notice_id, "at_ms": at_ms, "packed": packed}
    connection.execute(_insert(connection, _NOTICES).values(notice))
    fresh = {"state": "waiting", "tries": 0, "due_ms": at_ms, "ended_ms": at_ms, "why": ""}
    for channel in sorted(set(channels)):  # in one order, so that two writers never wait for each other
        row = {"notice_id": notice_id, "channel": channel, **fresh}
        connection.execute(_insert(connection, _DELIVERIES).values(row))


class SqlOutbox:
    """The outbox in *store*, which belongs to whoever opened it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(self, notice_id: str, at_ms: int, packed: bytes, channels: Collection[str]) -> None:
        """Take a notice for *channels*, once however often it comes."""
        with self._store.writing() as connection:
            put(connection, notice_id, at_ms, packed, channels)

    def claim(self, now_ms: int, until_ms: int, limit: int) -> list[Waiting]:
        """Return at most *limit* due deliveries, the oldest first; nobody else gets them until *until_ms*."""
        if not self._has_due(now_ms):
            return []  # mostly so, and then nobody is kept from writing
        with self._store.writing() as connection:
            found = connection.execute(
                sa.select(
                    _DELIVERIES.c.notice_id,
                    _DELIVERIES.c.channel,
                    _NOTICES.c.at_ms,
                    _NOTICES.c.packed,
                    _DELIVERIES.c.tries,
                )
                .join(_NOTICES, _NOTICES.c.id == _DELIVERIES.c.notice_id)
                .where(_DELIVERIES.c.state == "waiting", _DELIVERIES.c.channel.not_in(_not_yet(now_ms)))
                .order_by(_NOTICES.c.at_ms, _DELIVERIES.c.notice_id, _DELIVERIES.c.channel)
                .limit(limit)
                .with_for_update(of=_DELIVERIES, skip_locked=True)
            ).all()
            claimed = [Waiting(*row) for row in found]
            for waiting in claimed:
                connection.execute(
                    sa.update(_DELIVERIES)
                    .where(_is(waiting.notice_id, waiting.channel))
                    .values(due_ms=until_ms)
                )
        return claimed

    def settle(self, ended: Sequence[Ended]) -> None:
        """Note what became of deliveries, and count the tries."""
        with self._store.writing() as connection:
            for end in ended:
                connection.execute(
                    sa.update(_DELIVERIES)
                    .where(_is(end.notice_id, end.channel), _DELIVERIES.c.state == "waiting")
                    .values(
                        state=end.state,
                        tries=_DELIVERIES.c.tries + 1,
                        due_ms=end.due_ms,
                        ended_ms=end.at_ms,
                        why=cleaned(end.why, _LONGEST),
                    )
                )

    def knows(self, notice_id: str) -> bool:
        """Tell whether the notice was put in, and is remembered."""
        with self._store.reading() as connection:
            query = sa.select(_NOTICES.c.id).where(_NOTICES.c.id == notice_id)
            return connection.scalar(query) is not None

    def sent(self, since_ms: int) -> dict[str, int]:
        """Return how many messages each channel was sent since then."""
        query = (
            sa.select(_DELIVERIES.c.channel, sa.func.count())
            .where(_DELIVERIES.c.ended_ms >= since_ms, _DELIVERIES.c.state == "sent")
            .group_by(_DELIVERIES.c.channel)
        )
        with self._store.reading() as connection:
            return {channel: int(count) for channel, count in connection.execute(query)}

    def tally(self, since_ms: int) -> dict[str, Tally]:
        """Return what became of the notices since then, by channel."""
        query = (
            sa.select(
                _DELIVERIES.c.notice_id,
                _DELIVERIES.c.channel,
                _DELIVERIES.c.state,
                _DELIVERIES.c.ended_ms,
                _DELIVERIES.c.due_ms,
                _DELIVERIES.c.why,
            )
            .join(_NOTICES, _NOTICES.c.id == _DELIVERIES.c.notice_id)
            .where(_NOTICES.c.at_ms >= since_ms)
        )
        with self._store.reading() as connection:
            ends = [Ended(*row) for row in connection.execute(query)]
        channels = sorted({end.channel for end in ends})
        return {channel: tallied([end for end in ends if end.channel == channel]) for channel in channels}

    def delete(self, before_ms: int) -> int:
        """Delete notices older than that, whatever became of them; return how many."""
        old = sa.select(_NOTICES.c.id).where(_NOTICES.c.at_ms < before_ms)
        with self._store.writing() as connection:
            connection.execute(sa.delete(_DELIVERIES).where(_DELIVERIES.c.notice_id.in_(old)))
            return int(connection.execute(sa.delete(_NOTICES).where(_NOTICES.c.at_ms < before_ms)).rowcount)

    def _has_due(self, now_ms: int) -> bool:
        with self._store.reading() as connection:
            waiting = sa.select(_DELIVERIES.c.channel).where(
                _DELIVERIES.c.state == "waiting", _DELIVERIES.c.channel.not_in(_not_yet(now_ms))
            )
            return connection.scalar(waiting.limit(1)) is not None


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    return _INSERT[connection.dialect.name](table).on_conflict_do_nothing()


def _not_yet(now_ms: int) -> sa.Select[tuple[str]]:
    """Return the channels of which something is put off, or in somebody's hands."""
    due_ms = _DELIVERIES.c.due_ms
    return sa.select(_DELIVERIES.c.channel).where(
        _DELIVERIES.c.state == "waiting", due_ms > now_ms, due_ms <= now_ms + LONGEST_WAIT_MS
    )


def _is(notice_id: str, channel: str) -> sa.ColumnElement[Any]:
    return sa.and_(_DELIVERIES.c.notice_id == notice_id, _DELIVERIES.c.channel == channel)
