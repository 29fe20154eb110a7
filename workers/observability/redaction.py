"""Keep user text out of logs.

Four ways it could get there, each closed here: Celery quotes the body of a message that it refuses;
a log record with ``exc_info`` prints the exception's message, which may quote a value; and Celery's
task tracer and its remote control put the exception's repr into their own messages.
"""

import logging
import traceback

_FRAMES = 6  # innermost frames worth reading
_REMOTE_CONTROL = frozenset({"celery.worker.control", "celery.worker.pidbox", "kombu.pidbox"})


def describe(error: BaseException) -> str:
    """Return *error*'s type and where it was raised, without its message."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    path = " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{type(error).__name__} at {path}" if path else type(error).__name__


class SafeFormatter(logging.Formatter):
    """Formats like its base class, but of an exception it shows type and frames only."""

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        """Return the described exception of an ``exc_info`` triple."""
        error = ei[1] if isinstance(ei, tuple) else None
        return "  " + (describe(error) if isinstance(error, BaseException) else "unknown error")


class MessageBodyFilter(logging.Filter):
    """Rewrites Celery's reports that quote a message's body or an exception's repr."""

    def __init__(self, quoting_formats: frozenset[str]) -> None:
        super().__init__()
        self._quoting_formats = quoting_formats

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record pass without what it quoted, unless it says nothing new."""
        if record.name == "celery.app.trace" and record.levelno >= logging.WARNING:
            task = getattr(record, "data", {})
            if task.get("description") == "rejected":
                return False  # given back on purpose, by a task that says why itself
            error = record.exc_info[1] if record.exc_info else None
            said = describe(error) if error is not None else "see the worker's state"
            record.msg = f"task {task.get('name', '?')}[{task.get('id', '?')}] did not succeed: {said}"
            record.args, record.exc_info = (), None
        elif record.name in _REMOTE_CONTROL and record.levelno >= logging.ERROR:
            record.msg = "remote control: a command failed (%s)"
            record.args = (", ".join(type(said).__name__ for said in record.args or ()),)
            record.exc_info = None
        elif record.msg in self._quoting_formats:
            record.msg = f"message refused: {str(record.msg).strip().splitlines()[0].partition(':')[0]}"
            record.args, record.exc_info = (), None
        return True
