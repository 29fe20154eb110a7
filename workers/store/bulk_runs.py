"""The ledger of bulk runs: one row a run, which says how far its input is done and its files are good.

A run belongs to the process that holds its lease: *owner*, renewed with every commit.  A lease that was not
renewed for ``LEASE_MS`` may be taken over; whoever lost it changes nothing any more, since every statement
names its owner.

Units:   times in milliseconds since the Unix epoch, by the server's clock where there is a server; offsets
         in bytes; lines count from 1.
Errors:  StoreUnavailable.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from workers.store.engine import Store
from workers.store.metadata import metadata

LEASE_MS = 10_000
KEPT_MS = 90 * 24 * 3_600_000  # runs that ended longer ago are forgotten when another one starts

RUNNING = "running"
COMPLETE = "complete"
INTERRUPTED = "interrupted"
FAILED = "failed"
CANCELLED = "cancelled"
REPLACED = "replaced"  # another run has overwritten its output

_LARGE = sa.BigInteger()

_RUNS = sa.Table(
    "bulk_runs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("input", sa.Text, nullable=False),
    sa.Column("identity", sa.Text, nullable=False),
    sa.Column("format", sa.Text, nullable=False),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("output", sa.Text, nullable=False, index=True),
    sa.Column("rejects", sa.Text, nullable=False),
    sa.Column("upto", _LARGE, nullable=False),
    sa.Column("beyond", sa.Text, nullable=False),
    sa.Column("output_bytes", _LARGE, nullable=False),
    sa.Column("rejects_bytes", _LARGE, nullable=False),
    sa.Column("read", _LARGE, nullable=False),
    sa.Column("ok", _LARGE, nullable=False),
    sa.Column("cached", _LARGE, nullable=False),
    sa.Column("rejected", _LARGE, nullable=False),
    sa.Column("failed", _LARGE, nullable=False),
    sa.Column("blank", _LARGE, nullable=False),
    sa.Column("share", sa.Float, nullable=True),
    sa.Column("worked_ms", _LARGE, nullable=False),
    sa.Column("started_ms", _LARGE, nullable=False, index=True),
    sa.Column("updated_ms", _LARGE, nullable=False),
    sa.Column("ended_ms", _LARGE, nullable=True),
    sa.Column("resumed", sa.Integer, nullable=False),
    sa.Column("cancel", sa.Boolean, nullable=False),
    sa.Column("owner", sa.Text, nullable=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
)


class Holder(msgspec.Struct, frozen=True):
    """A process that works at a run; *token* is its alone."""

    token: str
    host: str
    pid: int


class Mark(msgspec.Struct, frozen=True):
    """How far a run is: what of the input is done, and up to which bytes its files hold just that."""

    upto: int = 0  # every line up to this one
    beyond: list[tuple[int, int]] = []  # and these spans
    output_bytes: int = 0
    rejects_bytes: int = 0
    read: int = 0
    ok: int = 0
    cached: int = 0
    rejected: int = 0
    failed: int = 0
    blank: int = 0
    share: float | None = None  # of the input, in [0, 1]; None where nobody can know
    worked_ms: int = 0  # by all who worked at it


class BulkRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as the ledger knows it."""

    id: str
    state: str = RUNNING
    reason: str = ""
    input: str
    identity: str  # tells whether an input is the same
    format: str
    options: dict[str, Any]
    output: str
    rejects: str
    mark: Mark = Mark()
    started_ms: int = 0
    updated_ms: int = 0
    ended_ms: int | None = None
    resumed: int = 0
    cancel: bool = False
    owner: str | None = None
    host: str = ""
    pid: int = 0
    now_ms: int = 0  # when it was read

    @property
    def stale(self) -> bool:
        """Whether its holder was not heard of for so long that it has to be dead."""
        return self.now_ms - self.updated_ms > LEASE_MS


class BulkRuns:
    """The runs in *store*."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def start(self, run: BulkRun, holder: Holder) -> bool:
        """Take *run* into the ledger, held by *holder*; False if its id is taken.

        Other runs of this host with the same output cannot go on from here: they become ``replaced``.
        """
        with self._store.writing() as connection:
            now = _now_ms(connection)
            found = connection.execute(sa.select(_RUNS.c.id).where(_RUNS.c.id == run.id)).first()
            if found is not None:
                return False
            old = (_RUNS.c.owner.is_(None)) & (_RUNS.c.updated_ms < now - KEPT_MS)
            connection.execute(sa.delete(_RUNS).where(old))
            same = (_RUNS.c.output == run.output) & (_RUNS.c.host == holder.host)
            connection.execute(
                sa.update(_RUNS)
                .where(same & (_RUNS.c.state != COMPLETE))
                .values(state=REPLACED, owner=None, reason=f"run {run.id} overwrote its output")
            )
            row = {
                **_row_of(run.mark),
                **{name: getattr(run, name) for name in _GIVEN},
                "options": msgspec.json.encode(run.options).decode(),
                "state": RUNNING,
                "reason": "",
                "started_ms": now,
                "updated_ms": now,
                "ended_ms": None,
                "resumed": 0,
                "cancel": False,
                "owner": holder.token,
                "host": holder.host,
                "pid": holder.pid,
            }
            connection.execute(sa.insert(_RUNS).values(row))
        return True

    def take(
        self, run_id: str, holder: Holder, is_free: Callable[[BulkRun], bool]
    ) -> tuple[BulkRun | None, bool]:
        """Return the run as it was found, and whether *holder* has it now: *is_free* judges its lease."""
        with self._store.writing() as connection:
            now = _now_ms(connection)
            row = (
                connection.execute(sa.select(_RUNS).where(_RUNS.c.id == run_id).with_for_update())
                .mappings()
                .first()
            )
            if row is None:
                return None, False
            run = _run_of(row, now)
            if run.owner is not None and not is_free(run):
                return run, False
            connection.execute(
                sa.update(_RUNS)
                .where(_RUNS.c.id == run_id)
                .values(
                    state=RUNNING,
                    reason="",
                    ended_ms=None,
                    updated_ms=now,
                    cancel=False,
                    owner=holder.token,
                    host=holder.host,
                    pid=holder.pid,
                    resumed=_RUNS.c.resumed + 1,
                )
            )
        return run, True

    def commit(self, run_id: str, token: str, mark: Mark | None) -> bool | None:
        """Renew the lease and, if given, say how far the run is.

        Returns whether somebody asked to cancel it; None if the lease is another's.
        """
        with self._store.writing() as connection:
            changed = {"updated_ms": _now_ms(connection)}
            asked = connection.execute(
                sa.update(_RUNS)
                .where((_RUNS.c.id == run_id) & (_RUNS.c.owner == token))
                .values({**changed, **(_row_of(mark) if mark is not None else {})})
                .returning(_RUNS.c.cancel)
            ).first()
        return None if asked is None else bool(asked[0])

    def end(self, run_id: str, token: str, state: str, reason: str) -> bool:
        """Write down how the run ended and give up the lease; False if it is another's."""
        with self._store.writing() as connection:
            now = _now_ms(connection)
            done = connection.execute(
                sa.update(_RUNS)
                .where((_RUNS.c.id == run_id) & (_RUNS.c.owner == token))
                .values(state=state, reason=reason, updated_ms=now, ended_ms=now, owner=None)
            )
            return bool(done.rowcount)

    def cancel(self, run_id: str, is_free: Callable[[BulkRun], bool]) -> BulkRun | None:
        """Ask whoever works at the run to stop, or mark it where nobody does; return it as it is now."""
        with self._store.writing() as connection:
            now = _now_ms(connection)
            chosen = sa.select(_RUNS).where(_RUNS.c.id == run_id)
            row = connection.execute(chosen.with_for_update()).mappings().first()
            if row is None:
                return None
            run = _run_of(row, now)
            values: dict[str, Any] = {}
            if run.owner is not None and not is_free(run):
                values = {"cancel": True}
            elif run.state not in {COMPLETE, CANCELLED, REPLACED}:
                values = {"state": CANCELLED, "owner": None, "reason": "cancelled", "ended_ms": now}
            if values:
                connection.execute(sa.update(_RUNS).where(_RUNS.c.id == run_id).values(values))
            return _run_of(connection.execute(chosen).mappings().one(), now)

    def get(self, run_id: str) -> BulkRun | None:
        """Return the run of that id."""
        found = self._find(_RUNS.c.id == run_id, 1)
        return found[0] if found else None

    def newest(self, limit: int) -> list[BulkRun]:
        """Return the newest runs, newest first."""
        return self._find(sa.true(), limit)

    def of_output(self, output: str, host: str) -> BulkRun | None:
        """Return the newest run of *host* that wrote *output* and was not replaced."""
        same = (_RUNS.c.output == output) & (_RUNS.c.host == host) & (_RUNS.c.state != REPLACED)
        found = self._find(same, 1)
        return found[0] if found else None

    def _find(self, where: sa.ColumnElement[bool], limit: int) -> list[BulkRun]:
        with self._store.reading() as connection:
            chosen = sa.select(_RUNS).where(where).order_by(_RUNS.c.started_ms.desc(), _RUNS.c.id)
            rows = connection.execute(chosen.limit(limit)).mappings().all()
            now = _now_ms(connection)
        return [_run_of(row, now) for row in rows]


_GIVEN = ("id", "input", "identity", "format", "output", "rejects")  # by whoever starts a run


def _row_of(mark: Mark) -> dict[str, Any]:
    return {**msgspec.structs.asdict(mark), "beyond": msgspec.json.encode(mark.beyond).decode()}


def _run_of(row: sa.RowMapping, now_ms: int) -> BulkRun:
    beyond = msgspec.json.decode(row["beyond"], type=list[tuple[int, int]])
    counted = {name: row[name] for name in Mark.__struct_fields__ if name != "beyond"}
    kept = {n: row[n] for n in BulkRun.__struct_fields__ if n not in {"mark", "options", "now_ms"}}
    options = msgspec.json.decode(row["options"])
    return BulkRun(**kept, options=options, mark=Mark(beyond=beyond, **counted), now_ms=now_ms)


def _now_ms(connection: sa.Connection) -> int:
    """Return the time by the server's clock: producers on several hosts compare leases by it."""
    if connection.dialect.name == "postgresql":
        told = connection.scalar(sa.select(sa.extract("epoch", sa.func.clock_timestamp()) * 1000))
        return int(told or 0)
    return int(time.time() * 1000)
