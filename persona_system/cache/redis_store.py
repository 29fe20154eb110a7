"""The shared store on the wire: Redis or Valkey, a few commands, many keys at a time.

Everything the cache says to a server is here.  Commands for many keys are packed by hand into one buffer,
since redis-py's packing costs more than the server's work (15 us a SET in its pipeline, 1.4 us here).
Answers to writes are switched off (CLIENT REPLY OFF), and one question at the end tells whether the
server took them.

Units:   milliseconds where a name ends in ``_ms``; bytes.
Errors:  Unavailable, within one timeout, whatever the server or the network does; then the connection
         is dropped.
"""

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionInterface
from redis.retry import Retry

from persona_system.errors import Unavailable

_AT_ONCE = 1_000  # keys in one command
_WRITES_AT_ONCE = 250  # 0.75 MB of answers: within the timeout, also on a busy machine
_FREE_WATCHES = 8  # more are rarely needed at a time; beyond it the oldest is dropped
_WHAT = "the cache store"
_FAILURES = (redis.RedisError, OSError)

_REPLY_OFF = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n"
_REPLY_ON = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n"

_FreeWatch = tuple[ConnectionInterface, bytes]  # and what it is still subscribed to

Command = tuple[bytes | str | int | float, ...]


class RedisStore:
    """Commands to one server, from any thread; each takes a free connection or makes one.

    Making a store connects to nothing.  After a fork the child starts with connections of its own.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),  # whoever keeps the link tries again, not the caller
            protocol=2,
            client_name="ion-cache",
            driver_info=None,  # two commands less to connect with
        )
        self._free: deque[ConnectionInterface] = deque()
        self._free_watches: deque[_FreeWatch] = deque(maxlen=_FREE_WATCHES)
        self._pid = os.getpid()

    def get_many(self, names: Sequence[bytes]) -> list[bytes | None]:
        """Return what is stored under each of *names*."""
        found: list[bytes | None] = []
        with self._connection() as connection:
            for start in range(0, len(names), _AT_ONCE):
                part = names[start : start + _AT_ONCE]
                connection.send_packed_command([_packed(b"MGET", *part)])
                found += connection.read_response(disable_decoding=True)
        return found

    def set_many(self, items: Sequence[tuple[bytes, bytes, int]]) -> bool:
        """Store (name, value, lifetime in ms) each; return whether the server took the last of them."""
        taken = True
        with self._connection() as connection:
            for start in range(0, len(items), _WRITES_AT_ONCE):
                part = items[start : start + _WRITES_AT_ONCE]
                buffer = [_REPLY_OFF]
                for name, value, life_ms in part:  # pieces, so that a value is copied once
                    life = b"%d" % life_ms
                    buffer += (
                        b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(name), name, len(value)),
                        value,
                        b"\r\n$2\r\nPX\r\n$%d\r\n%b\r\n" % (len(life), life),
                    )
                buffer += (_REPLY_ON, _packed(b"EXISTS", part[-1][0]))
                connection.send_packed_command([b"".join(buffer)])
                connection.read_response()  # of REPLY ON
                taken = bool(connection.read_response()) and taken
        return taken

    def run(self, *commands: Command) -> list[Any]:
        """Run any commands in one round trip; return their answers, an error of the server among them.

        An error that the server answers with (out of memory, wrong type) is returned, not raised.
        """
        answers: list[Any] = []
        with self._connection() as connection:
            connection.send_packed_command(connection.pack_commands(commands))
            for _ in commands:
                try:
                    answers.append(connection.read_response(disable_decoding=True))
                except redis.ResponseError as error:
                    answers.append(error)
        return answers

    def subscribe(self, *channels: str) -> "Subscription":
        """Return a subscription to *channels*, on a connection of its own, when the server has confirmed."""
        connection = self._connect()
        try:
            connection.send_command("SUBSCRIBE", *channels)
            for _ in channels:
                connection.read_response()
        except _FAILURES as error:
            connection.disconnect()
            raise _unavailable(error) from None
        return Subscription(connection)

    def watch(self, channel: str) -> "Watch":
        """Return a subscription that is short and made often, if possible on a connection used before."""
        self._leave_to_parent()
        free, name = self._free_watches, channel.encode()
        try:
            connection, before = free.pop()
        except IndexError:
            connection, before = self._connect(), b""
        try:
            if before:  # not at its end, when its caller was in a hurry
                connection.send_packed_command(
                    [_packed(b"UNSUBSCRIBE", before) + _packed(b"SUBSCRIBE", name)]
                )
            else:
                connection.send_packed_command([_packed(b"SUBSCRIBE", name)])
            while connection.read_response(disable_decoding=True)[:2] != [b"subscribe", name]:
                pass  # what the one before left behind
        except _FAILURES as error:
            connection.disconnect()
            raise _unavailable(error) from None
        return Watch(connection, name, free)

    def prepare_watch(self) -> None:
        """Have a connection ready for ``watch``: connecting takes longer than many a computation."""
        self._leave_to_parent()
        if self._free_watches:
            return
        connection = self._connect()
        try:
            connection.connect()
        except _FAILURES as error:
            raise _unavailable(error) from None
        self._free_watches.append((connection, b""))

    def close(self) -> None:
        """Close the connections that are free; those in use close when they are given back."""
        free, self._free = self._free, deque()
        watches, self._free_watches = self._free_watches, deque(maxlen=_FREE_WATCHES)
        for connection in (*free, *[connection for connection, _ in watches]):
            connection.disconnect()

    def _connect(self) -> ConnectionInterface:
        """Return a connection that connects when it is used.

        Not the pool's ``make_connection``: that counts what it made, and after a hundred makes no more.
        """
        pool = self._client.connection_pool
        connection: ConnectionInterface = pool.connection_class(**pool.connection_kwargs)
        return connection

    def _leave_to_parent(self) -> None:
        """Forget, in a forked child, what the parent opened."""
        if self._pid != os.getpid():
            self._free, self._free_watches = deque(), deque(maxlen=_FREE_WATCHES)
            self._pid = os.getpid()

    @contextlib.contextmanager
    def _connection(self) -> Iterator["ConnectionInterface"]:
        self._leave_to_parent()
        free = self._free
        try:
            connection = free.pop()
        except IndexError:
            connection = self._connect()
        try:
            yield connection
        except _FAILURES as error:
            connection.disconnect()
            raise _unavailable(error) from None
        except BaseException:
            connection.disconnect()  # interrupted between question and answer
            raise
        free.append(connection)


class Subscription:
    """What the server pushes to one connection.  Used by one thread."""

    def __init__(self, connection: "ConnectionInterface") -> None:
        self._connection = connection

    def poll(self, patience_s: float) -> list[tuple[bytes, bytes]]:
        """Return the messages that came, as (channel, payload); wait up to *patience_s* for the first.

        An answer to ``ping`` comes as ``(b"pong", b"")``.
        """
        messages: list[tuple[bytes, bytes]] = []
        try:
            while self._connection.can_read(timeout=0 if messages else patience_s):
                answer = self._connection.read_response(disable_decoding=True)
                messages.append((b"pong", b"") if answer[0] == b"pong" else (answer[1], answer[2]))
        except _FAILURES as error:
            self.drop()
            raise _unavailable(error) from None
        return messages

    def ping(self) -> None:
        """Ask the server for a sign of life, which ``poll`` then returns."""
        try:
            self._connection.send_command("PING")
        except _FAILURES as error:
            self.drop()
            raise _unavailable(error) from None

    def close(self) -> None:
        """End the subscription."""
        self.drop()

    def drop(self) -> None:
        """Drop the connection."""
        self._connection.disconnect()


class Watch(Subscription):
    """A subscription that waits for one message, and whose connection is used again."""

    def __init__(self, connection: "ConnectionInterface", channel: bytes, free: "deque[_FreeWatch]") -> None:
        super().__init__(connection)
        self._channel, self._free = channel, free
        self._open = True

    def next(self, patience_s: float) -> bytes | None:
        """Return the message when it comes; None when it did not within *patience_s*."""
        try:
            if self._connection.can_read(timeout=patience_s):
                kind, channel, payload = self._connection.read_response(disable_decoding=True)
                return bytes(payload) if (kind, channel) == (b"message", self._channel) else None
        except _FAILURES as error:
            self.drop()
            raise _unavailable(error) from None
        return None

    def close(self) -> None:
        """Let the next watch have the connection, which then ends this one."""
        if self._open:
            self._open = False
            self._free.append((self._connection, self._channel))

    def drop(self) -> None:
        """Drop the connection, which failed."""
        self._open = False
        super().drop()


def _packed(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(_WHAT, str(error) or type(error).__name__)
