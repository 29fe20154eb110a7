"""A response goes out in one piece, and nothing waits that might have to go alone."""

import asyncio

from producers.gateway.server.joined import JoinedWrites

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Wire(asyncio.Transport):
    """Keeps what was sent, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_a_head_goes_with_its_body() -> None:
    wire = Wire()
    response = JoinedWrites(wire)

    response.write(HEAD)
    assert wire.sent == []

    response.write(b"{}")
    assert wire.sent == [HEAD + b"{}"]


def test_an_empty_body_takes_its_head_along() -> None:
    wire = Wire()
    response = JoinedWrites(wire)
    response.write(HEAD)
    response.write(b"")

    assert wire.sent == [HEAD]


def test_the_head_of_a_stream_waits_for_nothing() -> None:
    """Its first event may come in 15 s, and a browser's ``onopen`` should not."""
    wire = Wire()
    response = JoinedWrites(wire)
    for part in (STREAM, b"2\r\nhi\r\n", b"0\r\n\r\n"):
        response.write(part)

    assert wire.sent == [STREAM, b"2\r\nhi\r\n", b"0\r\n\r\n"]


def test_a_permission_to_go_on_leaves_at_once() -> None:
    wire = Wire()
    response = JoinedWrites(wire)
    for part in (CONTINUE, HEAD, b"{}"):
        response.write(part)

    assert wire.sent == [CONTINUE, HEAD + b"{}"]


def test_a_body_that_looks_like_a_head_is_sent_as_it_is() -> None:
    wire = Wire()
    response = JoinedWrites(wire)
    for part in (HEAD, b"a", HEAD):
        response.write(part)

    assert wire.sent == [HEAD + b"a", HEAD]


def test_closing_sends_what_waits() -> None:
    wire = Wire()
    response = JoinedWrites(wire)
    response.write(HEAD)
    response.close()

    assert wire.sent == [HEAD]
    assert response.is_closing()
