"""What Sentry is told of a process, and what it is never told.

The SDK's own integrations are off: they attach what is at hand, a task's arguments, log records, requests and
the values of variables, and here that is what people wrote.  So what is sent is sent on purpose, by this
package, and ``without_words`` goes over each event once more, at the last moment.

Nothing waits for Sentry: the SDK sends from a thread of its own, keeps a hundred envelopes, and drops others.

Source:  sentry_sdk/client.py, consts.py (``ClientConstructor``), transport.py of 2.75.
"""

import contextlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from workers.observability.settings import ObservabilitySettings

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

FAREWELL_S = 1.5  # what is still to be sent when a process ends may take so long

_KEPT = frozenset(  # of an event; everything else may hold what was at hand
    {
        *("type", "event_id", "timestamp", "start_timestamp", "platform", "level", "sdk", "server_name"),
        *("release", "environment", "dist", "tags", "contexts", "fingerprint", "exception", "message"),
        *("transaction", "transaction_info", "spans", "measurements", "threads", "debug_meta"),
        *("monitor_slug", "check_in_id", "status", "duration", "monitor_config"),
    }
)
_CONTEXTS = frozenset(
    {"trace", "finding", "persona_process", "routing_decision", "cache_performance", "api_request"}
)
RULE_TAG = "rule"  # on messages of ours; any other message is blanked


def release() -> str:
    """Return what Sentry calls this version of the package."""
    try:
        return f"ion-mentoring@{version('ion-mentoring')}"
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "ion-mentoring@unknown"


def start_sentry(dsn: str, **options: Any) -> None:
    """Start the SDK in this process; *options* are for ``sentry_sdk.init``.

    Call it after a fork, never in a parent: threads do not survive one.
    """
    import sentry_sdk  # noqa: PLC0415 - 20 MB of a process's memory, for those who use it

    sentry_sdk.init(
        dsn=dsn,
        **{
            "release": release(),
            "include_local_variables": False,
            "include_source_context": False,
            "max_request_body_size": "never",
            "max_breadcrumbs": 0,  # they hold log messages and queries
            "default_integrations": False,  # they report log records and local state
            "auto_enabling_integrations": False,  # Celery's would attach a task's arguments
            "auto_session_tracking": False,
            "send_client_reports": False,
            "before_send": without_words,
            "before_send_transaction": without_words,
            **options,
        },
    )


def init_sentry(settings: ObservabilitySettings) -> None:
    """Start Sentry's SDK as *settings* say; they must have a DSN."""
    assert settings.sentry_dsn is not None  # noqa: S101 - the caller's part
    from workers.observability.sentry_transport import TellingTransport  # noqa: PLC0415 - loads the SDK

    start_sentry(
        settings.sentry_dsn.get_secret_value(),
        environment=settings.environment,
        traces_sample_rate=settings.sentry_traces_sample_rate,
        transport=TellingTransport,
    )


def stop_sentry(patience_s: float = FAREWELL_S) -> None:
    """Send what waits, for *patience_s* at most, and stop the SDK."""
    import sentry_sdk  # noqa: PLC0415 - loaded already by whoever started it

    with contextlib.suppress(Exception):  # the process ends, and there is nobody to tell
        sentry_sdk.get_client().close(timeout=patience_s)


def without_words(event: "Event", hint: "Hint") -> "Event | None":  # noqa: ARG001 - Sentry's signature
    """Return *event* with what is sent on purpose, and without the messages of its exceptions."""
    kept: Any = {name: value for name, value in event.items() if name in _KEPT}
    for exception in (kept.get("exception") or {}).get("values") or []:
        exception["value"] = ""
        for frame in ((exception.get("stacktrace") or {}).get("frames")) or []:
            frame.pop("vars", None)
    if "contexts" in kept:
        kept["contexts"] = {name: one for name, one in kept["contexts"].items() if name in _CONTEXTS}
    if "message" in kept and RULE_TAG not in (kept.get("tags") or {}):
        kept["message"] = ""
    return kept  # type: ignore[no-any-return]
