"""A whole embedded stack for tests: real Valkey, real workers, a cache, a directory of its own."""

import sys
from collections.abc import Callable
from pathlib import Path

from infra.local.commands import worker_command
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack, ignore_line
from producers.settings import ClientSettings


def start_stack(
    tmp_path: Path,
    workers: int = 2,
    on_line: Callable[[str, str], None] = ignore_line,
    *,
    cache: bool = True,
    beat: bool = False,
) -> LocalStack:
    """Return a started stack under *tmp_path*; whoever asked for it calls ``stop``."""
    settings = LocalSettings(
        state_dir=tmp_path / "ion",
        broker_url=None,
        reply_url=None,
        cache=cache,
        cache_url=None,
        workers=workers,
        beat=beat,
    )
    stack = LocalStack(settings, on_line)
    stack.start()
    return stack


def fake_worker_command(settings: LocalSettings, index: int) -> tuple[str, ...]:
    """Return the command of a worker that starts in 50 ms and needs no broker; see fake_worker."""
    _ = settings, index
    return (sys.executable, "-S", str(Path(__file__).with_name("fake_worker.py")))


def slow_worker_command(settings: LocalSettings, index: int) -> tuple[str, ...]:
    """Return the command of a real worker that takes 50 ms to analyse a text; see slow_worker."""
    command = worker_command(settings, index)
    return tuple("tests.support.slow_worker" if part == "workers.entry" else part for part in command)


def client_settings_for(stack: LocalStack, **changes: object) -> ClientSettings:
    """Return settings for a client of *stack*, with *changes*."""
    urls = {
        "broker_url": stack.urls.broker_url,
        "reply_url": stack.urls.reply_url,
        "cache_url": stack.urls.cache_url or "",  # empty: none, whatever the environment says
    }
    return ClientSettings.model_validate({**urls, **changes})
