"""Tell developers of errors that nobody expected: in the log, and in Sentry when a DSN is set.

What is told is the type and where it was raised; an exception's message and the values of variables may
quote what a person wrote, so they go nowhere.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from workers.observability.context import bound
from workers.observability.redaction import describe
from workers.observability.sentry import start_sentry
from workers.observability.sparing import Sparing

logger = logging.getLogger(__name__)

ReportBug = Callable[[str, BaseException], None]  # what was being done, and the error


def log_bug(doing: str, error: BaseException) -> None:
    """Log *error*."""
    logger.error("%s failed: %s", doing, describe(error))


def sentry_reporter(dsn: str, **options: Any) -> ReportBug:
    """Start Sentry and return a reporter to it; *options* are for ``sentry_sdk.init``."""
    start_sentry(dsn, **options)
    return report_to_sentry()


def report_to_sentry() -> ReportBug:
    """Return a reporter that logs every error, and tells Sentry, which must have been started."""
    tell = tell_sentry()

    def report(doing: str, error: BaseException) -> None:
        log_bug(doing, error)
        tell(doing, error)

    return report


def tell_sentry(monotonic: Callable[[], float] = time.monotonic) -> ReportBug:
    """Return a reporter that sends one error of a kind to Sentry in ten seconds.

    An error that thousands of jobs meet costs a millisecond once, not thousands of times; what is sent says
    how many were not.
    """
    import sentry_sdk  # noqa: PLC0415 - see start_sentry

    sparing = Sparing(monotonic, _ONE_IN_S)

    def tell(doing: str, error: BaseException) -> None:
        times = sparing.passes((doing, type(error).__name__, _place(error)))
        if not times:
            return
        with sentry_sdk.new_scope() as scope:
            scope.set_tag("doing", doing)
            scope.set_tag("times", times)
            for name, value in bound().items():
                scope.set_tag(name, value)
            scope.capture_exception(error)

    return tell


def report_nothing(doing: str, error: BaseException) -> None:
    """Tell nobody: it is logged elsewhere."""


_ONE_IN_S = 10.0


def _place(error: BaseException) -> str:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return "" if step is None else f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"
