"""The gateway's HTTP protocol with little patience, in front of an application of the test's."""

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from producers.gateway.server.protocol import Patience, PatientProtocol
from tests.support.raw_http import Line, SmallServer, ask, serving
from tests.support.wait import wait_until

LARGE = 8_000_000


class Hasty(PatientProtocol):
    """Waits as long as a busy machine may take to send a packet, and no longer."""

    patience = Patience(headers_s=0.5, rest_s=0.5, linger_s=0.5, stall_s=0.5, max_pipelined=3)


class Alone(Hasty):
    """Has no help of the kernel's, as on systems other than Linux."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if sys.platform == "linux":
            raw = transport.get_extra_info("socket")
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0)


class Stage:
    """An application: tells what it was asked, waits, sends much, or never reads."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.left = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        try:
            body = await self.act(scope["path"], scope, receive)
        finally:
            self.left += 1
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def act(self, path: str, scope: Scope, receive: Receive) -> bytes:
        if path == "/unread":
            return b"done"
        if path == "/large":
            return b"x" * LARGE
        if path == "/wait":
            await self.gate.wait()
        size, more = 0, True
        while more:
            if path == "/impatient" and size:
                return b"I cannot wait"
            message = await receive()
            if message["type"] == "http.disconnect":
                return b"gone"
            size, more = size + len(message["body"]), message["more_body"]
        names = sorted(name.decode() for name, _ in scope["headers"])
        return json.dumps({"path": path, "headers": names, "size": size}).encode()


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def server(stage: Stage) -> Iterator[SmallServer]:
    with serving(stage, Hasty) as small:
        yield small


@pytest.fixture
def line(server: SmallServer) -> Iterator[Line]:
    with Line(server.port) as made:
        yield made


def get(path: str = "/", *more: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a", *more, "", ""]).encode()


def post(body: bytes, path: str = "/", *more: str) -> bytes:
    return get(path, f"Content-Length: {len(body)}", *more).replace(b"GET", b"POST", 1) + body


CHUNKED = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")


def test_nothing_for_too_long_ends_a_connection(line: Line) -> None:
    assert line.is_closed()


@pytest.mark.parametrize("before", [b"", get()], ids=["at first", "later"])
def test_headers_that_never_end_are_told_and_ended(line: Line, before: bytes) -> None:
    if before:
        assert line.send(before).answer().status == 200
    answer = line.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ").answer()
    assert (answer.status, answer.code(), answer.headers["connection"]) == (408, "REQUEST_TIMEOUT", "close")
    assert answer.refusal()["message"] == "the headers did not come within 0.5 s"
    assert line.is_closed()


def test_headers_that_drip_are_not_given_more_time(line: Line) -> None:
    line.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
    assert line.is_closed_though_it_gets(b"X-A: b\r\n")


def test_line_ends_alone_are_no_request(line: Line) -> None:
    """They may precede a request (RFC 9112, 2.2), and would hold a connection for ever."""
    assert line.is_closed_though_it_gets(b"\r\n")


@pytest.mark.parametrize("more", [b"", b"\r\n"], ids=["silent", "a line end"])
def test_an_idle_connection_ends(stage: Stage, more: bytes) -> None:
    """A line end that precedes no request does not hold it open."""
    with serving(stage, Hasty, keep_alive_s=1) as server, Line(server.port) as line:
        assert line.send(get()).answer().status == 200
        assert line.send(more).is_closed()


def test_a_connection_is_used_again_however_slowly(server: SmallServer, line: Line) -> None:
    """Between requests there is the time of idle connections, here 30 s, and not that for headers."""
    for _ in range(2):
        assert line.send(get()).answer().status == 200
        with Line(server.port) as other:  # is closed when the time for headers has passed
            assert other.is_closed()
    assert line.send(get()).answer().status == 200


def test_a_body_that_nobody_reads_may_be_sent_for_a_while(line: Line) -> None:
    """The answer is out; the rest is thrown away, and not for ever."""
    head = post(b"", "/unread").replace(b"Content-Length: 0", b"Content-Length: 1000000000")
    assert line.send(head).answer().body == b"done"
    assert line.is_closed_though_it_gets(b"x")


def test_a_body_that_nobody_reads_may_end_and_the_connection_goes_on(line: Line) -> None:
    body = b"x" * 300_000
    request = post(body, "/unread")
    assert line.send(request[:-1]).answer().body == b"done"
    assert line.send(request[-1:] + get()).answer().status == 200


def test_too_many_header_bytes_are_told_while_they_come(line: Line) -> None:
    answer = line.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 1_000_000).answer()
    assert (answer.status, answer.code()) == (431, "HEADERS_TOO_LARGE")
    assert line.is_closed()


@pytest.mark.parametrize(
    "endless",
    [b"1;" + b"a" * 300_000, b"0\r\nX-A: " + b"a" * 300_000, b"0\r\n" + b"X-A: b\r\n" * 40_000],
    ids=["a chunk's extension", "a trailer", "trailers"],
)
def test_what_is_beside_a_body_is_bounded_too(line: Line, endless: bytes) -> None:
    """Else a caller could fill our memory with what no application ever sees."""
    answer = line.send(CHUNKED + endless).answer()
    assert (answer.status, answer.code()) == (431, "HEADERS_TOO_LARGE")
    assert line.is_closed()


def test_small_chunks_are_no_abuse(line: Line) -> None:
    """Each brings 5 bytes of framing for one of the body."""
    answer = line.send(CHUNKED + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n").answer()
    assert json.loads(answer.body)["size"] == 50_000


def test_trailers_are_no_headers(line: Line) -> None:
    """A proxy that takes X-Forwarded-For away from headers does not look there (RFC 9110, 6.5.1)."""
    answer = line.send(CHUNKED + b"1\r\nx\r\n0\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n").answer()
    assert json.loads(answer.body)["headers"] == ["host", "transfer-encoding"]


def test_answers_come_in_the_order_of_the_requests(line: Line) -> None:
    line.send(get("/1") + post(b"abc", "/2") + get("/3"))
    assert [json.loads(line.answer().body)["path"] for _ in range(3)] == ["/1", "/2", "/3"]


def test_more_requests_at_once_than_allowed_are_not_taken(line: Line) -> None:
    """One is answered and three wait; the connection ends after these, since what follows was thrown away."""
    line.send(b"".join(get(f"/{number}") for number in range(1_000)))
    answers = [line.answer() for _ in range(4)]
    assert [json.loads(answer.body)["path"] for answer in answers] == ["/0", "/1", "/2", "/3"]
    assert answers[-1].headers["connection"] == "close"
    assert line.is_closed()


def test_what_was_asked_before_the_rubbish_is_answered(line: Line) -> None:
    line.send(get("/1") + get("/2") + b"rubbish\r\n\r\n" + get("/3"))
    answers = [line.answer() for _ in range(2)]
    assert [json.loads(answer.body)["path"] for answer in answers] == ["/1", "/2"]
    assert line.is_closed()


def test_a_request_under_way_is_answered_though_the_next_one_is_late(
    server: SmallServer, stage: Stage, line: Line
) -> None:
    """The next one's headers get their time, and then the connection ends, after the answer."""
    line.send(get("/wait"))
    wait_until(lambda: server.tasks() == 1)
    line.send(b"GET /late HTTP/1.1\r\n")
    with Line(server.port) as other:  # opened after that, and given up after that
        assert other.is_closed()
    stage.gate.set()
    line.send(b"")
    loop_runs(server)
    answer = line.answer()
    assert json.loads(answer.body)["path"] == "/wait"
    assert answer.headers["connection"] == "close"
    assert line.is_closed()


def loop_runs(server: SmallServer) -> None:
    """Wake the server's loop, which does not hear of an event that another thread has set."""
    with Line(server.port) as line:
        assert line.send(get()).answer().status == 200


def test_a_chunk_that_is_none_ends_the_request_and_whoever_waits_for_its_body(
    server: SmallServer, stage: Stage, line: Line
) -> None:
    line.send(CHUNKED + b"5\r\nhel")
    wait_until(lambda: server.tasks() == 1)
    answer = line.send(b"lo\r\nnot a size\r\n").answer()
    assert (answer.status, answer.code()) == (400, "INVALID_HTTP")
    assert line.is_closed()
    wait_until(lambda: server.tasks() == 0)
    assert stage.left == 1


def test_a_request_that_was_refused_is_not_answered_as_well(
    server: SmallServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    """The application sees a part of the body, and begins to answer when the refusal is out already."""
    chunked = CHUNKED.replace(b"POST /", b"POST /impatient", 1)
    assert line.send(chunked + b"5\r\nhello\r\nnot a size\r\n").answer().code() == "INVALID_HTTP"
    assert line.is_closed()
    wait_until(lambda: server.tasks() == 0)
    assert caplog.text == ""


def test_a_chunk_that_is_none_after_the_answer_just_ends_the_connection(line: Line) -> None:
    """A second answer would be taken for that to the next request."""
    assert line.send(CHUNKED.replace(b"POST /", b"POST /unread", 1)).answer().body == b"done"
    line.send(b"not a size\r\n")
    assert line.is_closed()


def test_who_expects_continue_is_told_so_when_the_body_is_wanted(line: Line) -> None:
    request = post(b"abc", "/", "Expect: 100-continue")
    assert line.send(request[:-3]).answer().status == 100
    assert json.loads(line.send(request[-3:]).answer().body)["size"] == 3


def test_who_expects_continue_and_is_answered_at_once_starts_afresh(line: Line) -> None:
    """It may leave the body out then, and we would take its next request for one (RFC 9110, 10.1.1)."""
    answer = line.send(post(b"", "/unread", "Expect: 100-continue").replace(b"h: 0", b"h: 40")).answer()
    assert (answer.body, answer.headers["connection"]) == (b"done", "close")
    line.send(get("/smuggled"))
    assert line.is_closed()


@pytest.mark.parametrize(
    "upgrade",
    [("Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), ("Upgrade: websocket", "Sec-WebSocket-Version: 13")],
    ids=["h2c", "websocket"],
)
def test_another_protocol_is_not_spoken_and_the_connection_goes_on(
    line: Line, upgrade: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Java's client asks for h2c with its first request, with and without a body."""
    upgrading = ("Connection: Upgrade, HTTP2-Settings", *upgrade)
    line.send(get("/1", *upgrading) + get("/2"))
    assert [json.loads(line.answer().body)["path"] for _ in range(2)] == ["/1", "/2"]
    assert json.loads(line.send(post(b"abc", "/3", *upgrading) + get("/4")).answer().body)["size"] == 3
    assert json.loads(line.answer().body)["path"] == "/4"
    request = post(b"x" * 300_000, "/5", *upgrading)
    wait = line.send(request[:-1]).send(request[-1:])
    assert json.loads(wait.answer().body)["size"] == 300_000
    assert caplog.text == ""


def test_the_body_of_a_request_to_upgrade_is_not_taken_for_a_request(line: Line) -> None:
    """The parser takes it for another protocol; a proxy would have let it pass as a body."""
    inner = get("/smuggled")
    line.send(post(inner, "/", "Connection: Upgrade", "Upgrade: h2c") + get("/next"))
    assert json.loads(line.answer().body)["size"] == len(inner)
    assert json.loads(line.answer().body)["path"] == "/next"


def test_a_request_to_upgrade_must_tell_its_length(line: Line) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding"
    refusal = line.send(CHUNKED.replace(b"Transfer-Encoding", upgrade)).answer().refusal()
    assert (refusal["code"], refusal["field"]) == ("INVALID_HTTP", "Transfer-Encoding")


def test_a_caller_who_takes_nothing_of_a_large_answer_is_hung_up_on(
    server: SmallServer, stage: Stage
) -> None:
    """Else the answer would stay in memory for as long as the caller likes."""
    with Line(server.port, receive_buffer=4_096) as line:
        line.send(get("/large"))
        wait_until(lambda: stage.left == 1)
        wait_until(lambda: server.connections() == 0, what="the server hangs up")
        wait_until(lambda: server.tasks() == 0, what="the request ends")


@pytest.mark.parametrize("taken", [0, 64], ids=["nothing", "too little"])
def test_it_is_hung_up_on_without_the_kernels_help_too(stage: Stage, taken: int) -> None:
    """A caller may take some bytes all the time; it is not 16 KiB in half a second."""
    with serving(stage, Alone) as server, Line(server.port, receive_buffer=4_096) as line:
        line.send(get("/large"))
        wait_until(lambda: stage.left == 1)
        wait_until(lambda: line.socket.recv(taken) is not None and server.connections() == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="an option of Linux")
def test_a_caller_who_is_gone_without_a_word_is_found_out_by_the_kernel(
    server: SmallServer, line: Line
) -> None:
    """What was sent and is not acknowledged ends it; by default that takes a quarter of an hour."""
    assert line.send(get()).answer().status == 200
    (connection,) = server.server.server_state.connections
    raw = connection.transport.get_extra_info("socket")
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 500


def test_a_caller_who_takes_a_large_answer_slowly_gets_it_all(server: SmallServer) -> None:
    with Line(server.port, receive_buffer=65_536) as line:
        assert len(line.send(get("/large")).answer().body) == LARGE


def test_a_caller_who_goes_leaves_nothing(server: SmallServer, stage: Stage) -> None:
    """In the middle of headers, of a body, of an answer; with a word (FIN) and without (RST)."""
    for number, begun in enumerate([b"GET / HT", CHUNKED + b"5\r\nhel", get("/large"), get()]):
        with Line(server.port, receive_buffer=4_096) as line:
            line.send(begun)
            wait_until(lambda: server.connections() == 1)
        wait_until(lambda: server.connections() == 0, what=f"connection {number} ends")
        wait_until(lambda: server.tasks() == 0, what=f"request {number} ends")
    assert stage.left >= 2


def test_rubbish_leaves_no_line_in_the_log(server: SmallServer, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever can connect could fill the disk."""
    with caplog.at_level(logging.DEBUG, "uvicorn"):
        for _ in range(50):
            assert ask(server.port, b"\x16\x03\x01 rubbish\r\n\r\n").code() == "INVALID_HTTP"
    assert caplog.text == ""
