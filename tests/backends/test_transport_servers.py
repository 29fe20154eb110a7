"""The transport behind Sentinel and over TLS, with real workers: a failover loses nothing."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from producers import PersonaClient, PersonaRequest
from tests.support.brokers import Broker
from tests.support.rabbit import free_port
from tests.support.sentinel import Failover, failover
from tests.support.stack import client_settings_for
from tests.support.tls import Certificates, make_certificates
from tests.support.valkey import redis_7, server
from tests.support.wait import wait_until
from workers.transport.servers import open_redis

KEY = "calm-medium-learning"


def stack_on(tmp_path: Path, broker_url: str) -> LocalStack:
    """Return a stack with one worker, whose servers are all at *broker_url*."""
    settings = {
        "state_dir": tmp_path / "ion",
        "broker_url": broker_url,
        "workers": 1,
        "beat": False,
    }
    return LocalStack(LocalSettings.model_validate(settings))


# -- Sentinel ---------------------------------------------------------------------------------------


@pytest.fixture
def sentinels() -> Iterator[Failover]:
    with failover() as made:
        yield made


def test_a_killed_master_is_replaced_and_jobs_go_on(sentinels: Failover, tmp_path: Path) -> None:
    """Broker and reply store are the same master here.  What waits when it dies, is on its replica."""
    with (
        stack_on(tmp_path, sentinels.url) as stack,
        PersonaClient(client_settings_for(stack)) as client,
    ):
        assert client.process("before", KEY).content
        old = sentinels.master()
        sentinels.kill(old)
        wait_until(lambda: sentinels.master() != old, 60, "the sentinels agree on a new master")

        def answered() -> bool:
            (outcome,) = client.process_many([PersonaRequest("after", KEY, use_cache=False)])
            return outcome.status == "ok"

        wait_until(answered, 90, "a job is answered again")
        assert stack.processes()[0].restarts == 0  # the worker reconnected by itself


def test_a_client_for_the_master_closes_what_it_opened_to_the_sentinels(
    sentinels: Failover,
) -> None:
    """Sentinel and server ask for passwords of their own; any unclosed socket would fail this test."""
    with open_redis(sentinels.url, socket_timeout=5) as client:
        assert client.set("a", "b")
        assert client.get("a") == b"b"


def test_messages_held_on_a_master_that_died_come_again(sentinels: Failover) -> None:
    broker = Broker("ours behind Sentinel", sentinels.url)
    with broker.client() as client:
        client.publish("held")
        client.publish("waits")
        client.consume(prefetch=1)
        assert client.take()[0].payload == "held"
        with open_redis(sentinels.url) as master:
            assert master.wait(1, 5_000) == 1  # the replica has it all
        old = sentinels.master()
        sentinels.kill(old)
        wait_until(lambda: sentinels.master() != old, 60, "the sentinels agree on a new master")
    with broker.client() as heir:
        heir.consume()
        assert sorted(message.payload for message in heir.take(2, deadline_s=60)) == [
            "held",
            "waits",
        ]


# -- TLS --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    try:
        return make_certificates(tmp_path_factory.mktemp("tls"))
    except RuntimeError:
        pytest.skip("NO OPENSSL ON THIS MACHINE: TLS is NOT tested by this run")


@pytest.fixture
def tls_url(certificates: Certificates) -> Iterator[str]:
    """The URL of a server that speaks TLS only, without what a client needs to trust it."""
    binary, port = redis_7(), free_port()
    if binary is None:
        pytest.skip("NO REDIS 7 ON THIS MACHINE: TLS is NOT tested by this run")
    options = {
        "tls_port": str(port),
        "tls_cert_file": str(certificates.certificate),
        "tls_key_file": str(certificates.key),
        "tls_ca_cert_file": str(certificates.authority),
        "tls_auth_clients": "no",
    }
    with server(binary, **options):
        yield f"rediss://127.0.0.1:{port}/0"


def test_jobs_travel_over_tls(tls_url: str, certificates: Certificates, tmp_path: Path) -> None:
    url = f"{tls_url}?ssl_ca_certs={quote(str(certificates.authority))}"
    with (
        stack_on(tmp_path, url) as stack,
        PersonaClient(client_settings_for(stack)) as client,
    ):
        assert client.process("secret to others", KEY).content


def test_a_server_whose_certificate_nobody_vouches_for_is_not_trusted(
    tls_url: str,
) -> None:
    """Unless the URL says that this is wanted, as for a server with a certificate of its own making."""
    with (
        pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
        open_redis(tls_url) as client,
    ):
        client.ping()
    with open_redis(f"{tls_url}?ssl_cert_reqs=none&ssl_check_hostname=false") as client:
        assert client.ping()
