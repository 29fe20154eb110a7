"""Events of tasks go out together, soon, and in their order."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Consumer, Exchange, Queue

from tests.support.wait import wait_until
from workers.operations.task_events import MOST


class Listener:
    """What comes out on the exchange of events, message by message."""

    def __init__(self, connection: Connection) -> None:
        self.messages: list[Any] = []
        queue = Queue("listener", Exchange("celeryev", type="topic"), "#", auto_delete=True)
        consumer = Consumer(connection, [queue], accept=["json"])
        consumer.register_callback(self._take)
        consumer.consume()
        self._connection = connection

    def _take(self, body: Any, message: Any) -> None:
        self.messages.append(body)
        message.ack()

    def heard(self) -> list[Any]:
        """Return what has come so far."""
        try:
            while True:
                self._connection.drain_events(timeout=0.01)
        except OSError:
            return self.messages


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery(
        "t", broker="memory://", set_as_current=False, events="workers.operations.task_events:GatheringEvents"
    )
    yield app
    app.close()


@pytest.fixture
def listener(app: Celery) -> Iterator[Listener]:
    with app.connection_for_read() as connection:
        yield Listener(connection)


def worker_dispatcher(app: Celery, connection: Connection) -> Any:
    """Return what a worker without an event loop sends with."""
    return app.events.Dispatcher(connection, hostname="w@t", enabled=True, buffer_group=None)


def test_events_of_tasks_wait_for_each_other_and_then_go(app: Celery, listener: Listener) -> None:
    with app.connection_for_write() as connection, worker_dispatcher(app, connection) as dispatcher:
        for number in range(7):
            dispatcher.send("task-succeeded", uuid=str(number))
        wait_until(lambda: bool(listener.heard()), 5, "the events are out")

    (together,) = listener.messages
    assert [event["uuid"] for event in together] == [str(number) for number in range(7)]


def test_a_hundred_do_not_wait(app: Celery, listener: Listener) -> None:
    with app.connection_for_write() as connection, worker_dispatcher(app, connection) as dispatcher:
        for number in range(MOST):
            dispatcher.send("task-received", uuid=str(number))
        assert [len(message) for message in listener.heard()] == [MOST]


def test_what_a_worker_says_of_itself_takes_with_it_what_waits(app: Celery, listener: Listener) -> None:
    with app.connection_for_write() as connection, worker_dispatcher(app, connection) as dispatcher:
        dispatcher.send("task-succeeded", uuid="1")
        dispatcher.send("worker-offline")
        tasks, offline = listener.heard()

    assert [event["type"] for event in tasks] == ["task-succeeded"]
    assert offline["type"] == "worker-offline"


def test_a_dispatcher_for_one_event_sends_it_at_once(app: Celery, listener: Listener) -> None:
    with app.events.default_dispatcher() as dispatcher:
        dispatcher.send("task-sent", uuid="1")
    (sent,) = listener.heard()
    assert sent["uuid"] == "1"
