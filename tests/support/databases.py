"""Databases of our own for tests: a file, and a database on the PostgreSQL of this machine."""

import contextlib
import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

SERVER = "postgresql+psycopg://postgres@127.0.0.1:5432"
_MISSING = "NO POSTGRESQL ON THIS MACHINE: the product's PostgreSQL side is NOT tested by this run"


@contextlib.contextmanager
def postgresql_database() -> Iterator[str]:
    """Give the URL of an empty database, which is dropped afterwards; skip loudly without a server."""
    name = f"ion_test_{uuid.uuid4().hex[:12]}"
    admin = sa.create_engine(
        f"{SERVER}/postgres", isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3}
    )
    try:
        try:
            with admin.connect() as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
        except OperationalError:
            pytest.skip(_MISSING)
        try:
            yield f"{SERVER}/{name}"
        finally:
            with admin.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        admin.dispose()
