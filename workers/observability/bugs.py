"""Tell developers of errors that nobody expected: in the log, and in Sentry when a DSN is set.

What is told is the type and where it was raised; an exception's message and the values of variables may
quote what a person wrote, so they go nowhere.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workers.observability.redaction import describe

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

logger = logging.getLogger(__name__)

ReportBug = Callable[[str, BaseException], None]  # what was being done, and the error


def log_bug(doing: str, error: BaseException) -> None:
    """Log *error*."""
    logger.error("%s failed: %s", doing, describe(error))


def sentry_reporter(dsn: str, **options: Any) -> ReportBug:
    """Return a reporter that logs and sends to Sentry; *options* are for ``sentry_sdk.init``."""
    import sentry_sdk  # noqa: PLC0415 - 20 MB of a worker's memory, for those who use it

    sentry_sdk.init(
        dsn=dsn,
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,  # they hold log messages and queries
        default_integrations=False,  # they report log records and local state
        auto_enabling_integrations=False,  # Celery's would attach a task's arguments
        before_send=without_words,
        **options,
    )

    def report(doing: str, error: BaseException) -> None:
        log_bug(doing, error)
        with sentry_sdk.new_scope() as scope:
            scope.set_tag("doing", doing)
            scope.capture_exception(error)

    return report


def without_words(event: "Event", hint: "Hint") -> "Event | None":  # noqa: ARG001 - Sentry's signature
    """Return *event* without the messages of its exceptions."""
    for exception in event.get("exception", {}).get("values", []):
        exception["value"] = ""
    event.pop("extra", None)
    event.pop("logentry", None)
    return event
