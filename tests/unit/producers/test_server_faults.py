"""What servers say becomes an error with a fate and a remedy, and never quotes people."""

import ssl

import amqp.exceptions
import pytest
import redis

from producers.errors import AccessDenied, NotWritable, Overloaded, Unavailable
from producers.faults import fault_of, known_fault

Kind = type[Overloaded] | type[Unavailable]


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (
            redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
            Overloaded,
            "is full",
        ),
        (redis.ReadOnlyError("You can't write against a read only replica."), NotWritable, "the primary"),
        (redis.ResponseError("MISCONF Valkey is configured to save"), NotWritable, "mend the disk"),
        (redis.BusyLoadingError("Valkey is loading the dataset in memory"), Unavailable, "loading"),
        (redis.exceptions.NoPermissionError("User ion has no permissions"), AccessDenied, "docs/brokers.md"),
        (redis.AuthenticationError("invalid username-password pair"), AccessDenied, "password"),
        (ssl.SSLCertVerificationError("certificate verify failed"), AccessDenied, "certificates"),
        (redis.TimeoutError("Timeout reading from socket"), Unavailable, "may have been taken"),
        (redis.TimeoutError("Timeout connecting to server"), Unavailable, "a connection in time"),
        (TimeoutError("timed out"), Unavailable, "may have been taken"),
        (amqp.exceptions.MessageNacked(), Overloaded, "at its limit"),
        (amqp.exceptions.AccessRefused("ACCESS_REFUSED - access to queue"), AccessDenied, "ACCESS_REFUSED"),
        (amqp.exceptions.Blocked(), NotWritable, "alarm"),
        (ConnectionRefusedError(111, "Connection refused"), Unavailable, "Connection refused"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_each_fault_has_its_error_and_its_remedy(error: Exception, kind: Kind, says: str) -> None:
    fault = fault_of(error, "the broker")

    assert type(fault) is kind
    assert "the broker" in str(fault)
    assert says in str(fault)


def test_a_fault_is_found_under_what_wraps_it() -> None:
    """As redis-py wraps TLS errors in its ConnectionError, and kombu that in its OperationalError."""
    error = redis.ConnectionError("Error 1 connecting to b:6379.")
    error.__context__ = ssl.SSLError("wrong version number")

    assert isinstance(fault_of(error, "the broker"), AccessDenied)


def test_a_bug_of_ours_is_no_fault_of_a_server() -> None:
    assert known_fault(ValueError("no"), "the broker") is None


def test_words_that_a_server_quotes_are_cut_off() -> None:
    """``ERR unknown command 'X', with args beginning with: 'the message'``; valkey src/server.c."""
    error = redis.ResponseError("unknown command 'LPUSH', with args beginning with: 'q' 'my secret words'")

    assert str(fault_of(error, "the broker")) == "the broker is not available: unknown command 'LPUSH'"
    assert len(str(fault_of(redis.ResponseError("x" * 5_000), "the broker"))) < 300


def test_an_error_is_rebuilt_from_its_arguments() -> None:
    for fault in (AccessDenied("the broker", "why"), NotWritable("the broker", "why")):
        assert str(type(fault)(*fault.args)) == str(fault)
