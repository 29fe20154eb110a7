"""What events become beside measurements: data of the present span, and messages to Sentry.

Units:   those of the events.
Errors:  none of ours; whoever calls bears what a library raises (``workers.monitoring.telling.Tellers``).
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from workers.monitoring.alerts.event_rules import Finding, Sieve, event_rules
from workers.monitoring.events import Event, Tell
from workers.observability.sentry import RULE_TAG

_LEVELS = {"critical": "fatal", "high": "error", "medium": "warning", "low": "info"}
_SHOWN = (str, int, float, bool)


def sentry_teller(monotonic: Callable[[], float] = time.monotonic) -> Tell:
    """Return what tells Sentry, which must have been started, of events.

    An event is data and tags of the transaction that it happens in, if that is sampled; what the four rules
    find in it is a message, one of a kind in a minute.
    """
    import sentry_sdk  # noqa: PLC0415 - see start_sentry

    sieve = Sieve(monotonic)

    def tell(event: Event) -> None:
        span = sentry_sdk.get_current_span()
        if span is not None and span.sampled:
            span.update_data(attributes_of(event))
            sentry_sdk.get_isolation_scope().set_context(context_name(event), msgspec.to_builtins(event))
            for name in ("endpoint", "region"):
                if (value := getattr(event, name, None)) is not None:
                    span.set_tag(name, value)
        for finding in event_rules(event):
            passed = sieve.passes(finding)
            if passed is not None:
                sentry_sdk.capture_event(message_of(passed))

    return tell


def message_of(finding: Finding) -> Any:
    """Return *finding* as an event of Sentry's."""
    return {
        "message": f"{finding.rule.name}: {finding.message}",
        "level": _LEVELS[finding.rule.level],
        "fingerprint": list(finding.fingerprint),
        "tags": {RULE_TAG: finding.rule.name, **finding.tags},
        "contexts": {"finding": {**finding.figures, "times": finding.times, "about": finding.rule.about}},
    }


def otel_teller() -> Tell:
    """Return what makes events attributes of the present span, if it is recorded."""
    from opentelemetry.trace import get_current_span  # noqa: PLC0415 - an extra, and switched on

    def tell(event: Event) -> None:
        span = get_current_span()
        if span.is_recording():
            span.add_event(type(event).__name__, attributes_of(event))

    return tell


def context_name(event: Event) -> str:
    """Return what Sentry shows *event* under, such as ``persona_process``."""
    return event.topic.replace(".", "_")


def attributes_of(event: Event) -> dict[str, str | int | float | bool]:
    """Return *event* as flat attributes, such as ``persona.process.ended.ok``."""
    found: dict[str, str | int | float | bool] = {}
    for name, value in msgspec.to_builtins(event).items():
        if isinstance(value, dict):
            found.update({f"{event.topic}.{name}.{key}": one for key, one in value.items()})
        elif isinstance(value, _SHOWN):
            found[f"{event.topic}.{name}"] = value
    return found
