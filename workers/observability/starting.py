"""Switch on what a process's settings ask for: Sentry, OpenTelemetry, or neither, which loads nothing.

Call it after a fork.  Closing what it returns sends what waits, within two seconds each.
"""

from dataclasses import dataclass

from workers.monitoring.events import Tell
from workers.observability.bugs import ReportBug, log_bug, report_to_sentry
from workers.observability.check_ins import CheckIns, NoCheckIns, SentryCheckIns
from workers.observability.sentry import init_sentry, stop_sentry
from workers.observability.settings import ObservabilitySettings
from workers.observability.tracing import Tracing, together


@dataclass(frozen=True, slots=True)
class Observability:
    """Where a process reports errors, makes spans, and tells of events."""

    report_bug: ReportBug
    tracing: Tracing
    tells: tuple[Tell, ...]
    check_ins: CheckIns


def switched_on(settings: ObservabilitySettings, region: str) -> Observability:
    """Return what a worker of *region* works with; raise InvalidInput where an extra is not installed."""
    tracings: list[Tracing] = []
    tells: list[Tell] = []
    report_bug: ReportBug = log_bug
    check_ins: CheckIns = NoCheckIns()
    if settings.sentry_dsn is not None:
        from workers.observability.listeners import sentry_teller  # noqa: PLC0415 - needs what it loads
        from workers.observability.sentry_tracing import SentryTracing  # noqa: PLC0415 - likewise

        init_sentry(settings)
        report_bug = report_to_sentry()
        check_ins = SentryCheckIns()
        tracings.append(SentryTracing(settings.sentry_traces_sample_rate))
        tells.append(sentry_teller())
    if settings.otel:
        from workers.observability.listeners import otel_teller  # noqa: PLC0415 - an extra
        from workers.observability.otel import open_provider  # noqa: PLC0415 - likewise

        provider = open_provider("ion-worker", region, settings.environment)
        from workers.observability.otel_tracing import OtelTracing  # noqa: PLC0415 - likewise

        tracings.append(OtelTracing(provider))
        tells.append(otel_teller())
    return Observability(report_bug, together(tracings), tuple(tells), check_ins)


def beat_check_ins(settings: ObservabilitySettings) -> CheckIns:
    """Return what the beat checks in with; it starts Sentry in this process, if there is a DSN."""
    if settings.sentry_dsn is None:
        return NoCheckIns()
    init_sentry(settings)
    return SentryCheckIns(farewell=stop_sentry)
