"""Which errors of a database say that it is not available, in words for operators.

Anything else is a bug of ours and stays what it is.  Messages of drivers are never passed on: they may
quote a row.

Source: sqlite.org/rescode.html; PostgreSQL's documentation, appendix A (SQLSTATE); sqlalchemy/exc.py 2.1.
"""

import sqlite3

from sqlalchemy import exc

from workers.store.errors import StoreUnavailable

WHAT = "the database"

_ROOM = "make room on its disk"
_RIGHTS = "let this user write the file and its directory"
_SERVER = "see that the server runs and takes connections from here"

# primary result code -> (why, fix)
_SQLITE = {
    sqlite3.SQLITE_BUSY: ("locked by another process", "try again; end what holds it for long"),
    sqlite3.SQLITE_LOCKED: ("locked by another connection", "try again"),
    sqlite3.SQLITE_READONLY: ("read-only", _RIGHTS),
    sqlite3.SQLITE_PERM: ("not permitted", _RIGHTS),
    sqlite3.SQLITE_CANTOPEN: ("the file cannot be opened", f"{_RIGHTS}; the directory has to be there"),
    sqlite3.SQLITE_FULL: ("the disk is full", _ROOM),
    sqlite3.SQLITE_IOERR: ("reading or writing the file failed", f"see to the disk; {_ROOM}"),
    sqlite3.SQLITE_NOMEM: ("out of memory", "free some"),
    sqlite3.SQLITE_NOTADB: ("the file is no SQLite database", "name another file, or move that one away"),
    sqlite3.SQLITE_CORRUPT: ("the file is damaged", "move it away, or restore it from a copy"),
}

# SQLSTATE, or its class of two characters -> (why, fix)
_POSTGRESQL = {
    "25006": ("read-only", "name the primary server"),
    "28": ("the server refuses this user", "correct the user or the password in ION_DATABASE_URL"),
    "3D000": ("there is no such database", "create it, or correct its name in ION_DATABASE_URL"),
    "40": ("too many changed the same rows at once", "try again"),
    "42501": ("this user may not do that", "grant it the right to create and change tables"),
    "53100": ("the disk is full", _ROOM),
    "53": ("the server is out of resources", "see the server's log"),
    "55P03": ("locked by another connection", "try again"),
    "57014": ("it took too long", "try again; see what holds the server up"),
    "57": ("the server is shutting down or starting", "try again"),
    "58": ("the server has trouble with its system", "see the server's log"),
    "08": ("the connection was lost", _SERVER),
}


def failure_of(error: BaseException) -> StoreUnavailable | None:
    """Return what *error* means for whoever needs the database; None: it is a bug."""
    if isinstance(error, exc.TimeoutError):
        return StoreUnavailable(WHAT, "all connections are in use", "try again")
    if not isinstance(error, exc.DBAPIError):
        return None
    cause = error.orig
    if isinstance(cause, sqlite3.Error):
        return _found(_SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF))  # extended codes: high bits
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return _found(_POSTGRESQL.get(state, _POSTGRESQL.get(state[:2])))
    if error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError):
        return StoreUnavailable(WHAT, "no connection", _SERVER)  # refused, timed out, or cut
    return None


def _found(said: tuple[str, str] | None) -> StoreUnavailable | None:
    return None if said is None else StoreUnavailable(WHAT, *said)
