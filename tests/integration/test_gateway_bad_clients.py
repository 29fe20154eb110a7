"""Clients that break the rules, before a real gateway: refused or hung up on, and nobody else notices."""

import contextlib
import json
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from infra.local.stack import LocalStack
from tests.support.gateway import Running, gateway
from tests.support.raw_http import Line, ask
from tests.support.wait import wait_until

PATIENCE_S = 30.0
IDLE = 1_000
MOST_GROWTH_BYTES = 60_000_000
HEALTH = b"GET /api/v2/health HTTP/1.1\r\nHost: a\r\n\r\n"
SMUGGLED = b"GET /api/v2/personas/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /api/v2/process HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def running(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    environment = {**stack.urls.environment(), "ION_STATE_DIR": str(stack.settings.state_dir)}
    directory = tmp_path_factory.mktemp("gateway")
    with gateway(environment, directory, rate_limit_address="100000/second") as made:
        ask(made.port, request(b'{"user_input": "hello"}'))  # whatever is made at first, is made now
        yield made


@pytest.fixture(autouse=True)
def alone(running: Running) -> None:
    """Each test begins when nothing is left of the one before."""
    wait_until(lambda: callers(running) == 0, PATIENCE_S)


def request(body: bytes) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def callers(running: Running) -> int:
    """Return how many callers' sockets it has open."""
    open_ones = psutil.Process(running.process.pid).net_connections("tcp")
    return sum(one.laddr.port == running.port and bool(one.raddr) for one in open_ones)


def memory(running: Running) -> int:
    return int(psutil.Process(running.process.pid).memory_info().rss)


def is_well(running: Running) -> bool:
    return ask(running.port, HEALTH).status == 200


REFUSED = {
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "an unknown method": b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a tunnel": b"CONNECT internal.example:22 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a raw letter in the address": "GET /api/v2/personas/루아 HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "NUL in the address": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "both lengths": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 50\r\n\r\n",
    "two equal lengths": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 0, 0\r\n\r\n",
    "a length with a plus": POST + b"Content-Length: +0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a hexadecimal length": POST + b"Content-Length: 0x0\r\n\r\n",
    "an empty length": POST + b"Content-Length:\r\n\r\n",
    "a length beyond any number": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "a length with a blank": POST + b"Content-Length : 0\r\n\r\n",
    "a coding after a blank": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a coding after a control character": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in the middle": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "gzip below chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
    "a chunk without a size": CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk of size zz": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "a chunk of size -2": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk of size 0x2": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk larger than any number": CHUNKED + b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer than it says": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
    "chunks with bare line feeds": CHUNKED + b"2\n{}\n0\n\n",
    "a folded header": POST + b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a carriage return in a name": POST + b"X\rA: b\r\nContent-Length: 0\r\n\r\n",
    "a carriage return in a value": POST + b"X-A: b\rc\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": POST + b"X-A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "a header without a name": POST + b": b\r\nContent-Length: 0\r\n\r\n",
    "a header without a colon": POST + b"X-A\r\nContent-Length: 0\r\n\r\n",
    "an upgrade with chunks": POST
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_two_servers_could_read_differently_is_refused_and_ends_the_connection(
    running: Running, name: str
) -> None:
    """A server before us may take for a body what we take for the next request: so it is not read."""
    before = running.log()
    with Line(running.port) as line:
        answer = line.send(REFUSED[name] + SMUGGLED).answer()
        assert (answer.status, answer.code(), answer.headers["connection"]) == (400, "INVALID_HTTP", "close")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert line.is_closed()
    assert running.log() == before


def test_a_body_that_looks_like_a_request_is_a_body(running: Running) -> None:
    """On a route that reads none, with a length and in chunks; the next request is the next one."""
    get = b"GET /api/v2/personas/lua HTTP/1.1\r\nHost: a\r\n"
    chunk = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    for framed in (b"Content-Length: %d\r\n\r\n%s" % (len(SMUGGLED), SMUGGLED), chunk):
        with Line(running.port) as line:
            line.send(get + framed + HEALTH)
            assert json.loads(line.answer().body)["persona"]["name"] == "Lua"
            assert "healthy" in json.loads(line.answer().body)


def test_a_refused_body_is_no_request_either(running: Running) -> None:
    """The refusal comes before the body is read; the body is thrown away."""
    bad = POST.replace(b"application/json", b"text/plain")
    with Line(running.port) as line:
        line.send(bad + b"Content-Length: %d\r\n\r\n%s" % (len(SMUGGLED), SMUGGLED) + HEALTH)
        assert line.answer().status == 415
        assert "healthy" in json.loads(line.answer().body)


def test_an_address_may_name_the_server(running: Running) -> None:
    """As a proxy's client sends it (RFC 9112, 3.2.2); what server it names makes no difference."""
    absolute = HEALTH.replace(b"/api", b"http://other.example/api", 1)
    assert ask(running.port, absolute).status == 200


def test_pipelined_requests_are_answered_in_order(running: Running) -> None:
    names = ["lua", "elro", "riri", "nana"]
    with Line(running.port) as line:
        line.send(
            b"".join(b"GET /api/v2/personas/%s HTTP/1.1\r\nHost: a\r\n\r\n" % n.encode() for n in names)
        )
        told = [json.loads(line.answer().body)["persona"]["name"].lower() for _ in names]
    assert told == names


def test_who_expects_a_continue_for_what_is_refused_sends_no_body(running: Running) -> None:
    bomb = POST + b"Content-Encoding: gzip\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n"
    with Line(running.port) as line:
        answer = line.send(bomb).answer()
        assert (answer.status, answer.code()) == (415, "UNSUPPORTED_MEDIA_TYPE")
        assert line.is_closed()


def test_slow_headers_are_given_up_and_others_are_answered_meanwhile(running: Running) -> None:
    with contextlib.ExitStack() as open_lines:
        lines = [open_lines.enter_context(Line(running.port)) for _ in range(50)]
        for line in lines:
            line.send(b"GET /api/v2/health HTTP/1.1\r\nHost: a\r\nX-")
        assert is_well(running)
        for line in lines:
            answer = line.answer()
            assert (answer.status, answer.code()) == (408, "REQUEST_TIMEOUT")
            assert line.is_closed()


def test_idle_connections_cost_a_file_each_and_no_more(running: Running) -> None:
    """They are closed after a while; who has closed them first leaves nothing behind."""
    with contextlib.ExitStack() as open_lines:
        lines = [open_lines.enter_context(Line(running.port)) for _ in range(IDLE)]
        for line in lines:
            line.send(HEALTH)
        assert all(line.answer().status == 200 for line in lines)
        assert callers(running) == IDLE
        assert is_well(running)
    wait_until(lambda: callers(running) == 0, PATIENCE_S, "nothing is left of them")


BEGUN = {
    "headers": b"GET / HTTP/1.1\r\nX-A",
    "a body": CHUNKED + b"5\r\nhel",
    "a request": request(b'{"user_input": "hello", "use_cache": false}'),
    "an unread body": b"GET /api/v2/personas HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
    "events": b"GET /api/v2/jobs/%s/events HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 64),
}


@pytest.mark.parametrize("begun", BEGUN)
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_caller_who_vanishes_leaves_nothing(running: Running, begun: str, *, reset: bool) -> None:
    log = running.log()
    for _ in range(50):
        with Line(running.port) as line:
            line.send(BEGUN[begun])
            if reset:
                line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: callers(running) == 0, PATIENCE_S, "nothing is left of them")
    assert "ERROR" not in running.log()[len(log) :]


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 2_000_000, id="a header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-A: b\r\n" * 250_000, id="headers"),
        pytest.param(b"GET /" + b"a" * 2_000_000, id="an address"),
        pytest.param(CHUNKED + b"1;" + b"a" * 2_000_000, id="a chunk's extension"),
        pytest.param(CHUNKED + b"0\r\n" + b"X-A: b\r\n" * 250_000, id="trailers"),
        pytest.param(HEALTH * 40_000, id="requests"),
    ],
)
def test_a_flood_is_dammed(running: Running, flood: bytes) -> None:
    """60 callers send 120 MB in all, 10 of them at a time; the gateway keeps less than half of it."""
    room = memory(running) + MOST_GROWTH_BYTES

    def pour(_: int) -> None:
        with Line(running.port) as line:
            line.send(flood)
            assert line.answer().status in (200, 431)

    with ThreadPoolExecutor(10) as flooders:
        list(flooders.map(pour, range(60)))
    assert is_well(running)
    assert memory(running) < room
    wait_until(lambda: callers(running) == 0, PATIENCE_S, "nothing is left of them")


def test_who_reads_slowly_gets_all_of_it_and_holds_nobody_up(running: Running) -> None:
    """100 answers are some 300 KB; this caller's window is 4 KiB."""
    body = json.dumps({"requests": [{"user_input": f"hello {number}"} for number in range(100)]}).encode()
    data = request(body).replace(b"/process", b"/bulk-process", 1)
    with Line(running.port, receive_buffer=4_096) as line:
        line.send(data)
        assert is_well(running)
        told = json.loads(line.answer().body)
    assert (told["total"], told["successful"]) == (100, 100)
