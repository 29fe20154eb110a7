"""The scripts against a model: whatever happens, each message is in one place, and its losses are counted."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.support.valkey import VALKEY, redis_7, server
from workers.transport import envelope, scripts
from workers.transport.claims import Claim
from workers.transport.publish import publish
from workers.transport.scripts import Keys

QUEUES = ("first", "second")
KEYS = Keys("{t}:")
WORKERS = st.integers(0, 2)


@dataclass
class Message:
    """What the model knows of one message."""

    word: str
    lost: int = 0
    returned: int = 0


@dataclass
class Worker:
    """What the model knows of one worker: what it holds, by claim number, and whether it beats."""

    id: str
    held: dict[int, tuple[str, Message]] = field(default_factory=dict)
    beats: bool = True
    listed: bool = True
    lowest: int = 0


class Machine(RuleBasedStateMachine):
    """Publishes, claims, settles, dies and recovers, on the server and in the model."""

    client: ClassVar[redis.Redis]

    def __init__(self) -> None:
        super().__init__()
        self.client.flushdb()
        self.queues: dict[str, deque[Message]] = {name: deque() for name in QUEUES}
        self.workers = [Worker(f"w{n}") for n in range(3)]
        self.claims = self.words = 0
        for worker in self.workers:
            self._join(worker)
        for queue in (*QUEUES, *QUEUES):
            self._publish(queue)

    # -- what may happen ----------------------------------------------------------------------------

    @rule(queue=st.sampled_from(QUEUES), malformed=st.sampled_from(["", "", "[1", "{}", '{"ion":[1,2']))
    def publish(self, queue: str, malformed: str) -> None:
        if malformed:
            self.client.lpush(KEYS.queue(queue), malformed)
            self.queues[queue].appendleft(Message(malformed))
        else:
            self._publish(queue)

    @rule(n=WORKERS, order=st.permutations(QUEUES), late=st.integers(0, 3))
    def claim(self, n: int, order: list[str], late: int) -> None:
        """A claim may be older than one that has been declared void: then it gets nothing."""
        worker = self.workers[n]
        self.claims += 1
        earlier = max(1, self.claims - late)
        number = self.claims if earlier in worker.held else earlier
        answer = self._run(Claim(number, worker.id, tuple(order), frozenset(QUEUES)).command(KEYS, 10_000))
        if not worker.beats or number < worker.lowest:
            assert answer == 0
            return
        queue = next((name for name in order if self.queues[name]), None)
        if queue is None:
            assert answer is None
            assert not any(self.client.exists(KEYS.bell(name)) for name in QUEUES)
            return
        expected = self.queues[queue].pop()
        assert order[answer[0] - 1] == queue
        self._same(answer[1], expected)
        worker.held[number] = (queue, expected)

    @precondition(lambda self: any(worker.held for worker in self.workers))
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        worker, number = self._one_held(data)
        queue, _ = worker.held.pop(number)
        assert self.client.hdel(KEYS.inflight(worker.id), f"{number}/{queue}") == 1

    @precondition(lambda self: any(worker.held for worker in self.workers))
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        worker, number = self._one_held(data)
        queue, message = worker.held.pop(number)
        self._eval(scripts.RETURN, [KEYS.inflight(worker.id)], [KEYS.prefix, f"{number}/{queue}"])
        self._back(queue, message)

    @rule(n=WORKERS)
    def fall_silent(self, n: int) -> None:
        self.client.delete(KEYS.heartbeat(self.workers[n].id))
        self.workers[n].beats = False

    @rule(n=WORKERS, most=st.sampled_from([0, 1, 100]))
    def tend(self, n: int, most: int) -> None:
        """Beat, and sweep up at most *most* messages: those of each silent worker, the newest first."""
        me = self.workers[n]
        listed, moved, more = self._eval(
            scripts.TEND, [KEYS.workers, KEYS.heartbeat(me.id)], [KEYS.prefix, me.id, 60_000, me.lowest, most]
        )
        assert bool(listed) == me.listed
        me.beats = me.listed
        silent = [worker for worker in self.workers if worker.listed and not worker.beats]
        assert moved == min(most, sum(len(worker.held) for worker in silent))
        assert bool(more) == (most > 0 and moved < sum(len(worker.held) for worker in silent))
        if most == 0:
            return
        for worker in silent:
            fields: list[Any] = self.client.hkeys(KEYS.inflight(worker.id))
            left = {int(name.split(b"/")[0]) for name in fields}
            for number in sorted(worker.held, reverse=True):
                if number not in left:
                    queue, message = worker.held.pop(number)
                    message.lost += 1
                    self._back(queue, message)
            worker.listed = bool(self.client.hexists(KEYS.workers, worker.id))
            assert worker.listed <= bool(more)

    @rule(n=WORKERS)
    def leave_and_join(self, n: int) -> None:
        worker = self.workers[n]
        self._eval(
            scripts.LEAVE,
            [KEYS.workers, KEYS.heartbeat(worker.id), KEYS.inflight(worker.id)],
            [KEYS.prefix, worker.id],
        )
        for number in sorted(worker.held, reverse=True):
            self._back(*worker.held[number])
        self.claims += 1
        late = Claim(self.claims, worker.id, QUEUES, frozenset(QUEUES))
        assert self._run(late.command(KEYS, 10_000)) == 0
        self.workers[n] = Worker(f"w{n}.{self.claims}")
        self._join(self.workers[n])

    @rule(n=WORKERS, data=st.data())
    def recover(self, n: int, data: st.DataObject) -> None:
        """Some answers never arrived: what they held goes back, what is known to be here stays."""
        worker = self.workers[n]
        kept = data.draw(st.sets(st.sampled_from(sorted(worker.held)))) if worker.held else set()
        worker.lowest = self.claims + 1
        self._eval(
            scripts.RECOVER,
            [KEYS.heartbeat(worker.id), KEYS.inflight(worker.id)],
            [KEYS.prefix, worker.lowest, *(f"{number}/{worker.held[number][0]}" for number in kept)],
        )
        for number in sorted(set(worker.held) - kept, reverse=True):
            self._back(*worker.held.pop(number))

    # -- what must hold -----------------------------------------------------------------------------

    @invariant()
    def every_message_is_where_the_model_has_it(self) -> None:
        for name, expected in self.queues.items():
            items: list[Any] = self.client.lrange(KEYS.queue(name), 0, -1)
            assert len(items) == len(expected)
            for item, message in zip(items, expected, strict=True):
                self._same(item, message)
        for worker in self.workers:
            held: dict[Any, Any] = self.client.hgetall(KEYS.inflight(worker.id))
            assert len(held) == len(worker.held)
            for number, (queue, message) in worker.held.items():
                self._same(held[f"{number}/{queue}".encode()], message)

    # -- how it is done -----------------------------------------------------------------------------

    def _publish(self, queue: str) -> None:
        self.words += 1
        message = Message(json.dumps({"word": self.words}))
        publish(self.client, KEYS, queue, envelope.fresh(message.word, 1_000), None)
        self.queues[queue].appendleft(message)

    def _same(self, item: bytes, message: Message) -> None:
        front = envelope.front_of(item)
        assert (front.raw.decode(), front.lost) == (message.word, message.lost)
        assert item.count(scripts.LOST_WITH_WORKER.encode()) == message.lost

    def _back(self, queue: str, message: Message) -> None:
        message.returned += 1
        self.queues[queue].append(message)

    def _one_held(self, data: st.DataObject) -> tuple[Worker, int]:
        everything = [(worker, number) for worker in self.workers for number in sorted(worker.held)]
        return data.draw(st.sampled_from(everything))

    def _join(self, worker: Worker) -> None:
        self._eval(scripts.JOIN, [KEYS.workers, KEYS.heartbeat(worker.id)], [worker.id, worker.id, 60_000])

    def _eval(self, script: str, keys: list[str], values: list[Any]) -> Any:
        return self._run(["EVAL", script, len(keys), *keys, *values])

    def _run(self, command: list[Any]) -> Any:
        return self.client.execute_command(*command)


@pytest.fixture(scope="module", params=["Valkey", "Redis 7"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    binary = VALKEY if request.param == "Valkey" else redis_7()
    if binary is None:
        pytest.skip("NO REDIS 7 ON THIS MACHINE: the scripts are tested on Valkey only by this run")
    with server(binary) as made:
        yield made.client


def test_nothing_is_lost_and_nothing_is_in_two_places(client: redis.Redis) -> None:
    class OnThisServer(Machine):
        pass

    OnThisServer.client = client
    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=100,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
