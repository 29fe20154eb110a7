"""The transport itself: kombu's for Redis, with claims in place of BRPOP and one command to acknowledge.

A claim is one script (``scripts.CLAIM``) over all queues of the channel.  While messages keep coming,
nothing else is sent.  After an empty claim comes the wait: BRPOP on the queues' bells and the next claim
go out in one write, and the server runs the claim as soon as the bell has rung.  A lost token costs at most
the BRPOP's timeout, one second.  (BLMOVE from a queue to itself would need no bells, but waits for one
queue only.)  A server that was restarted knows no scripts; so their text is sent each time, which costs it
the SHA-1 of two kilobytes.

What kombu calls the delivery tag is here ``worker/claim number/queue``: it says where the message is in
flight.  So fifty copies of one envelope are fifty deliveries, and acknowledging what was given to another
worker meanwhile reaches nobody.

Options (``broker_transport_options``), besides kombu's:

    queue_order        names, the first is served first; unknown ones come last
    max_message_bytes  more is quarantined unread
    quarantine         Quarantine, below; without it, a list beside the queues keeps what nobody could read
    worker_name        tells people who held a message that was lost

Source: kombu/transport/redis.py and virtual/base.py, version 5.7.
"""

import itertools
import logging
import os
import random
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from queue import Empty
from time import monotonic
from typing import Any

import redis
from kombu.transport import redis as stock
from kombu.utils.url import maybe_sanitize_url

from workers.transport import envelope, overview, scripts, servers
from workers.transport.claims import SHOWN_BYTES, TURN, Claim, Place, Rota
from workers.transport.envelope import Front, Malformed
from workers.transport.membership import TIMEOUT_S, Membership
from workers.transport.publish import ServerClock, publish
from workers.transport.qos import QoS
from workers.transport.scripts import Keys

DELIVERY_LIMIT = 6  # so many workers lost with a message: it is no accident, and not even read any more
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_QUARANTINED = 1_000
_RETRY_S = 5.0  # after which quarantining is tried again
_STALE_S = 4.0  # a reply that waited longer unread may come after this worker was given up

_log = logging.getLogger(__name__)

# message, code, problem, queue, how many workers were lost with it
Quarantine = Callable[[bytes, str, str, str, int], None]


class Channel(stock.Channel):  # type: ignore[misc]
    """A channel whose messages are always in a queue or in flight; see the module."""

    QoS = QoS

    priority_steps: Sequence[int] = (0,)  # a queue is its class
    queue_order: Sequence[str] = ()
    max_message_bytes = MAX_MESSAGE_BYTES
    quarantine: Quarantine | None = None
    worker_name: str | None = None
    from_transport_options = (
        *stock.Channel.from_transport_options,
        *("queue_order", "max_message_bytes", "quarantine", "worker_name"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._clients: tuple[redis.ConnectionPool, redis.Redis, Any] | None = None
        self._member: Membership | None = None
        self._numbers = itertools.count(random.randrange(1, TURN))  # noqa: S311 - spreads workers out
        self._unacked: set[str] = set()  # queues whose messages have to be acknowledged
        self._rota = Rota((), ())
        self._claim: Claim | None = None  # the one whose answer is awaited
        self._more = True  # the last claim got something
        self.failure: Exception | None = None  # a message could not be settled: see QoS
        self._postponed: list[tuple[float, str]] = []  # quarantine failed: when to try again, and the tag
        super().__init__(*args, **kwargs)

    # -- connections --------------------------------------------------------------------------------

    def _get_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:  # noqa: FBT001, FBT002 - kombu's
        options = {
            name: getattr(self, name)
            for name in (
                *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "socket_keepalive_options"),
                *("max_connections", "health_check_interval", "client_name"),
            )
            if getattr(self, name) is not None
        }
        pool = servers.open_pool(
            self.connection.client.hostname, self._watched if asynchronous else None, **options
        )
        self.keyprefix_fanout: str = self.keyprefix_fanout.format(db=pool.connection_kwargs.get("db", 0))
        return pool

    def _watched(self, kind: type) -> type:
        """Return *kind*, but such that the poller hears of a connection's end."""
        channel = self

        class Watched(kind):  # type: ignore[misc]
            def disconnect(self, *args: Any, **kwargs: Any) -> None:
                super().disconnect(*args, **kwargs)
                if channel._registered:
                    channel._on_connection_disconnect(self)

        return Watched

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """Yield *client*, or the one that this channel keeps for kombu's own commands."""
        yield self._kept_clients()[1] if client is None else client

    def _kept_clients(self) -> tuple[redis.Redis, Any]:
        """Return a client that takes keys as they are, and one that puts the prefix before kombu's."""
        if self._clients is None or self._clients[0] is not self.pool:
            self._clients = (self.pool, redis.Redis(connection_pool=self.pool), self._create_client())
        return self._clients[1:]

    @property
    def _redis(self) -> redis.Redis:
        return self._kept_clients()[0]

    def _run(self, script: str, keys: list[str], values: Sequence[str | int | bytes]) -> Any:
        return self._redis.execute_command("EVAL", script, len(keys), *keys, *values)

    @cached_property
    def _keys(self) -> Keys:
        return Keys(self.global_keyprefix)

    # -- publishing ---------------------------------------------------------------------------------

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        item = envelope.fresh(stock.dumps(message), self._clock.now_ms())
        expires_ms = self._expires.get(queue)
        batch = kwargs.get("_publish_batch")
        if batch is None:
            publish(self._redis, self._keys, queue, item, expires_ms)
            return
        batch.add("lpush", queue, item)  # the batch's client adds the prefix
        if expires_ms is not None:
            batch.add("pexpire", queue, expires_ms)
        batch.add("eval", scripts.RING, 1, self._keys.bell(queue))

    @cached_property
    def _clock(self) -> ServerClock:
        return ServerClock(self._redis.time)

    def _queue_bind(self, *args: Any) -> None:
        try:
            super()._queue_bind(*args)
        except redis.OutOfMemoryError:  # a worker that starts on a full server is what empties it
            _log.warning("the server is full: a queue's binding was not renewed")

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return bool(queue)  # a list is there as soon as something is in it

    # -- consuming ----------------------------------------------------------------------------------

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:  # noqa: FBT001
        """Consume from *queue*."""
        if not no_ack and queue not in self._fanout_queues:
            self._unacked.add(queue)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def basic_get(self, queue: str, no_ack: bool = False, **_: Any) -> Any:  # noqa: FBT001, FBT002 - kombu's
        """Return the next message of *queue*, or None."""
        if not no_ack:
            self._membership().confirm()
        claim = self._next_claim((queue,), frozenset() if no_ack else frozenset({queue}))
        claimed = self._redis.execute_command(*claim.command(self._keys, self.max_message_bytes))
        try:
            payload, _queue = self._payload(claim, claimed)
        except Empty:
            return None
        message = self.Message(payload, channel=self)
        if not no_ack:
            self.qos.append(message, message.delivery_tag)
        return message

    def _update_queue_cycle(self) -> None:
        self._rota = Rota(self.active_queues, self.queue_order)
        self._unacked.intersection_update(self.active_queues)

    def _next_claim(self, queues: tuple[str, ...] | None = None, kept: frozenset[str] | None = None) -> Claim:
        number = next(self._numbers)
        return Claim(
            number,
            self._member.id if self._member is not None else "",
            self._rota.order(number) if queues is None else queues,
            frozenset(self._unacked) if kept is None else kept,
            waited=not self._more,
        )

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Send the next claim, and before it, unless there seems to be more, the wait for a bell."""
        if not self.active_queues:
            return
        if self.failure is not None:
            raise self.failure
        self._recover()
        if self._postponed and self._postponed[0][0] <= monotonic():
            self.give_back([self._postponed.pop(0)[1]])
        if self._unacked and self._member is None:
            self._membership().confirm()
        claim = self._next_claim()
        commands: list[list[Any]] = [claim.command(self._keys, self.max_message_bytes)]
        if claim.waited:
            patience_s = self.brpop_timeout if timeout is None else timeout
            commands.insert(0, ["BRPOP", *map(self._keys.bell, claim.queues), patience_s])
        connection = self.client.connection
        self._in_poll, self._brpop_sent_at, self._claim = connection, monotonic(), claim
        connection.send_packed_command(connection.pack_commands(commands))

    def _brpop_read(self, **_: Any) -> bool:
        """Deliver what the claim got; raise Empty when that is nothing."""
        connection, claim = self.client.connection, self._claim
        if claim is None:  # the connection was lost meanwhile
            raise Empty
        try:
            if claim.waited:
                connection.read_response()  # which bell it was does not matter
            claimed = connection.read_response()
        except BaseException:
            connection.disconnect()  # else the next reply would be taken for this one
            raise
        finally:
            self._in_poll = None
        self._claim, self._more = None, bool(claimed)
        self._flush_brpop_reauth()
        payload, queue = self._payload(claim, claimed)
        if queue not in self.connection._callbacks:  # noqa: SLF001 - kombu's; cancelled meanwhile
            self.give_back([claim.tag(queue)])
            raise Empty
        if monotonic() - self._brpop_sent_at > _STALE_S and not self._holds(claim.tag(queue)):
            raise Empty
        self.connection._deliver(payload, queue)  # noqa: SLF001 - kombu's
        return True

    def _payload(self, claim: Claim, claimed: Any) -> tuple[dict[str, Any], str]:
        """Return (message, queue) of what *claim* got; raise Empty when there is none to deliver."""
        if claimed is None:
            raise Empty
        if claimed == 0:
            self._membership().confirm()
            raise Empty
        index, item, *size = claimed
        queue = claim.queues[int(index) - 1]
        front = envelope.front_of(item)
        try:
            self._check(front, size)
            return envelope.read(item, claim.tag(queue)), queue
        except Malformed as error:
            self._set_aside(front, claim.tag(queue), error)
            raise Empty from None

    def _check(self, front: Front, size: list[int]) -> None:
        """Raise Malformed for what is not even to be read."""
        if size:
            problem = f"the message has {size[0]:,} bytes, more than {self.max_message_bytes:,}"
            raise Malformed("TOO_LONG", problem)
        if front.lost >= DELIVERY_LIMIT:
            raise Malformed("DELIVERY_LIMIT", f"{front.lost} workers were lost with the message")

    def _set_aside(self, front: Front, tag: str, error: Malformed) -> None:
        """Quarantine what cannot be delivered."""
        place = Place.of(tag)
        try:
            if self.quarantine is not None:
                self.quarantine(front.raw, error.code, error.problem, place.queue, front.lost)
                self.settle(tag)
            else:
                keys = [self._keys.inflight(place.worker), self._keys.quarantine]
                self._run(scripts.QUARANTINE, keys, [place.field, SHOWN_BYTES, _QUARANTINED])
                _log.warning("quarantined a message from %s: %s", place.queue, error.problem)
        except self.connection_errors:
            raise
        except Exception as failure:  # noqa: BLE001 - whatever it was, the message stays in flight till then
            _log.error("could not quarantine a message from %s: %s", place.queue, type(failure).__name__)
            self._postponed.append((monotonic() + _RETRY_S, tag))

    def decode_body(self, body: Any, encoding: str | None = None) -> Any:
        """Return *body* as bytes; what was claimed has been decoded when it was checked."""
        return body if isinstance(body, bytes) else super().decode_body(body, encoding)

    # -- settling -----------------------------------------------------------------------------------

    def settle(self, tag: str) -> None:
        """Remove a message from what is in flight; after ``close`` it is not ours any more."""
        place = Place.of(tag)
        if place.field and not self.closed:
            self._redis.hdel(self._keys.inflight(place.worker), place.field)

    def give_back(self, tags: Sequence[str]) -> None:
        """Put messages in flight to the front of their queues, the first of *tags* foremost."""
        for place in map(Place.of, reversed(tags)):
            if place.field and not self.closed:
                self._run(
                    scripts.RETURN, [self._keys.inflight(place.worker)], [self._keys.prefix, place.field]
                )

    def _holds(self, tag: str) -> bool:
        place = Place.of(tag)
        return not place.worker or self._redis.hexists(self._keys.inflight(place.worker), place.field)

    def _recover(self) -> None:
        """Give back what a claim got whose answer was lost; void the claim, if it is still under way."""
        claim = self._claim
        if claim is None:
            return
        if claim.worker and self._member is not None and self._member.id == claim.worker:
            keys, self._member.lowest = self._keys, claim.number + 1
            known = [*self.qos._delivered, *(tag for _, tag in self._postponed)]  # noqa: SLF001 - kombu's
            self._run(
                scripts.RECOVER,
                [keys.heartbeat(claim.worker), keys.inflight(claim.worker)],
                [keys.prefix, claim.number + 1, *(Place.of(tag).field for tag in known)],
            )
        self._claim = None

    def _basic_cancel(self, consumer_tag: str) -> None:
        super()._basic_cancel(consumer_tag)
        if not self.active_queues and self._claim is not None:  # nobody would read the answer
            self.client.connection.disconnect()
            self._recover()

    # -- membership ---------------------------------------------------------------------------------

    def _membership(self) -> Membership:
        if self._member is None:
            name = self.worker_name or f"{socket.gethostname()}-{os.getpid()}"
            url, alone = self.connection.client.hostname, {"max_connections": 2}

            def connect() -> redis.Redis:
                limits = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
                return servers.open_redis(url, client_name="ion-heartbeat", **limits, **alone)

            self._member = Membership(connect, self._keys, re.sub(r"[^\w.@:-]", "_", name)[:64])
        return self._member

    def close(self) -> None:
        """Give everything in flight back, and go."""
        if not self.closed:
            if self._in_poll:
                self._in_poll.disconnect()
            self._claim = None
            if self._member is not None:
                self._member.leave()
            if self._qos is not None:
                self._qos._delivered.clear()  # noqa: SLF001 - kombu's
        super().close()

    # -- looking ------------------------------------------------------------------------------------

    def queue_state(self, queue: str) -> tuple[int, float | None]:
        """See overview."""
        return overview.queue_state(self._redis, self._keys, queue)

    def memory(self) -> tuple[int, int] | None:
        """See overview."""
        return overview.memory(self._redis)

    def in_flight(self) -> dict[str, int]:
        """See overview."""
        return overview.in_flight(self._redis, self._keys)

    def living(self) -> int:
        """See overview."""
        return overview.living(self._redis, self._keys)


class Transport(stock.Transport):  # type: ignore[misc]
    """The transport behind ``ion+redis://``, ``ion+rediss://``, ``ion+unix://`` and ``ion+sentinel://``."""

    Channel = Channel
    can_parse_url = True  # redis-py parses them
    supports_batch_publish = True  # connections do not send again by themselves

    def as_uri(self, uri: str, include_password: bool = False, mask: str = "**") -> str:  # noqa: FBT001, FBT002
        """Return *uri* as people and Flower know it."""
        return servers.shown(uri) if include_password else str(maybe_sanitize_url(servers.shown(uri), mask))
