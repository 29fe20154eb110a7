"""A stack with Flower, which has seen some work, for tests and for the pictures in the handbook."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from infra.flower.keeping import Keeping
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack, ProcessInfo
from infra.local.state import find_running
from producers.settings import ClientSettings
from tests.support.gateway import free_port
from tests.support.stack import client_settings_for
from tests.support.wait import wait_until
from workers.store.bulk_runs import BulkRun, BulkRuns, Holder, Mark
from workers.store.engine import open_store

DASHBOARDS = "http://dashboards.example:8000"
READY_S = 30.0


@dataclass(frozen=True, slots=True)
class WatchedStack:
    """A stack that Flower looks at."""

    stack: LocalStack
    url: str
    login: tuple[str, str]
    browser: httpx.Client  # of somebody who has not logged in

    def get(self, path: str) -> httpx.Response:
        """Ask Flower as somebody who has logged in."""
        return self.browser.get(path, auth=self.login)

    def process(self) -> ProcessInfo:
        """Return Flower's process."""
        return next(row for row in self.stack.processes() if row.name == "flower")

    def client_settings(self) -> ClientSettings:
        """Return settings for a client of the stack."""
        return client_settings_for(self.stack)

    def wait_until_it_serves(self) -> None:
        """Return when Flower answers."""

        def serves() -> bool:
            with suppress(httpx.TransportError):
                return self.browser.get("/healthcheck").status_code == HTTPStatus.OK
            return False

        wait_until(serves, READY_S, "Flower's start")

    def restart(self) -> None:
        """Stop Flower as its supervisor would, and wait for the next one."""
        before = self.process()
        assert before.pid is not None
        os.kill(before.pid, signal.SIGTERM)
        wait_until(lambda: self.process().restarts > before.restarts, READY_S)
        self.wait_until_it_serves()


@contextmanager
def watched_stack(directory: Path, workers: int = 1, dashboards: str = DASHBOARDS) -> Iterator[WatchedStack]:
    """Run a stack with Flower in *directory*, with links to *dashboards*."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ION_FLOWER_BASIC_AUTH", "ION_FLOWER_HOST", "ION_FLOWER_READ_ONLY"):
            patch.delenv(name, raising=False)
        patch.setenv("ION_FLOWER_PORT", str(free_port()))
        patch.setenv("ION_FLOWER_DASHBOARDS_URL", dashboards)
        settings = LocalSettings(
            state_dir=directory / "ion",
            broker_url=None,
            reply_url=None,
            cache_url=None,
            database_url=None,
            workers=workers,
            beat=False,
            flower=True,
        )
        stack = LocalStack(settings)
        assert stack.flower is not None
        with stack, httpx.Client(base_url=stack.flower.url, timeout=20) as browser:
            assert find_running(settings.state_dir) is not None, "nobody waits for Flower"
            (login,) = Keeping.of(settings.state_dir).logins(stack.flower)
            user, _, password = login.partition(":")
            watched = WatchedStack(stack, stack.flower.url, (user, password), browser)
            watched.wait_until_it_serves()
            yield watched


def note_runs(stack: LocalStack) -> None:
    """Write two bulk runs into the ledger of *stack*: one that is done, one whose process is gone."""
    assert stack.urls.database_url is not None
    with open_store(stack.urls.database_url) as store:
        ledger = BulkRuns(store)
        for name, share, read in (("k3f9", 1.0, 40_000), ("m7q2", 0.43, 12_900)):
            run = BulkRun(
                id=name,
                input=f"/data/{name}.jsonl",
                identity=name,
                format="jsonl",
                options={},
                output=f"/data/{name}-answers.jsonl",
                rejects=f"/data/{name}-rejects.jsonl",
            )
            holder = Holder(name, "another host", os.getpid())
            assert ledger.start(run, holder)
            mark = Mark(upto=read, read=read, ok=read - 12, rejected=12, share=share, worked_ms=read // 4)
            ledger.commit(name, holder.token, mark)
            ledger.end(name, holder.token, "complete" if share == 1.0 else "interrupted", "")
