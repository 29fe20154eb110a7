"""Fetch replies: this process's list in Redis or Valkey, read by one thread."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from producers.errors import Unavailable
from producers.faults import fault_of
from workers.contract.names import reply_key
from workers.transport.servers import open_redis

_SERVER_WAIT_S = 1.0  # how long the server holds a read open when there is nothing
_SILENCE_S = 2.0  # beyond that wait: the server is taken for dead
_MOST_AT_ONCE = 64  # replies in one read


class ReplyReader:
    """Reads the list of *client_id*; reconnects after every failure.

    The read is sent once and then polled, so that its thread can do other work while the server waits,
    and so that a frozen server is noticed.
    """

    def __init__(self, url: str, client_id: str, connect_timeout_s: float) -> None:
        self._key = reply_key(client_id)
        self._client = open_redis(
            url,
            socket_timeout=connect_timeout_s,
            retry=Retry(NoBackoff(), 0),  # the receiver tries again itself, between its other duties
            client_name="ion-producer",
        )
        self._connection: redis.Connection | None = None
        self._asked = False
        self._silent_s = 0.0

    def connect(self) -> None:
        """Make the connection, if there is none; raise Unavailable when the server cannot be reached."""
        try:
            if self._connection is None:
                self._connection = self._client.connection_pool.get_connection()
        except (redis.RedisError, OSError) as error:
            raise _away(error) from None

    def poll(self, patience_s: float) -> list[bytes]:
        """Return the replies that came within *patience_s* (none is a normal answer).

        Raises Unavailable when the server cannot be reached or has gone silent.
        """
        self.connect()
        assert self._connection is not None  # noqa: S101 - connect made it
        try:
            return self._poll(self._connection, patience_s)
        except (redis.RedisError, OSError) as error:
            self.close()
            raise _away(error) from None

    def _poll(self, connection: redis.Connection, patience_s: float) -> list[bytes]:
        if not self._asked:
            connection.send_command("BLMPOP", _SERVER_WAIT_S, 1, self._key, "LEFT", "COUNT", _MOST_AT_ONCE)
            self._asked, self._silent_s = True, 0.0
        if not connection.can_read(timeout=patience_s):
            self._silent_s += patience_s
            if self._silent_s > _SERVER_WAIT_S + _SILENCE_S:
                raise redis.TimeoutError("no answer")
            return []
        answer = connection.read_response(disable_decoding=True)
        self._asked = False
        return list(answer[1]) if answer else []

    def close(self) -> None:
        """Drop the connection; another poll would make a new one."""
        connection, self._connection, self._asked = self._connection, None, False
        if connection is not None:
            connection.disconnect()
            self._client.connection_pool.release(connection)


def open_reply_store(url: str, connect_timeout_s: float, timeout_s: float) -> redis.Redis:
    """Return a client for single commands to the reply store; it connects when first used."""
    return open_redis(
        url,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),  # one that went stale
        client_name="ion-producer",
    )


def _away(error: Exception) -> Unavailable:
    fault = fault_of(error, "the reply store")
    return fault if isinstance(fault, Unavailable) else Unavailable("the reply store", str(fault))
