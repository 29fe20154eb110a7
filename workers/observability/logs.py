"""Logging of a worker process: one line a fact, on stderr, without user text."""

import logging
import sys

from workers.observability.redaction import MessageBodyFilter, SafeFormatter

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_PER_MESSAGE_LOGGERS = ("celery.worker.strategy", "celery.app.trace")  # at INFO: two lines a batch


def configure(level: str) -> None:
    """Send the process's logs to stderr at *level* (``INFO``, ...), redacted."""
    from celery.worker.consumer import consumer  # noqa: PLC0415 - only a worker has it loaded

    quoting = frozenset(
        getattr(consumer, name)
        for name in ("UNKNOWN_FORMAT", "UNKNOWN_TASK_ERROR", "INVALID_TASK_ERROR", "MESSAGE_DECODE_ERROR")
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter(FORMAT))
    handler.addFilter(MessageBodyFilter(quoting))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    if root.level > logging.DEBUG:
        for name in _PER_MESSAGE_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)
