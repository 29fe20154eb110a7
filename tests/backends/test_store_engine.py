"""The database: opened once by whoever comes first, and failing in words."""

import importlib
import os
import pkgutil
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import workers.store
from tests.support.databases import SERVER, postgresql_database
from tests.support.use_database import GROW, LATER, use
from workers.store import upgrade
from workers.store.engine import Store, open_store
from workers.store.errors import StoreUnavailable, UnusableUrl
from workers.store.metadata import metadata

ROOT = Path(__file__).parents[2]
USE = (sys.executable, "-m", "tests.support.use_database")
PATIENCE_S = 0.2  # with a lock that a test holds for good
TABLES = "SELECT count(*) FROM dead_letters"


def opened(tmp_path: Path) -> Path:
    """Return the file of a database with all its tables."""
    file = tmp_path / "ion.db"
    with open_store(f"sqlite:///{file}") as store:
        use(store)
    return file


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    with postgresql_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'ion.db'}"
    return str(request.getfixturevalue("postgresql"))


def test_many_processes_may_open_a_new_database_at_once(url: str) -> None:
    # started together, they meet in the moment that makes the file and its tables
    started = [subprocess.Popen([*USE, url], cwd=ROOT) for _ in range(6)]
    assert [process.wait(100) for process in started] == [0] * 6


def test_the_migrations_make_what_the_tables_say(url: str) -> None:
    for module in pkgutil.iter_modules(workers.store.__path__, "workers.store."):
        if not module.ispkg:
            importlib.import_module(module.name)
    with open_store(url) as store, store.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_newest_file_is_alembics_head() -> None:
    """They are compared without loading Alembic, so the numbers have to be in order."""
    config = Config()
    config.set_main_option("script_location", str(Path(upgrade.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [upgrade.newest_revision()]


def test_a_database_of_a_newer_version_is_used_as_it_is(tmp_path: Path) -> None:
    """While a fleet is updated, workers of both versions run beside each other."""
    file = opened(tmp_path)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with open_store(f"sqlite:///{file}") as store:
        use(store)


def test_what_a_block_wrote_is_undone_when_it_fails(url: str) -> None:
    with open_store(url) as store:
        failing(store, "CREATE TABLE undone (a INTEGER)", "SELECT 1 FROM no_such_table", of=sa.exc.DBAPIError)
        with store.reading() as connection:
            assert not sa.inspect(connection).has_table("undone")


def test_readers_go_on_beside_the_writer(tmp_path: Path) -> None:
    file = opened(tmp_path)
    with (
        open_store(f"sqlite:///{file}", PATIENCE_S) as one,
        open_store(f"sqlite:///{file}", PATIENCE_S) as two,
    ):
        with one.writing() as connection, two.reading() as other:
            connection.execute(sa.text("DELETE FROM dead_letters"))
            assert other.scalar(sa.text(TABLES)) == 0
        with one.reading() as connection:
            settings = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
    assert settings == ["wal", 1, 1]


def test_two_stores_of_one_process_see_what_another_process_writes(tmp_path: Path) -> None:
    """A process loses its locks on a file when it closes any descriptor of it, whoever opened that.

    Without them, the other process takes itself for the last one, and removes the log that ours go on with.
    """
    file = opened(tmp_path)
    write = "INSERT INTO dead_letter_retries SELECT 'x' || count(*), 'y' FROM dead_letter_retries"
    script = (
        f"import sqlite3; c = sqlite3.connect({str(file)!r}); c.execute({write!r}); c.commit(); c.close()"
    )

    def retries(store: Store) -> object:
        with store.reading() as connection:
            return connection.scalar(sa.text("SELECT count(*) FROM dead_letter_retries"))

    with open_store(f"sqlite:///{file}") as first, open_store(f"sqlite:///{file}") as second:
        assert (retries(first), retries(second)) == (0, 0)
        for written in (1, 2):  # the first one's end is what the second one's writing is lost by
            subprocess.run([sys.executable, "-c", script], check=True)
            assert (retries(first), retries(second)) == (written, written)


def test_its_files_are_for_their_owner_only(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'new' / 'ion.db'}") as store, store.reading() as connection:
        connection.execute(sa.text(TABLES))
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()}
    assert files == dict.fromkeys(("ion.db", "ion.db-wal", "ion.db-shm"), 0o600)


# -- failures ---------------------------------------------------------------------------------------


def failure(store: Store) -> str:
    with store, pytest.raises(StoreUnavailable) as caught:
        use(store)
    assert str(caught.value).startswith("the database is not available: ")
    return caught.value.why


def failing(store: Store, *statements: str, of: type[Exception] = StoreUnavailable) -> Exception:
    def run() -> None:
        with store.writing() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    with pytest.raises(of) as caught:
        run()
    return caught.value


def said_by(url: str, *options: str) -> str:
    done = subprocess.run([*USE, url, *options], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_lock_that_another_process_keeps(tmp_path: Path) -> None:
    file = opened(tmp_path)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert failure(open_store(f"sqlite:///{file}", PATIENCE_S)) == "locked by another process"
    holder.close()


def test_a_new_file_that_another_process_locks(tmp_path: Path) -> None:
    """Turning the write-ahead log on is where SQLite itself does not wait."""
    holder = sqlite3.connect(tmp_path / "ion.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert failure(open_store(f"sqlite:///{tmp_path / 'ion.db'}", PATIENCE_S)) == "locked by another process"
    holder.close()


def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on the pages of the database stands for the disk: SQLite reports both alike."""
    with open_store(f"sqlite:///{opened(tmp_path)}") as store:
        smallest = "PRAGMA max_page_count=1"  # which SQLite raises to what there is
        error = failing(store, smallest, LATER, GROW)
    assert str(error) == "the database is not available: the disk is full; make room on its disk"


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """What a quota does, by a limit of the process."""
    said = said_by(f"sqlite:///{tmp_path / 'ion.db'}", "--room", "100000")
    assert said.startswith("the database is not available: ")
    assert "make room" in said


@pytest.fixture
def somebody_else() -> int:
    """Root may write anything, so the test steps down to a user who may not."""
    if os.geteuid() != 0:
        return os.geteuid()
    return 65_534


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_file_or_a_directory_that_may_not_be_written(tmp_path: Path, somebody_else: int, what: str) -> None:
    file = opened(tmp_path)
    for path, mode in ((tmp_path, 0o755), (file, 0o644)):
        path.chmod(mode)
    directory = Path("/tmp") / f"ion-{os.getpid()}-{what}"  # noqa: S108 - pytest's are closed to others
    shutil.copytree(tmp_path, directory)
    if what == "file":
        directory.chmod(0o777)
    try:
        said = said_by(f"sqlite:///{directory / 'ion.db'}", "--uid", str(somebody_else))
    finally:
        shutil.rmtree(directory)
    assert "read-only" in said or "cannot be opened" in said
    assert "let this user write the file and its directory" in said


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "ion.db").write_text("shopping list: " + "milk, " * 1_000)
    assert failure(open_store(f"sqlite:///{tmp_path / 'ion.db'}")) == "the file is no SQLite database"


def test_a_damaged_file(tmp_path: Path) -> None:
    file = opened(tmp_path)
    data = bytearray(file.read_bytes())
    data[200 : len(data)] = b"\xff" * (len(data) - 200)
    file.write_bytes(data)
    assert failure(open_store(f"sqlite:///{file}")) == "the file is damaged"


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "File exists" in failure(open_store(f"sqlite:///{tmp_path / 'file' / 'ion.db'}"))


def test_one_that_only_looks_makes_no_file(tmp_path: Path) -> None:
    assert "there is none at" in failure(open_store(f"sqlite:///{tmp_path / 'ion.db'}", create=False))
    assert not (tmp_path / "ion.db").exists()


def test_a_server_that_is_not_there() -> None:
    assert failure(open_store("postgresql://postgres@127.0.0.1:1/ion")) == "no connection"


def test_a_database_and_a_user_that_are_not_there(postgresql: str) -> None:
    _ = postgresql  # there is a server
    why = failure(open_store(f"{SERVER}/there_is_no_such_thing"))
    assert why in {"there is no such database", "no connection"}


def test_a_server_that_cuts_the_connection(postgresql: str) -> None:
    with open_store(postgresql) as store:
        failing(store, "SELECT pg_terminate_backend(pg_backend_pid())", TABLES)
        use(store)  # and the next one gets another


def test_a_read_only_server(postgresql: str) -> None:
    with open_store(postgresql) as store:
        error = failing(store, "SET TRANSACTION READ ONLY", "DELETE FROM dead_letters")
    assert str(error).startswith("the database is not available: read-only")


def test_a_bug_is_not_taken_for_an_outage(url: str) -> None:
    with open_store(url) as store:
        failing(store, "SELECT 1 FROM no_such_table", of=sa.exc.DBAPIError)


def test_an_error_does_not_show_what_was_to_be_written(url: str) -> None:
    def write(store: Store) -> None:
        with store.writing() as connection:
            row = {"becomes": "my very private words", "letter": "none"}
            connection.execute(
                sa.text("INSERT INTO dead_letter_retries VALUES (:becomes, :letter || CAST(1 AS TEXT))"), row
            )

    with open_store(url) as store, pytest.raises(sa.exc.IntegrityError) as caught:
        write(store)
    assert "private" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense", "is no database URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite://host/x.db", "names no file"),
        ("mysql://secret@host/ion", "names a kind of database that we do not use"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_unquoted(url: str, problem: str) -> None:
    with pytest.raises(UnusableUrl) as caught:
        open_store(url)
    assert caught.value.problem == problem
    assert str(caught.value).startswith("ION_DATABASE_URL ")
    assert "secret" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    with open_store("postgresql://me:secret@127.0.0.1/ion") as store:
        assert store.where == "postgresql+psycopg://me:***@127.0.0.1/ion"


def test_whoever_asks_hears_how_long_each_query_takes(url: str) -> None:
    took_ms: list[float] = []
    with open_store(url) as store:
        use(store)
        store.time_queries(took_ms.append)
        with store.reading() as connection:
            connection.execute(sa.text(TABLES))
        use(store)
    assert len(took_ms) >= 2
    assert min(took_ms) >= 0
