"""Write to a database as a process of its own, and print how that failed: URL [--uid N] [--room BYTES]."""

import argparse
import os
import resource
import signal

import sqlalchemy as sa

from workers.store.engine import Store, open_store
from workers.store.errors import StoreUnavailable

GROW = """
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)
    INSERT INTO dead_letter_retries (becomes, letter) SELECT 'x' || i, 'none' FROM n
"""
LATER = "PRAGMA defer_foreign_keys=ON"  # the rows need not stand for anything before the end


def use(store: Store) -> None:
    """Write, and change nothing."""
    with store.writing() as connection:
        connection.execute(sa.text("DELETE FROM dead_letters WHERE id = 'none'"))


def main() -> None:
    """Do as the arguments say."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("--uid", type=int, default=os.geteuid())
    arguments.add_argument("--room", type=int)
    given = arguments.parse_args()
    if given.uid != os.geteuid():
        os.setuid(given.uid)
    with open_store(given.url, patience_s=60) as store:
        try:
            use(store)
            if given.room is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error rather than the end
                resource.setrlimit(resource.RLIMIT_FSIZE, (given.room, given.room))
                with store.writing() as connection:
                    connection.exec_driver_sql(LATER)
                    connection.exec_driver_sql(GROW)
                    connection.exec_driver_sql("DELETE FROM dead_letter_retries")
        except StoreUnavailable as error:
            print(error)


if __name__ == "__main__":
    main()
