"""A gate that has closed since the cache did not pay."""

from tests.support.valkey import server
from tests.support.wait import wait_until
from tests.support.worker import InProcessWorker


def test_a_cleared_cache_gets_its_chance_again_in_every_worker() -> None:
    with server() as store, InProcessWorker(store.url) as one, InProcessWorker(store.url) as other:
        for worker in (one, other):
            worker.process("hi")
            worker.answers._gate("process").open = False
        one.answers.cache.invalidate("persona:Lua")
        assert not one.answers._gate("process").open

        one.answers.cache.clear()
        wait_until(lambda: all(worker.answers._gate("process").open for worker in (one, other)))
