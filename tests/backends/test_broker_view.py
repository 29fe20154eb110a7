"""What monitoring sees of brokers, on every kind of them."""

from collections.abc import Iterator

import pytest

from tests.support.brokers import Broker
from tests.support.rabbit_host import virtual_host
from tests.support.valkey import VALKEY, Server, server
from workers.contract import names
from workers.monitoring.recorder import MemoryRecorder
from workers.operations import broker_view
from workers.operations.broker_view import Reach, broker_of


@pytest.fixture(params=["ours", "stock", "rabbitmq"])
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """Each kind of broker in turn, empty."""
    monkeypatch.setattr(broker_view, "_ANSWERS_S", 0.1)  # nobody is there to answer
    if request.param == "rabbitmq":
        with virtual_host() as url:
            yield Broker("rabbitmq", url)
        return
    valkey: Server = request.getfixturevalue("valkey")
    valkey.client.flushall()
    stock = valkey.url.replace("unix://", "stock+redis+socket://")
    url = f"{stock}?virtual_host=0" if request.param == "stock" else f"{valkey.url}?db=0"
    yield Broker(request.param, url, valkey.client)


def test_what_waits_on_each_queue(broker: Broker) -> None:
    with broker.client() as client:
        for _ in range(3):
            client.publish({"a": 1}, names.BULK)
    view = broker_of(broker.app(), broker.url).look()
    depths = {queue: seen.depth for queue, seen in view.queues.items()}
    assert depths == dict.fromkeys(names.QUEUES, 0) | {names.BULK: 3}
    assert (view.queues[names.BULK].oldest_s is not None) == broker.ours
    assert list(view.workers) == []


def test_workers_that_are_there_are_known_by_their_names(valkey: Server) -> None:
    """And so is how many there are of a name; one without a heartbeat is none any more."""
    valkey.client.flushall()
    broker = Broker("ours", f"{valkey.url}?db=0", valkey.client)
    view = broker_of(broker.app(), broker.url)
    with (
        broker.client(worker_name="one@x") as one,
        broker.client(worker_name="two@x") as two,
        broker.client(worker_name="two@x") as again,
    ):
        for client in (one, two, again):
            client.publish({"a": 1})
            client.consume()
            client.take()
        valkey.client.hset(f"{names.BROKER_PREFIX}workers", "0" * 32, "dead@x")
        assert sorted(view.look().workers) == ["one@x", "two@x", "two@x"]
    assert list(view.look().workers) == []


def test_a_worker_tells_of_the_time_in_which_its_servers_were_away() -> None:
    with server(VALKEY) as broken, server(VALKEY) as sound:
        for broker_url, reply_url in ((broken.url, sound.url), (sound.url, broken.url)):
            broker = Broker("ours", f"{broker_url}?db=0")
            reach = Reach(broker.app(), broker.url, f"{reply_url}?db=0")
            recorder = MemoryRecorder("eu", "test", lambda: 0.0)
            reach.look(recorder)
            broken.kill()
            reach.look(recorder)
            broken.start()
            reach.look(recorder)
            (cell,) = recorder.take().cells
            assert (cell.metric, cell.count, cell.total) == ("up", 3, 2)


def test_rabbitmq_that_is_away_is_an_outage_and_no_bug() -> None:
    broker = Broker("rabbitmq", "amqp://guest:guest@127.0.0.1:1//")
    view = broker_of(broker.app(), broker.url)
    for look in (view.look, view.check):
        with pytest.raises(view.errors):
            look()
