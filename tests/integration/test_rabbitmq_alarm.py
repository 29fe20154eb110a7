"""A RabbitMQ that is out of memory takes what is sent, stores nothing and says nothing: nobody may wait."""

import contextlib
import time
from collections.abc import Iterator

import pytest
from celery import Celery

import celeryconfig
from producers import Unavailable as ProducerUnavailable
from producers.broker import BrokerPublisher
from tests.support.rabbit import RabbitNode, rabbit_node, rabbitmq_scripts
from tests.support.wait import wait_until
from workers.contract import names
from workers.contract.dead_letters import DeadLetter, Reason
from workers.dead.dead_letter import BrokerDeadLetters
from workers.errors import Unavailable

PATIENCE_S = 5.0
LETTER = DeadLetter(
    id="l1", reason=Reason.MALFORMED, code="X", problem="x", at_ms=1, queue="bulk", size_bytes=1, payload=b"x"
)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def node() -> Iterator[RabbitNode]:
    if rabbitmq_scripts() is None:
        pytest.skip("NO RABBITMQ ON THIS MACHINE: its alarms are NOT tested by this run")
    with rabbit_node() as started:
        yield started


@contextlib.contextmanager
def out_of_memory(node: RabbitNode) -> Iterator[None]:
    node.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        wait_until(lambda: "memory" in node.control("eval", "rabbit_alarm:get_alarms()."), 60, "the alarm")
        yield
    finally:
        node.control("set_vm_memory_high_watermark", "0.9")
        wait_until(lambda: "memory" not in node.control("eval", "rabbit_alarm:get_alarms()."), 60, "its end")


def test_a_producer_is_told_in_time(node: RabbitNode) -> None:
    with contextlib.closing(BrokerPublisher(node.url, 3.0, PATIENCE_S)) as publisher:
        publisher.publish(names.PERSONA_PROCESS, names.BULK, "b1", b"", 1)
        with out_of_memory(node):
            began = time.monotonic()
            with pytest.raises(ProducerUnavailable):
                publisher.publish(names.PERSONA_PROCESS, names.BULK, "b2", b"", 1)
            took_s = time.monotonic() - began

        publisher.publish(names.PERSONA_PROCESS, names.BULK, "b3", b"", 1)
    assert took_s < 4 * PATIENCE_S  # on a busy machine; without a limit it would be until the alarm ends


def test_a_worker_that_keeps_a_letter_is_told_in_time(node: RabbitNode) -> None:
    with Celery("test", set_as_current=False) as app:
        app.config_from_object(celeryconfig)
        app.conf.update(celeryconfig.broker_settings(node.url))
        letters = BrokerDeadLetters(app)
        letters.keep(LETTER)
        with out_of_memory(node), pytest.raises(Unavailable):
            letters.keep(LETTER)
        letters.keep(LETTER)
        app.pool.force_close_all()
