"""OpenTelemetry in a process of ours: where spans go is said by the standard OTEL_* variables.

Needs the extra ``otel``.  Spans are sent from a thread of their own, over HTTP; when nobody takes them they
are dropped, and a process that ends waits for FAREWELL_S at most.

Source:  opentelemetry-sdk 1.45 (``BatchSpanProcessor``), opentelemetry-exporter-otlp-proto-http 1.45.
"""

import logging
import threading
import time
from typing import TYPE_CHECKING

from persona_system.errors import InvalidInput
from workers.observability.sparing import Sparing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

FAREWELL_S = 1.5
SCOPE = "ion_mentoring"  # what the spans' instrumentation is called
_ONE_LINE_IN_S = 600.0


def open_provider(
    service: str, region: str, environment: str, exporter: "SpanExporter | None" = None
) -> "TracerProvider":
    """Return what makes spans of this process, called *service* unless OTEL_SERVICE_NAME says otherwise.

    Raises InvalidInput when the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        fix = "install it with pip install 'ion-mentoring[otel]', or unset ION_OTEL"
        raise InvalidInput("ION_OTEL", "asks for OpenTelemetry, which is not installed", fix) from None
    attributes = {
        "service.name": service,
        "service.namespace": "ion-mentoring",
        "deployment.environment.name": environment,
        "ion.region": region,
    }
    told_by_user = Resource.create()  # of OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
    said = told_by_user.attributes
    if not str(said.get("service.name", "unknown_service")).startswith("unknown_service"):
        del attributes["service.name"]
    provider = TracerProvider(resource=told_by_user.merge(Resource(attributes)), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    _quieten()
    return provider


def close_provider(provider: "TracerProvider", patience_s: float = FAREWELL_S) -> None:
    """Send what waits, for *patience_s* at most: a collector that hangs must hold nobody up."""
    last = threading.Thread(target=provider.shutdown, name="otel-farewell", daemon=True)
    last.start()
    last.join(patience_s)


class _OneLine(logging.Filter):
    """Lets one line of the library in ten minutes through: it says the same for each lot that is lost."""

    def __init__(self, sparing: Sparing) -> None:
        super().__init__()
        self._sparing = sparing

    def filter(self, record: logging.LogRecord) -> bool:
        times = self._sparing.passes(record.name)
        if times:
            record.msg = f"OpenTelemetry: {record.levelname.lower()} in sending spans ({times} times)"
            record.args, record.exc_info = (), None
        return bool(times)


def _quieten() -> None:

    one_line = _OneLine(Sparing(time.monotonic, _ONE_LINE_IN_S))
    for name in (
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.exporter.otlp.proto.http._common",
        "opentelemetry.sdk._shared_internal",
    ):
        logger = logging.getLogger(name)
        if not any(isinstance(known, _OneLine) for known in logger.filters):
            logger.addFilter(one_line)
