"""The server's HTTP protocol: strict, and with patience that ends.

A caller who is too slow (with headers, with a body that nobody reads, in taking an answer) is hung up on.
What a request may hold beside its body is bounded, and what two servers could read differently is refused.
Refusals have the structured body, as everywhere; they leave no log line, since anybody could write thousands.

Units:   seconds and bytes.
Source:  RFC 9110 and 9112; uvicorn 0.54, ``protocols/http/httptools_impl.py``, which times idle connections
         only, and only after their first response.
"""

import asyncio
import socket
import sys
from dataclasses import dataclass

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from producers.gateway.call import BODY_IS_HERE, error_body, new_request_id
from producers.gateway.entry.edge import V2_PREFIX, Headers, completed
from producers.gateway.errors import (
    BodyTooSlow,
    GatewayError,
    HeadersTooLarge,
    MalformedRequest,
    Refusal,
    refusal_of,
)
from producers.gateway.server.joined import JoinedWrites

_FRAMING_PER_BYTE = 8  # that a body may bring: chunks of a single byte have 5


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take, and what it may send beside bodies."""

    headers_s: float = 5.0  # for the first byte of a connection, and for all headers of a request
    rest_s: float = 5.0  # for the rest of a body whose answer is out already
    linger_s: float = 2.0  # for a caller to read a refusal
    stall_s: float = 20.0  # in which a caller takes...
    least_bytes: int = 16_384  # ...so much of a large answer
    max_header_bytes: int = 65_536  # the settings' limit is lower, and checked when the headers are complete
    max_pipelined: int = 32  # requests that wait for the answer to an earlier one


class PatientProtocol(HttpToolsProtocol):
    """One connection, within the limits of ``patience``."""

    patience = Patience()

    _deadline: asyncio.TimerHandle | None = None  # of what this connection waits for
    _stall: asyncio.TimerHandle | None = None
    _in_message = _in_headers = False
    _ended = False  # nothing more is read
    _framing_bytes = 0
    _unparsed = 0  # bytes of the body of a request to upgrade: the parser takes them for another protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        if sys.platform == "linux" and self.client is not None:
            # the kernel hangs up on whoever is gone without a word
            connection: socket.socket = transport.get_extra_info("socket")
            stall_ms = round(self.patience.stall_s * 1000)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, stall_ms)
        self._wait(self.patience.headers_s)

    def data_received(self, data: bytes) -> None:
        """Take bytes; afterwards, whoever has to send more, or has nothing under way, has a deadline."""
        if self._ended:
            return
        self._unset_keepalive_if_required()
        self._framing_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            reason = error.__context__
            if not isinstance(reason, MalformedRequest):
                reason = MalformedRequest("this cannot be read as HTTP/1.1")
            self._end(reason)
            return
        if self._framing_bytes > self.patience.max_header_bytes:
            self._end(HeadersTooLarge(f"the headers are over {self.patience.max_header_bytes // 1024} KiB"))
        elif self._deadline is None:
            if self._in_headers:
                self._wait(self.patience.headers_s)
            elif not self._under_way():
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_message = self._in_headers = True
        self._framing_bytes = 0

    def on_headers_complete(self) -> None:
        """Check what the parser lets pass, and hand the request on."""
        check_framing(self.headers, self.parser.get_http_version())
        if self.parser.should_upgrade():
            self._unparsed = unparsed_bytes(self.headers)
        if len(self.pipeline) >= self.patience.max_pipelined:
            raise MalformedRequest("too many requests at once; wait for answers")
        super().on_headers_complete()
        if self.scope["method"] != "HEAD":
            self.cycle.transport = JoinedWrites(self.transport)  # type: ignore[assignment]  # all a cycle uses
        if self.expect_100_continue:
            # what follows may be the body, or the next request if the answer came first (RFC 9110, 10.1.1)
            self.cycle.keep_alive = False
        self.headers = []  # trailers go here: a proxy may have checked the headers, and not them
        self._in_headers = False
        self._wait_no_more()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        super().on_body(body)
        self._framing_bytes -= len(body) * (1 + _FRAMING_PER_BYTE)

    def on_message_complete(self) -> None:
        """End a request, unless its body is yet to come."""
        if self._unparsed:
            return
        super().on_message_complete()
        self.scope[BODY_IS_HERE] = True  # type: ignore[literal-required]  # servers may add some
        self._in_message = False
        self._wait_no_more()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._wait(self.patience.stall_s)
        elif self._in_message and not self._in_headers and self.cycle.response_complete:
            self._unset_keepalive_if_required()
            self._wait(self.patience.rest_s)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        self._close()

    def pause_writing(self) -> None:
        """Hold the application back, for as long as the caller goes on taking its answer."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """Let the application go on."""
        super().resume_writing()
        self._watch_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._wait_no_more()
        self._watch_no_more()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def _feed(self, data: bytes) -> None:
        """Parse *data*; a request to upgrade is one like any other, as it may be (RFC 9110, 7.8)."""
        while data:
            if self._unparsed:
                body, data = data[: self._unparsed], data[self._unparsed :]
                self._unparsed -= len(body)
                self.on_body(body)
                if not self._unparsed:
                    self.on_message_complete()
                continue
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as asked:
                data = data[asked.args[0] :]
            else:
                return

    def _under_way(self) -> bool:
        """Tell whether a request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn declares it without the None
        return cycle is not None and not cycle.response_complete

    def _end(self, error: GatewayError) -> None:
        """Read no more of this connection; answer what was asked before, or tell *error*."""
        self._ended = True
        self._wait_no_more()
        cycle, under_way = self.cycle, self._under_way()
        if self._in_headers or not self._in_message:  # it is about a request that nobody has seen yet
            if under_way:
                cycle.keep_alive = False
            else:
                self._tell(refusal_of(error))
        elif under_way and not cycle.response_started and not self.pipeline:
            cycle.disconnected = True  # whoever waits for the body has nobody to answer
            self._tell(refusal_of(error))
        else:
            self._close()

    def _tell(self, refusal: Refusal) -> None:
        """Send *refusal*, and leave the caller a moment to read it: closing at once would destroy it."""
        request_id = new_request_id()
        body = msgspec.json.encode(error_body(refusal, request_id))
        headers = completed(
            [
                *self.server_state.default_headers,
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
            ],
            request_id,
            V2_PREFIX,
        )
        lines = [b"%s: %s\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body]))
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._wait(self.patience.linger_s)
        else:  # TLS
            self._close()

    def _wait(self, seconds: float) -> None:
        self._wait_no_more()
        self._deadline = self.loop.call_later(seconds, self._give_up)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._ended or self.transport.is_closing():
            self.transport.abort()
        elif self._in_headers:
            self._end(BodyTooSlow(f"the headers did not come within {self.patience.headers_s:g} s"))
        else:
            self._close()

    def _close(self) -> None:
        """Close, once the caller has taken what was sent; not later than ``stall_s``."""
        self.transport.close()
        self._wait(self.patience.stall_s)

    def _watch_writing(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self.patience.stall_s, self._check_writing, unsent)

    def _watch_no_more(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _check_writing(self, unsent: int) -> None:
        if self.transport.get_write_buffer_size() > unsent - self.patience.least_bytes:
            self.transport.abort()
        else:
            self._watch_writing()


def check_framing(headers: Headers, version: str) -> None:
    """Raise MalformedRequest for what the parser takes, and another server may read differently."""
    if version not in ("1.1", "1.0"):
        raise MalformedRequest("send HTTP/1.1")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise MalformedRequest("there must be exactly one header Host", "Host")
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings and (codings != [b"chunked"] or version == "1.0"):
        raise MalformedRequest("chunked, in HTTP/1.1, is the only one that is taken", "Transfer-Encoding")


def unparsed_bytes(headers: Headers) -> int:
    """Return the length of the body of a request to upgrade; raise MalformedRequest if it is not told."""
    told = dict(headers)
    if b"transfer-encoding" in told:
        raise MalformedRequest("send a Content-Length, or do not ask for an upgrade", "Transfer-Encoding")
    return int(told.get(b"content-length", b"0"))
