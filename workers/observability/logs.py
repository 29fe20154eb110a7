"""Logging of a process: one line a fact, on stderr, without user text; for people, or as JSON for machines.

A JSON line is one object.  ``ts`` (ISO 8601, UTC), ``level``, ``logger`` and ``message`` are always there;
``process`` and ``region`` say who speaks; ids such as ``batch_id`` and ``request_id`` are there where they
are known (``workers.observability.context``); ``error`` is an error's type and place.
"""

import logging
import socket
import sys
from datetime import UTC, datetime
from typing import IO

import msgspec

from workers.observability.context import bound
from workers.observability.redaction import MessageBodyFilter, SafeFormatter
from workers.observability.settings import LogFormat

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_PER_MESSAGE_LOGGERS = ("celery.worker.strategy", "celery.app.trace")  # at INFO: two lines a batch
_QUIET_LOGGERS = (*_PER_MESSAGE_LOGGERS, "alembic")  # and a line for each migration of a new database
_MOST_CHARS = 8_000  # of a message; a line that is too long is cut by whoever collects it, in the middle

_encode = msgspec.json.Encoder().encode


class JsonFormatter(SafeFormatter):
    """Writes a record as one line of JSON; *region* is where this process runs."""

    def __init__(self, region: str) -> None:
        super().__init__()
        self._region, self._host = region, socket.gethostname()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; of what a record carries besides its message, nothing: it may be anything."""
        line = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage()[:_MOST_CHARS],
            "process": f"{self._host}:{record.process}",
            "region": self._region,
            **bound(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info).strip()
        try:
            return _encode(line).decode()
        except (UnicodeError, ValueError):  # half of a surrogate pair, which JSON has no form for
            return _encode({name: _whole(str(value)) for name, value in line.items()}).decode()


def configure(level: str, style: LogFormat = "human", region: str = "") -> None:
    """Send a worker's or beat's logs to stderr at *level* (``INFO``, ...), redacted."""
    from celery.worker.consumer import consumer  # noqa: PLC0415 - only a worker has it loaded

    quoting = frozenset(
        getattr(consumer, name)
        for name in ("UNKNOWN_FORMAT", "UNKNOWN_TASK_ERROR", "INVALID_TASK_ERROR", "MESSAGE_DECODE_ERROR")
    )
    handler = handler_of(sys.stderr, style, region, FORMAT)
    handler.addFilter(MessageBodyFilter(quoting))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    if root.level > logging.DEBUG:
        for name in _QUIET_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)


def handler_of(
    stream: IO[str], style: LogFormat, region: str, human: str
) -> "logging.StreamHandler[IO[str]]":
    """Return what writes log lines to *stream*: as JSON, or for people, in the format *human*."""
    as_json = style == "json" or (style == "auto" and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(region) if as_json else SafeFormatter(human))
    return handler


def _whole(text: str) -> str:
    return text.encode(errors="replace").decode()
