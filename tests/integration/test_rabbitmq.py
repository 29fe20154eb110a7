"""RabbitMQ as the broker, with replies on the embedded server.

Uses a RabbitMQ that runs on this machine, in a virtual host of its own; says so loudly when there is none.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from persona_system.errors import InvalidInput
from producers import PersonaClient, PersonaRequest, Unavailable
from producers.settings import ClientSettings
from tests.support.beats import ALL, beats_over
from tests.support.rabbit_host import virtual_host
from tests.support.stack import client_settings_for
from tests.support.valkey import server
from tests.support.wait import wait_until
from workers.contract.addresses import NoReplyStore, reply_url_of

KEY = "calm-medium-learning"


@pytest.fixture(scope="module")
def broker_url() -> Iterator[str]:
    with virtual_host() as url:
        yield url


@pytest.fixture(scope="module")
def rabbit_stack(
    broker_url: str, stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    """Two workers on RabbitMQ; their replies go to the shared stack's server."""
    settings = LocalSettings.model_validate(
        {
            "state_dir": tmp_path_factory.mktemp("rabbit") / "ion",
            "broker_url": broker_url,
            "reply_url": stack.urls.reply_url,
            "workers": 2,
            "beat": False,
        }
    )
    with LocalStack(settings) as started:
        assert [process.name for process in started.processes()] == ["worker1", "worker2"]
        yield started


def test_jobs_travel_over_rabbitmq(rabbit_stack: LocalStack) -> None:
    with PersonaClient(client_settings_for(rabbit_stack)) as client:
        assert client.process("Why does it fail?", KEY).persona_used == "Elro"
        outcomes = client.process_many(
            [PersonaRequest(f"m{n}", KEY) for n in range(700)] + [PersonaRequest("")]
        )
        bulk = client.submit_batch([PersonaRequest(f"b{n}", KEY) for n in range(500)]).result(30)

    assert [outcome.status for outcome in outcomes] == ["ok"] * 700 + ["rejected"]
    assert isinstance(outcomes[-1].error, InvalidInput)
    assert {outcome.status for outcome in bulk} == {"ok"}


def test_rabbitmq_keeps_no_replies_so_their_store_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(NoReplyStore, match="set ION_REPLY_URL"):
        reply_url_of("amqp://guest@broker//")
    settings = ClientSettings.model_validate({"broker_url": "amqp://guest@broker//", "state_dir": tmp_path})
    with PersonaClient(settings) as client, pytest.raises(Unavailable, match="ION_REPLY_URL"):
        client.process("hi", KEY)


def test_periodic_work_travels_over_rabbitmq(tmp_path: Path) -> None:
    """Seconds pass between ticks, and beat answers no heartbeats; it connects anew for each."""
    with virtual_host() as url, server() as store, beats_over(store, tmp_path, url) as beats:
        beats.start(2)
        wait_until(lambda: len(beats.slots(ALL)) >= 3, 60)

        slots = beats.slots(ALL)
        assert slots == list(range(slots[0], slots[-1] + 1))
