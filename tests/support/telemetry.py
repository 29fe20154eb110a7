"""Servers that take what Sentry's SDK and OpenTelemetry's exporter send, in this process; or that hang.

Sentry's protocol: envelopes at /api/<project>/envelope/, compressed with gzip or brotli.  OpenTelemetry's:
protobuf at /v1/traces.
"""

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sentry_sdk.envelope import Envelope

from tests.support.wait import wait_until


@dataclass(slots=True)
class Telemetry:
    """What came so far, and where to send it; *hang*: take connections and answer nobody."""

    url: str = ""
    hang: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    envelopes: list[Envelope] = field(default_factory=list)
    spans: list[tuple[str, Span]] = field(default_factory=list)  # of which service
    raw: list[bytes] = field(default_factory=list)  # all bodies, decompressed
    asked: int = 0

    @property
    def dsn(self) -> str:
        """What the SDK is told."""
        return self.url.replace("http://", f"http://{'a' * 32}@") + "/1"

    def sentry(self, kind: str) -> list[Any]:
        """Return what Sentry was sent of a kind: event, transaction or check_in."""
        return [
            json.loads(item.payload.get_bytes())
            for envelope in list(self.envelopes)
            for item in envelope.items
            if item.headers.get("type") == kind
        ]

    def named(self, name: str) -> list[Span]:
        """Return OpenTelemetry's spans of that name."""
        return [span for _, span in list(self.spans) if span.name == name]

    def wait_for(self, what: str, wanted: Any, patience_s: float = 20.0) -> None:
        """Return when *wanted* says so."""
        wait_until(wanted, patience_s, what)


@contextlib.contextmanager
def telemetry() -> Iterator[Telemetry]:
    """Serve both protocols on a free port."""
    taken = Telemetry()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.asked += 1
            body = self.rfile.read(int(self.headers["content-length"]))
            if taken.hang.is_set():
                taken.released.wait(60)
                return
            body = _opened(body, self.headers.get("content-encoding", ""))
            taken.raw.append(body)
            if self.path.endswith("/envelope/"):
                taken.envelopes.append(Envelope.deserialize(body))
            else:
                _take_spans(taken, body)
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    taken.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        taken.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def _opened(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "br":
        import brotli  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - if the SDK found it

        opened: bytes = brotli.decompress(body)
        return opened
    return body


def _take_spans(taken: Telemetry, body: bytes) -> None:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = next(a.value.string_value for a in group.resource.attributes if a.key == "service.name")
        for scope in group.scope_spans:
            taken.spans += [(service, span) for span in scope.spans]
