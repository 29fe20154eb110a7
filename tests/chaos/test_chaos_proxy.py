"""The proxy does to connections what it says."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.proxy import Proxy
from tests.support.valkey import server


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with server() as valkey:
        made = Proxy(valkey.url.removeprefix("unix://"))
        made.start()
        yield made
        made.stop()


def connect(proxy: Proxy) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", proxy.port), 10)
    made.settimeout(10)
    return made


def ping(connection: socket.socket) -> bytes:
    connection.sendall(b"PING\r\n")
    return connection.recv(64)


def test_it_passes_on_what_is_said(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ping(connection) == b"+PONG\r\n"


def test_a_black_hole_swallows_present_connections_and_lets_new_ones_through(proxy: Proxy) -> None:
    with connect(proxy) as old:
        assert ping(old)
        assert proxy.black_hole() == 1
        old.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ping(old)
        with connect(proxy) as new:
            assert ping(new) == b"+PONG\r\n"


def test_a_reset_is_one(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ping(connection)
        assert proxy.reset_all() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(64)


def test_a_closed_line_takes_nobody(proxy: Proxy) -> None:
    proxy.change(refuses=True)
    with connect(proxy) as connection:
        try:
            assert ping(connection) == b""
        except ConnectionError:
            return
