"""Open the database: SQLite in a file, or PostgreSQL.

    store = open_store("sqlite:////var/lib/ion/ion.db")
    with store.writing() as connection:
        connection.execute(...)
    store.close()

Nothing connects before the first use, which also brings the tables up to date.  A store belongs to the
process that opened it: open one after a fork.

Units:   timeouts in seconds here; every time in the tables is in milliseconds since the Unix epoch, UTC.
Errors:  StoreUnavailable, when it is locked, full, read-only or away; UnusableUrl from ``open_store``.
Source:  sqlite.org/wal.html, sqlite.org/pragma.html; SQLAlchemy 2.1, dialects/sqlite ("Transactions").
"""

import contextlib
import importlib.util
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from workers.store import upgrade
from workers.store.errors import StoreUnavailable, UnusableUrl
from workers.store.failures import WHAT, failure_of

PATIENCE_S = 5.0  # with a lock that another process holds
CONNECT_S = 3  # with a server that does not answer
STATEMENT_S = 10.0  # with one statement on a server; tables being brought up to date may take longer

_WRITES = "ion_writes"
_POSTGRESQL = "postgresql+psycopg"


class Store:
    """A database.  Safe to use from the threads of one process; whoever opened it closes it."""

    def __init__(self, url: URL, patience_s: float = PATIENCE_S, *, create: bool = True) -> None:
        self._url, self._create = url, create
        self._engine = _sqlite(url, patience_s) if self.file is not None else _postgresql(url, patience_s)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        self._lock = threading.Lock()
        self._ready = False

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database; None for a server."""
        return Path(str(self._url.database)) if self._url.get_backend_name() == "sqlite" else None

    @property
    def where(self) -> str:
        """Where the database is, for people: without a password."""
        return str(self.file) if self.file is not None else self._url.render_as_string()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection to read with: one view of the data for as long as the block lasts."""
        with _bearing_failures():
            self._make_ready()
            with self._engine.begin() as connection:
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Give a connection to write with, whose changes take effect together when the block ends well.

        SQLite has one writer at a time: the block waits its turn at its beginning, and never in its midst.
        """
        with _bearing_failures():
            self._make_ready()
            with self._writer.begin() as connection:
                yield connection

    def time_queries(self, told: Callable[[float], None]) -> None:
        """Have *told* hear of each query from now on, in whichever thread makes it: how many ms it took."""

        @event.listens_for(self._engine, "before_cursor_execute")
        def _begin(*given: Any) -> None:
            given[4]._ion_begun = time.perf_counter()  # noqa: SLF001 - the query's context is ours to note on

        @event.listens_for(self._engine, "after_cursor_execute")
        def _end(*given: Any) -> None:
            told((time.perf_counter() - given[4]._ion_begun) * 1000)  # noqa: SLF001 - likewise

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_ready(self) -> None:
        if self._ready:
            return
        with self._lock:
            if not self._ready:
                if self.file is not None:
                    _make_file(self.file, create=self._create)
                upgrade.bring_up_to_date(self._engine, self._writer)
                self._ready = True


def open_store(url: str, patience_s: float = PATIENCE_S, *, create: bool = True) -> Store:
    """Return the database at *url*, as SQLAlchemy writes them; raise UnusableUrl.

    ``sqlite:///relative/path.db``, ``sqlite:////absolute/path.db``, or
    ``postgresql+psycopg://user:password@host/database`` (``postgresql://`` means the same).  Without
    *create*, a file that is not there yet is not made: using it raises StoreUnavailable.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # it may quote the URL
        raise UnusableUrl("is no database URL", "use sqlite:////path/ion.db or postgresql://...") from None
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"}:
        if parsed.host or not parsed.database or parsed.database == ":memory:" or parsed.query:
            raise UnusableUrl("names no file", "use sqlite:////absolute/path.db, with four slashes")
        path = Path(parsed.database).expanduser().absolute()
        return Store(parsed.set(drivername="sqlite", database=str(path)), patience_s, create=create)
    if parsed.drivername in {"postgresql", "postgres", _POSTGRESQL}:
        if importlib.util.find_spec("psycopg") is None:
            fix = "install ion-mentoring[postgres], or use sqlite:////path/ion.db"
            raise UnusableUrl("needs psycopg, which is not installed", fix)
        return Store(parsed.set(drivername=_POSTGRESQL), patience_s, create=create)
    raise UnusableUrl("names a kind of database that we do not use", "use SQLite or PostgreSQL")


@contextlib.contextmanager
def _bearing_failures() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        raise failure from None  # the cause may quote a row


def _make_file(file: Path, *, create: bool) -> None:
    """See that *file* is there, readable by its owner only: it holds what people wrote.

    One that is there is not opened: closing it would end the locks of every connection that this process has
    to it (sqlite.org/howtocorrupt.html, 2.2).
    """
    if not create:
        if not file.exists():
            fix = "start a stack with `ion up`, or set ION_DATABASE_URL"
            raise StoreUnavailable(WHAT, f"there is none at {file}", fix)
        return
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if not file.exists():  # or somebody else has just made it
            fix = "make its directory writable, or set ION_DATABASE_URL"
            raise StoreUnavailable(WHAT, f"{file}: {error.strerror}", fix) from None


def _sqlite(url: URL, patience_s: float) -> sa.Engine:
    engine = sa.create_engine(
        url,
        hide_parameters=True,  # they are people's words
        connect_args={"timeout": patience_s},
        pool_timeout=patience_s,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, below
        _use_wal(connection, patience_s)
        connection.execute("PRAGMA synchronous=NORMAL")  # after a power cut the last moments may be missing
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA secure_delete=ON")  # what people wrote is gone when it is deleted

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        # a reader that becomes a writer half-way fails at once when another wrote meanwhile
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_wal(connection: sqlite3.Connection, patience_s: float) -> None:
    """Let readers and the writer go on beside each other.  The file remembers it.

    SQLite does not wait for its turn here, whatever its timeout, so we do.
    """
    deadline = time.monotonic() + patience_s
    while not _switched_to_wal(connection, until=deadline):
        time.sleep(0.01)


def _switched_to_wal(connection: sqlite3.Connection, until: float) -> bool:
    try:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        why = error.sqlite_errorcode & 0xFF
        if why == sqlite3.SQLITE_BUSY and time.monotonic() < until:
            return False
        if why != sqlite3.SQLITE_READONLY:  # reading does without
            raise
    return True


def _postgresql(url: URL, patience_s: float) -> sa.Engine:
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        pool_size=15,
        max_overflow=5,
        pool_timeout=patience_s,
        pool_pre_ping=True,  # a restarted server costs a ping, not a failure
        pool_recycle=1_800,
        connect_args={
            "connect_timeout": CONNECT_S,
            "application_name": "ion",
            "keepalives_idle": 5,  # these find a server that is cut off within some ten seconds
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            "prepare_threshold": None,  # poolers such as PgBouncer hand statements to other connections
        },
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(STATEMENT_S * 1000)}")

    return engine
