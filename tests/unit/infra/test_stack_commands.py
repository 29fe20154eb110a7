"""The command lines of the stack, its URLs, and what its settings accept."""

import sys
from pathlib import Path

import pytest
import redis
from kombu import Connection
from pydantic import SecretStr, ValidationError

from infra.local.commands import (
    beat_command,
    beat_spec,
    cache_command,
    valkey_command,
    worker_command,
    worker_spec,
)
from infra.local.settings import LocalSettings, child_environment
from infra.local.urls import resolve, socket_urls

SOCKET = Path("/home/someone/a project/.ion/valkey.sock")
CACHE = Path("/c")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("BROKER_URL", "REPLY_URL", "CACHE_URL", "CACHE", "CACHE_MEMORY_MB", "BEAT")
    for name in (*names, "WORKERS", "STATE_DIR", "FLOWER", "WORKER_POOL"):
        monkeypatch.delenv(f"ION_{name}", raising=False)


def test_valkey_listens_on_its_socket_only_and_keeps_its_data() -> None:
    command = valkey_command(Path("/bin/valkey-server"), Path("/data"), SOCKET, memory_mb=64)
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert command[0] == "/bin/valkey-server"
    assert (options["--port"], options["--unixsocket"], options["--unixsocketperm"]) == (
        "0",
        str(SOCKET),
        "700",
    )
    assert (options["--appendonly"], options["--appendfsync"]) == ("yes", "no")
    assert (options["--maxmemory"], options["--maxmemory-policy"]) == ("64mb", "noeviction")
    assert "--pidfile" not in options


def test_the_cache_server_writes_nothing_and_makes_room_for_what_comes() -> None:
    command = cache_command(Path("/bin/valkey-server"), Path("/run"), Path("/c.sock"), memory_mb=64)
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert (options["--port"], options["--unixsocket"]) == ("0", "/c.sock")
    assert (options["--appendonly"], options["--save"]) == ("no", "")
    assert (options["--maxmemory"], options["--maxmemory-policy"]) == ("64mb", "volatile-lfu")


def test_a_worker_consumes_every_queue_in_class_order() -> None:
    command = worker_command(
        LocalSettings(worker_pool="threads", worker_concurrency=3, log_level="WARNING"), 2
    )

    assert command[:7] == (sys.executable, "-m", "celery", "--quiet", "-A", "workers.entry", "worker")
    assert command[command.index("-n") + 1] == "worker2@ion"
    assert command[command.index("-Q") + 1] == "interactive,dead,maintenance,events,bulk"
    assert {"--pool=threads", "--concurrency=3", "--loglevel=WARNING"} <= set(command)
    assert {"--without-gossip", "--without-mingle"} <= set(command)


def test_a_worker_is_ready_when_its_file_exists_and_an_old_file_is_taken_away(tmp_path: Path) -> None:
    spec = worker_spec(LocalSettings(state_dir=tmp_path), 1, {})
    file = Path(spec.env["ION_READY_FILE"])
    file.parent.mkdir()
    file.touch()
    assert spec.ready()

    spec.prepare()

    assert not spec.ready()


def test_beat_is_ready_by_its_own_file_and_an_earlier_one_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    spec = beat_spec(LocalSettings(state_dir=tmp_path), {})
    ready_file = Path(spec.env["ION_READY_FILE"])
    assert not spec.ready()
    ready_file.touch()
    assert spec.ready()

    spec.prepare()

    assert not spec.ready()
    assert spec.argv == beat_command()
    assert beat_command()[-1] == "beat", "no --schedule: it keeps no file"


def test_the_libraries_read_our_urls_as_we_mean_them() -> None:
    """Blanks in the path are the case in which the two could differ."""
    urls = socket_urls(SOCKET)
    pool = redis.ConnectionPool.from_url(urls.reply_url)
    with Connection(urls.broker_url) as kombu:
        assert kombu.transport_cls == "redis"
        assert kombu.hostname == f"socket://{str(SOCKET).replace(' ', '%20')}?virtual_host=0"

    assert (pool.connection_kwargs["path"], pool.connection_kwargs["db"]) == (str(SOCKET), 0)


@pytest.mark.parametrize(
    ("broker", "reply", "expected"),
    [
        (None, None, ("redis+socket:///s?virtual_host=0", "unix:///s?db=0")),
        (None, "redis://r:1/2", ("redis+socket:///s?virtual_host=0", "redis://r:1/2")),
        ("redis://b:1/0", None, ("redis://b:1/0", "redis://b:1/0")),
        ("amqp://b//", "redis://r:1/2", ("amqp://b//", "redis://r:1/2")),
    ],
)
def test_given_urls_win_over_the_embedded_ones(
    broker: str | None, reply: str | None, expected: tuple[str, str]
) -> None:
    settings = LocalSettings(
        broker_url=None if broker is None else SecretStr(broker),
        reply_url=None if reply is None else SecretStr(reply),
    )

    urls = resolve(settings, Path("/s"), CACHE)

    assert (urls.broker_url, urls.reply_url) == expected


@pytest.mark.parametrize(
    ("changes", "own", "expected"),
    [
        ({}, True, "unix:///c?db=0"),
        ({"cache": False}, False, None),
        ({"cache_url": ""}, False, None),
        ({"cache_url": "redis://r:1/2"}, False, "redis://r:1/2"),
        ({"cache_url": "redis://r:1/2", "cache": False}, False, None),
        ({"reply_url": "redis://r:1/2"}, True, "unix:///c?db=0"),
        ({"broker_url": "redis://b:1/0"}, False, None),
        ({"broker_url": "redis://b:1/0", "cache_url": "redis://r:1/2"}, False, "redis://r:1/2"),
    ],
)
def test_the_cache_is_the_one_given_else_our_own_beside_our_own_broker(
    changes: dict[str, object],
    own: bool,  # noqa: FBT001 - a column of the table
    expected: str | None,
) -> None:
    """An external broker may have workers on other machines: one cache each would not stay coherent."""
    settings = LocalSettings.model_validate(changes)

    assert settings.embeds_cache is own
    assert resolve(settings, Path("/s"), CACHE).cache_url == expected


def test_children_are_told_that_there_is_no_cache() -> None:
    """An empty variable, or the one that we inherited would lead them to somebody's cache."""
    urls = resolve(LocalSettings(cache=False), Path("/s"), CACHE)

    assert urls.environment()["ION_CACHE_URL"] == ""


def test_urls_keep_their_passwords_to_themselves() -> None:
    secret = SecretStr("redis://:hunter2@b:1/0")
    settings = LocalSettings(broker_url=secret, cache_url=secret)

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(resolve(settings, Path("/s"), CACHE))


def test_a_broker_without_replies_needs_a_reply_url() -> None:
    with pytest.raises(ValidationError, match="set ION_REPLY_URL"):
        LocalSettings(broker_url=SecretStr("amqp://b//"))


def test_the_state_directory_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ION_STATE_DIR", "./here")

    assert LocalSettings().state_dir == tmp_path.resolve() / "here"


def test_children_find_our_modules_before_those_of_the_current_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")

    environment = child_environment()

    project = str(Path(__file__).resolve().parents[3])
    assert environment["PYTHONPATH"].split(":") == [project, "/elsewhere", str(tmp_path)]
    assert environment["PYTHONSAFEPATH"] == "1"
