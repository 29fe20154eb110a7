"""What went wrong with a server, as one of our errors, with what to do about it.

Redis and Valkey tell in the first word of an error (OOM, READONLY, LOADING, MISCONF, NOPERM, NOAUTH,
WRONGPASS), RabbitMQ by a reply code, TLS by the kind of exception.
Source: redis-py ``redis/_parsers/base.py``, valkey ``src/server.c`` (shared errors), amqp ``exceptions.py``.
"""

import ssl
from collections.abc import Callable

import redis

from producers.errors import AccessDenied, NotWritable, Overloaded, ProducerError, Unavailable

MEMORY_HINT_S = 2.0  # memory comes back as workers drain the queues; how fast, a refused write does not tell
_LONGEST = 200  # characters of what a server says

_READ_ONLY = "it is a read-only replica; address the primary, or use a sentinel:// URL that finds it"
_BROKEN_DISK = "it cannot write to its disk (MISCONF) and takes no more work; free space or mend the disk"
_LOADING = "it is still loading its data; the client keeps trying"
_NO_RIGHT = "it denies this user a command or key; grant what docs/brokers.md lists ({said})"
_NO_PASSWORD = "it refuses the user or password; set right those in the URL"  # noqa: S105
_NO_TRUST = "TLS failed; check the certificates and that the server's port speaks TLS ({said})"
_NO_CONNECTION = "it did not take a connection in time"
_SILENT = "it did not answer in time; what was sent may have been taken"

_ALARM = "it blocks its producers: its memory or disk alarm is on; see its log"

_Told = Callable[[str, str], ProducerError]  # from which server it is, and what it said


def fault_of(error: BaseException, what: str) -> ProducerError:
    """Return *error* of the server *what* as what a caller is told: Overloaded, or a kind of Unavailable."""
    known = known_fault(error, what)
    return Unavailable(what, _said(error)) if known is None else known


def known_fault(error: BaseException, what: str) -> ProducerError | None:
    """Return what *error*, or what it was raised for, is known to mean; None for anything else."""
    for cause in _with_causes(error):
        for kind, told in _REDIS:
            if isinstance(cause, kind):
                return told(what, _said(cause))
        if type(cause).__module__ == "amqp.exceptions" and type(cause).__name__ in _RABBITMQ:
            return _RABBITMQ[type(cause).__name__](what, _said(cause))
        if isinstance(cause, redis.ResponseError) and str(cause).startswith("MISCONF"):
            return NotWritable(what, _BROKEN_DISK)
    return None


_REDIS: tuple[tuple[type[BaseException], _Told], ...] = (  # the first that fits counts
    (redis.OutOfMemoryError, lambda what, _: Overloaded(f"the memory of {what} is full", MEMORY_HINT_S)),
    (redis.ReadOnlyError, lambda what, _: NotWritable(what, _READ_ONLY)),
    (redis.BusyLoadingError, lambda what, _: Unavailable(what, _LOADING)),
    (redis.exceptions.NoPermissionError, lambda what, said: AccessDenied(what, _NO_RIGHT.format(said=said))),
    (redis.AuthenticationError, lambda what, _: AccessDenied(what, _NO_PASSWORD)),
    (redis.exceptions.AuthorizationError, lambda what, _: AccessDenied(what, _NO_PASSWORD)),
    (redis.AuthenticationWrongNumberOfArgsError, lambda what, _: AccessDenied(what, _NO_PASSWORD)),
    (ssl.SSLError, lambda what, said: AccessDenied(what, _NO_TRUST.format(said=said))),
    (redis.TimeoutError, lambda what, said: Unavailable(what, _silent(said))),
    (TimeoutError, lambda what, said: Unavailable(what, _silent(said))),
)
_RABBITMQ: dict[str, _Told] = {  # by name: whoever has no RabbitMQ need not load its client
    "MessageNacked": lambda what, _: Overloaded(f"{what} has a queue at its limit", MEMORY_HINT_S),
    "AccessRefused": lambda what, said: AccessDenied(what, _NO_RIGHT.format(said=said)),
    "NotAllowed": lambda what, said: AccessDenied(what, _NO_RIGHT.format(said=said)),
    "Blocked": lambda what, _: NotWritable(what, _ALARM),
}


def _silent(said: str) -> str:
    return _NO_CONNECTION if "connecting" in said else _SILENT


def _with_causes(error: BaseException) -> list[BaseException]:
    """Return *error* and what it was raised for: kombu and redis-py wrap what a socket says."""
    found: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in found:
        found.append(current)
        current = current.__cause__ if current.__cause__ is not None else current.__context__
    return found


def _said(error: BaseException) -> str:
    """Return the server's words without the arguments that some replies quote: those hold people's words."""
    said = str(error).partition(", with args")[0].strip()
    return said[:_LONGEST] if said else type(error).__name__
