"""What developers and operators see of a gateway's process: its faults, its spans and its events.

Call ``sight_of`` in the process that serves, after a fork.
"""

from collections.abc import Callable
from dataclasses import dataclass

from producers.gateway.monitoring.request_spans import (
    NoRequestSpans,
    OtelRequests,
    RequestSpans,
    SentryRequests,
    SeveralRequestSpans,
)
from workers.monitoring.events import Tell
from workers.observability.bugs import ReportBug, report_nothing
from workers.observability.settings import ObservabilitySettings


@dataclass(frozen=True, slots=True)
class Sight:
    """*report_fault* tells of a fault that the edge has logged; *close* sends what waits, within 4 s."""

    report_fault: ReportBug
    spans: RequestSpans
    tells: tuple[Tell, ...]
    farewells: tuple[Callable[[], None], ...] = ()

    def close(self) -> None:
        """Send what waits."""
        for farewell in self.farewells:
            farewell()


def sight_of(settings: ObservabilitySettings, region: str) -> Sight:
    """Switch on what *settings* ask for; raise InvalidInput where an extra is not installed."""
    report_fault: ReportBug = report_nothing
    spans: list[RequestSpans] = []
    tells: list[Tell] = []
    farewells: list[Callable[[], None]] = []
    if settings.sentry_dsn is not None:
        from workers.observability.bugs import tell_sentry  # noqa: PLC0415 - loads the SDK when called
        from workers.observability.listeners import sentry_teller  # noqa: PLC0415 - likewise
        from workers.observability.sentry import init_sentry, stop_sentry  # noqa: PLC0415 - likewise

        init_sentry(settings)
        report_fault = tell_sentry()
        spans.append(SentryRequests(settings.sentry_traces_sample_rate))
        tells.append(sentry_teller())
        farewells.append(stop_sentry)
    if settings.otel:
        from workers.observability.otel import SCOPE, close_provider, open_provider  # noqa: PLC0415 - an extra

        provider = open_provider("ion-gateway", region, settings.environment)
        from opentelemetry.trace import set_tracer_provider  # noqa: PLC0415 - an extra

        set_tracer_provider(provider)  # the client in this process asks for it there, as in any app
        spans.append(OtelRequests(provider, SCOPE))
        farewells.append(lambda: close_provider(provider))
    whole = NoRequestSpans() if not spans else spans[0] if len(spans) == 1 else SeveralRequestSpans(spans)
    return Sight(report_fault, whole, tuple(tells), tuple(farewells))
