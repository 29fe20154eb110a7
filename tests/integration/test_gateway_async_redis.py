"""Connections of an event loop, by every kind of URL that the synchronous ones take."""

import asyncio
import ssl
from collections.abc import Iterator

import pytest
from redis import AuthenticationError
from redis.asyncio import Redis, SSLConnection

from producers.gateway.access.async_redis import open_async_pool
from tests.support.async_wait import until
from tests.support.rabbit import free_port
from tests.support.sentinel import Failover, failover
from tests.support.valkey import Server, server
from workers.contract.addresses import BadAddress, NoReplyStore


@pytest.fixture(scope="module")
def valkey() -> Iterator[Server]:
    with server() as made:
        yield made


async def echo(url: str) -> object:
    """Return what the server at *url* sends back; any unclosed connection fails the test."""
    async with Redis.from_pool(open_async_pool(url, socket_timeout=5)) as client:
        return await client.echo("here")


def test_a_socket_as_redis_and_as_kombu_write_it(valkey: Server) -> None:
    path = valkey.url.removeprefix("unix://")

    assert asyncio.run(echo(f"unix://{path}?db=1")) == b"here"
    assert asyncio.run(echo(f"redis+socket://{path}?virtual_host=1")) == b"here"


def test_tcp_with_a_password() -> None:
    port = free_port()
    with server(port=str(port), bind="127.0.0.1") as own:
        own.client.config_set("requirepass", "right")

        assert asyncio.run(echo(f"valkey://:right@127.0.0.1:{port}/0")) == b"here"
        with pytest.raises(AuthenticationError):
            asyncio.run(echo(f"redis://:wrong@127.0.0.1:{port}/0"))


def test_tls_verifies_certificate_and_name_unless_the_url_says_otherwise() -> None:
    strict = open_async_pool("rediss://localhost/0").make_connection()
    lax = open_async_pool("rediss://localhost/0?ssl_cert_reqs=CERT_NONE").make_connection()

    assert isinstance(strict, SSLConnection)
    assert isinstance(lax, SSLConnection)
    assert (strict.cert_reqs, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert lax.cert_reqs == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("amqp://localhost", NoReplyStore),
        ("sentinel://localhost:26379", BadAddress),
        ("redis://localhost/0?socket_timeout=soon", ValueError),
    ],
)
def test_what_is_no_such_url_is_refused(url: str, error: type[ValueError]) -> None:
    with pytest.raises(error):
        open_async_pool(url)


@pytest.fixture
def sentinels() -> Iterator[Failover]:
    with failover() as made:
        yield made


def test_the_master_is_found_again_after_a_failover(sentinels: Failover) -> None:
    """Sentinels and servers ask for passwords of their own."""

    async def story() -> None:
        async with Redis.from_pool(open_async_pool(sentinels.url, socket_timeout=5)) as client:
            assert await client.set("a", "b")
            assert await client.wait(1, 5_000) == 1  # the replica has it
            old = sentinels.master()
            sentinels.kill(old)
            await until(lambda: sentinels.master() != old, 60, "the sentinels agree on a new master")
            assert await client.get("a") == b"b"

    asyncio.run(story())
