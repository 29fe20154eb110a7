"""What the doctor says of a cache server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from infra.local.commands import cache_spec
from infra.local.settings import LocalSettings, child_environment
from infra.local.supervisor import Supervisor
from producers.cli.doctor_cache import CacheServer, cache_checks, latency_check, said_by, server_checks
from producers.settings import ClientSettings

MIB = 1024 * 1024
GOOD = CacheServer("valkey 9.1.2", (7, 2), "volatile-lfu", used_bytes=3 * MIB, max_bytes=256 * MIB)


def findings(server: CacheServer, *, shared: bool = False) -> dict[str, str]:
    return {check.name: check.status for check in server_checks(server, shared_with_broker=shared)}


def with_(**changes: object) -> CacheServer:
    fields = {name: getattr(GOOD, name) for name in CacheServer.__slots__}
    return CacheServer(**{**fields, **changes})


def test_a_server_like_ours_is_well() -> None:
    assert findings(GOOD) == {"cache server": "ok", "cache memory": "ok"}


@pytest.mark.parametrize(
    ("server", "name", "status"),
    [
        (with_(version=(6, 2)), "cache server", "fail"),
        (with_(version=(7, 0)), "cache server", "ok"),
        (with_(policy="noeviction"), "cache memory", "warn"),
        (with_(max_bytes=0), "cache memory", "warn"),
        (with_(used_bytes=256 * MIB), "cache memory", "ok"),
        (with_(policy="allkeys-lfu"), "cache memory", "ok"),
        (with_(policy="allkeys-lfu", used_bytes=250 * MIB), "cache memory", "warn"),
    ],
)
def test_what_does_not_suit_is_told(server: CacheServer, name: str, status: str) -> None:
    """Full is how a cache should be, but with another policy its tags go first: 250 of 256 MiB is 98 %."""
    assert findings(server)[name] == status


def test_sharing_the_brokers_database_is_a_remark() -> None:
    assert findings(GOOD, shared=True)["cache place"] == "warn"


def test_a_slow_server_is_a_remark() -> None:
    assert latency_check(49.0, timeout_ms=50).status == "ok"
    assert latency_check(51.0, timeout_ms=50).status == "warn"


@pytest.mark.parametrize(
    ("info", "name", "version"),
    [
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "valkey 9.1.2", (7, 2)),
        ({"redis_version": "6.0.16"}, "redis 6.0.16", (6, 0)),
        ({"redis_version": "8.0-rc1"}, "redis 8.0-rc1", (8, 0)),
        ({}, "redis 0.0", (0, 0)),
    ],
)
def test_servers_say_what_they_are_in_several_ways(
    info: dict[str, str], name: str, version: tuple[int, int]
) -> None:
    assert (said_by(info).name, said_by(info).version) == (name, version)


def test_no_cache_is_no_trouble() -> None:
    settings = ClientSettings(broker_url=SecretStr("redis://b:1/0"), cache_url=SecretStr(""))

    (check,) = cache_checks(settings, "redis://b:1/0")

    assert (check.name, check.status) == ("cache", "ok")


@pytest.mark.parametrize(
    ("url", "status"), [("redis://:hunter2@127.0.0.1:1/0", "warn"), ("amqp://:hunter2@b//", "fail")]
)
def test_a_server_that_is_away_or_none_at_all_is_told_without_its_password(url: str, status: str) -> None:
    """Jobs are answered without it, hence a remark; an address that cannot work is a failure."""
    settings = ClientSettings(broker_url=SecretStr("redis://b:1/0"), cache_url=SecretStr(url))

    (check,) = cache_checks(settings, "redis://b:1/0")

    assert (check.name, check.status) == ("cache", status)
    assert "hunter2" not in f"{check}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a cache server of our own."""
    socket = tmp_path / "c.sock"
    (tmp_path / "run").mkdir()
    spec = cache_spec(LocalSettings(state_dir=tmp_path, cache_memory_mb=16), socket, {})
    supervisor = Supervisor([[spec]], lambda *_: None, inherited=child_environment())
    supervisor.start()
    yield f"unix://{socket}"
    supervisor.stop()


def test_our_own_server_passes_and_a_shared_one_is_noticed_by_any_name(server: str) -> None:
    """The broker's address is another way to say the same place; another database is another place."""
    settings = ClientSettings(cache_url=SecretStr(f"{server}?db=0"), cache_timeout_ms=1_000)
    path = server.removeprefix("unix://")

    apart = list(cache_checks(settings, f"redis+socket://{path}?virtual_host=1"))
    same = list(cache_checks(settings, f"redis+socket://{path}?virtual_host=0"))

    assert [(check.name, check.status) for check in apart] == [
        ("cache", "ok"),
        ("cache server", "ok"),
        ("cache memory", "ok"),
    ]
    assert "of 16 MiB used, volatile-lfu" in apart[-1].found
    assert [check.name for check in same if check.status == "warn"] == ["cache place"]


def test_a_server_that_takes_nothing_new_when_full_is_a_remark(server: str) -> None:
    with redis.Redis.from_url(server) as admin:
        admin.config_set("maxmemory-policy", "noeviction")
    settings = ClientSettings(cache_url=SecretStr(server), cache_timeout_ms=1_000)

    found = {check.name: check for check in cache_checks(settings, "amqp://b//")}

    assert found["cache memory"].status == "warn"
    assert "volatile-lfu" in found["cache memory"].fix
