"""RabbitMQ as the broker, with replies on the embedded server.

Uses a RabbitMQ that runs on this machine, in a virtual host of its own; says so loudly when there is none.
"""

import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from persona_system.errors import InvalidInput
from producers import PersonaClient, PersonaRequest, Unavailable
from producers.settings import ClientSettings
from tests.support.beats import ALL, beats_over
from tests.support.stack import client_settings_for
from tests.support.valkey import server
from tests.support.wait import wait_until
from workers.contract.addresses import NoReplyStore, reply_url_of

KEY = "calm-medium-learning"


def rabbitmqctl(*arguments: str) -> None:
    program = shutil.which("rabbitmqctl")
    assert program is not None
    subprocess.run([program, "--quiet", *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def virtual_host() -> Iterator[str]:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", 5672)) != 0 or shutil.which("rabbitmqctl") is None:
            pytest.skip("NO RABBITMQ ON THIS MACHINE: the product's RabbitMQ side is NOT tested by this run")
    name = f"ion-test-{uuid.uuid4().hex[:8]}"
    try:
        rabbitmqctl("add_vhost", name)
    except subprocess.CalledProcessError:
        pytest.skip("NO RIGHT TO MAKE A VIRTUAL HOST: the product's RabbitMQ side is NOT tested by this run")
    rabbitmqctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    yield name
    rabbitmqctl("delete_vhost", name)


@pytest.fixture(scope="module")
def rabbit_stack(
    virtual_host: str, stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalStack]:
    """Two workers on RabbitMQ; their replies go to the shared stack's server."""
    settings = LocalSettings.model_validate(
        {
            "state_dir": tmp_path_factory.mktemp("rabbit") / "ion",
            "broker_url": f"amqp://guest:guest@127.0.0.1:5672/{virtual_host}",
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


def test_periodic_work_travels_over_rabbitmq(virtual_host: str, tmp_path: Path) -> None:
    """Seconds pass between ticks, and beat answers no heartbeats; it connects anew for each."""
    broker_url = f"amqp://guest:guest@127.0.0.1:5672/{virtual_host}"
    with server() as store, beats_over(store, tmp_path, broker_url) as beats:
        beats.start(2)
        wait_until(lambda: len(beats.slots(ALL)) >= 3, 60)

        slots = beats.slots(ALL)
        assert slots == list(range(slots[0], slots[-1] + 1))
