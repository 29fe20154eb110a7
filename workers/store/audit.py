"""The audit log: who did, or was refused, what an operator may have to answer for.

Rows are only ever added, and deleted by their age.  No method changes one.

Units:   times in milliseconds since the Unix epoch, UTC.
Errors:  StoreUnavailable from every method.
"""

from typing import Any

import msgspec
import sqlalchemy as sa

from workers.store.engine import Store
from workers.store.letters import cleaned
from workers.store.metadata import metadata

_LONGEST = 500  # characters of any text

_LOG = sa.Table(
    "audit_log",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),  # counts up
    sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("proof", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("allowed", sa.Boolean, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One deed: *subject*, in *role*, having shown *proof*, did *action* to *target*, or tried to.

    *subject* is empty for somebody unknown.  *request_id* and *address* are those of an HTTP request.
    """

    at_ms: int
    subject: str
    role: str
    proof: str
    action: str
    target: str = ""
    allowed: bool = True
    request_id: str = ""
    address: str = ""


_NAMES = Entry.__struct_fields__
_ROW = [_LOG.c[name] for name in _NAMES]


class AuditStore:
    """The audit log in *store*, which belongs to whoever opened it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def append(self, entry: Entry) -> None:
        """Keep *entry*."""
        with self._store.writing() as connection:
            _insert(connection, entry)

    def find(self, since_ms: int, limit: int) -> list[Entry]:
        """Return at most *limit* entries that are no older than *since_ms*, the newest first."""
        query = (
            sa.select(*_ROW).where(_LOG.c.at_ms >= since_ms).order_by(_LOG.c.at_ms.desc(), _LOG.c.id.desc())
        )
        with self._store.reading() as connection:
            return [_entry(row) for row in connection.execute(query.limit(limit))]

    def count(self, since_ms: int) -> int:
        """Return how many entries are no older than *since_ms*."""
        query = sa.select(sa.func.count()).select_from(_LOG).where(_LOG.c.at_ms >= since_ms)
        with self._store.reading() as connection:
            return int(connection.scalar(query) or 0)

    def purge(self, before_ms: int, purged_by: Entry) -> int:
        """Delete what is older than *before_ms*, keep who did so, and return how many are gone."""
        with self._store.writing() as connection:
            _insert(connection, purged_by)
            return int(connection.execute(sa.delete(_LOG).where(_LOG.c.at_ms < before_ms)).rowcount)


def _insert(connection: sa.Connection, entry: Entry) -> None:
    row = {
        name: cleaned(value, _LONGEST) if isinstance(value, str) else value
        for name, value in msgspec.structs.asdict(entry).items()
    }
    connection.execute(sa.insert(_LOG).values(row))


def _entry(row: sa.Row[Any]) -> Entry:
    return msgspec.convert(dict(zip(_NAMES, row, strict=True)), Entry)
