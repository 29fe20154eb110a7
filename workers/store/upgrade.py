"""Bring the tables up to date, whoever of many processes comes first.

The revisions stand in ``migrations/versions``, numbered ``0001_...``, ``0002_...``; each only adds, so that
workers of the version before can go on beside newer ones.  Alembic takes a quarter of a second to load,
so it is loaded only when there is something to do.
"""

import threading
from pathlib import Path

import sqlalchemy as sa

_MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK_ID = 0x10_4D_E7_02  # of PostgreSQL's advisory lock: any number that nobody else uses

_one_at_a_time = threading.Lock()  # Alembic keeps the present migration in its modules


def newest_revision() -> str:
    """Return the number of the newest revision that this version knows."""
    return max(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def bring_up_to_date(reader: sa.Engine, writer: sa.Engine) -> None:
    """Run the revisions that the database lacks, all or none of them."""
    newest = newest_revision()
    with reader.begin() as connection:
        if _revision(connection) >= newest:
            return
    with _one_at_a_time, writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # another process may be at it
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_ID)))
        if _revision(connection) < newest:
            _run_alembic(connection)


def _revision(connection: sa.Connection) -> str:
    """Return the database's revision; empty for a new one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.scalar(sa.text("SELECT max(version_num) FROM alembic_version")) or "")


def _run_alembic(connection: sa.Connection) -> None:
    """Upgrade to the head, in the transaction of *connection*.

    Source: Alembic's cookbook, "Sharing a Connection across one or more programmatic migration commands".
    """
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
