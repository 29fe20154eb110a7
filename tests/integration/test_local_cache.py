"""The embedded stack's cache server: apart from the queues, and nothing that jobs depend on."""

import os
import signal
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from infra.local.process import State
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from infra.local.state import find_running
from producers.settings import ClientSettings
from tests.support.stack import fake_worker_command
from tests.support.wait import wait_until


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalSettings:
    for name in ("BROKER_URL", "CACHE_URL"):
        monkeypatch.delenv(f"ION_{name}", raising=False)
    return LocalSettings(
        state_dir=tmp_path / ".ion", broker_url=None, reply_url=None, cache_url=None, workers=2, beat=False
    )


def cache_of(state_dir: Path) -> redis.Redis:
    running = find_running(state_dir)
    assert running is not None
    assert running.urls is not None
    assert running.urls.cache_url is not None
    return redis.Redis.from_url(running.urls.cache_url)


def test_the_cache_is_a_server_of_its_own(settings: LocalSettings) -> None:
    """Full, it makes room; stopped, it forgets; and a client finds it by the note."""
    with LocalStack(settings, worker_command=fake_worker_command) as stack:
        with cache_of(settings.state_dir) as cache, redis.Redis.from_url(stack.urls.reply_url) as server:
            assert cache.info()["run_id"] != server.info()["run_id"]
            limits = cache.config_get("maxmemory", "maxmemory-policy", "port")
        assert limits == {
            "maxmemory": str(256 * 1024 * 1024),
            "maxmemory-policy": "volatile-lfu",
            "port": "0",
        }
        assert ClientSettings(state_dir=settings.state_dir).cache_address() == stack.urls.cache_url


@pytest.mark.parametrize("changes", [{"cache": False}, {"cache_url": SecretStr("")}])
def test_a_stack_can_do_without_a_cache(settings: LocalSettings, changes: dict[str, object]) -> None:
    with LocalStack(settings.model_copy(update=changes), worker_command=fake_worker_command) as stack:
        assert [row.name for row in stack.processes()] == ["valkey", "worker1", "worker2"]
        assert stack.urls.cache_url is None
        assert ClientSettings(state_dir=settings.state_dir).cache_address() is None


def test_a_cache_that_is_named_is_used_and_stays_out_of_the_note(settings: LocalSettings) -> None:
    """It may hold a password, so that whoever wants it has to know it already."""
    named = settings.model_copy(update={"cache_url": SecretStr("redis://:hunter2@cache:6379/1")})
    with LocalStack(named, worker_command=fake_worker_command) as stack:
        assert [row.name for row in stack.processes()] == ["valkey", "worker1", "worker2"]
        assert stack.urls.environment()["ION_CACHE_URL"] == "redis://:hunter2@cache:6379/1"
        assert "hunter2" not in (settings.state_dir / "stack.json").read_text()


def test_a_killed_cache_server_comes_back_and_takes_nobody_with_it(settings: LocalSettings) -> None:
    with LocalStack(settings, worker_command=fake_worker_command) as stack:
        before = {row.name: row.pid for row in stack.processes()}
        cache = before.pop("cache")
        assert cache is not None
        os.kill(cache, signal.SIGKILL)

        def back() -> bool:
            row = next(row for row in stack.processes() if row.name == "cache")
            return row.restarts == 1 and row.state is State.READY

        wait_until(back)

        after = {row.name: row.pid for row in stack.processes()}
        assert after.pop("cache") != cache
        assert after == before
        with cache_of(settings.state_dir) as server:
            assert server.ping()


def test_a_deep_directory_is_no_obstacle(settings: LocalSettings, tmp_path: Path) -> None:
    deep = settings.model_copy(update={"state_dir": tmp_path / ("d" * 100) / ".ion"})
    with LocalStack(deep, worker_command=fake_worker_command), cache_of(deep.state_dir) as cache:
        assert cache.ping()
