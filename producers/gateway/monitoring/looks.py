"""How each thing that the service needs is looked at: one question over a connection of its own.

A look blocks for the client's own timeouts at most, so that it finds what a caller would.  What it raises is
put into words by ``trouble``: details are public, so they name neither addresses nor what a server said.
"""

import contextlib
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import redis

from producers.admission import refusal
from producers.broker import BrokerPublisher
from producers.errors import AccessDenied, NotWritable, Overloaded, ProducerError, Unavailable
from producers.faults import fault_of
from producers.gateway.monitoring.condition import Finding
from producers.replies import open_reply_store
from workers.contract import names
from workers.store.errors import StoreError

if TYPE_CHECKING:
    from producers.gateway.settings import GatewaySettings
    from producers.settings import ClientSettings
    from workers.store.engine import Store

PING_EVERY_S = 5.0  # a ping of all workers costs each of them a message, and us a second
_PING_S = 0.8
_DATABASE_S = 1.0  # with a lock that another process holds


class Look(Protocol):
    """Looks at one dependency, again and again, from one thread; connects, and connects again, by itself."""

    def look(self) -> Finding:
        """Return what there is to know; raise a ProducerError or StoreError if it is away."""

    def close(self) -> None:
        """Give connections back."""


def looks_of(settings: "GatewaySettings", fleet: "ClientSettings") -> dict[str, Look]:
    """Return how to look at each dependency of a gateway to *fleet*."""
    looks: dict[str, Look] = {
        "broker": BrokerLook(fleet),
        "replies": ServerLook("the reply store", lambda: fleet.urls()[1], fleet),
        "workers": WorkersLook(fleet),
    }
    if fleet.cache_url is None or fleet.cache_url.get_secret_value():  # empty: there is to be none
        looks["cache"] = ServerLook("the cache", fleet.cache_address, fleet)
    if not settings.anonymous:  # keys are kept there
        looks["database"] = DatabaseLook(fleet)
    if fleet.monitoring and _has_database(fleet):  # alerts are kept there
        looks["alerts"] = AlertsLook(fleet)
    return looks


def _has_database(fleet: "ClientSettings") -> bool:
    """Whether a fleet has a database, for all that its clients know: the local stack has one."""
    if fleet.database_url is not None:
        return bool(fleet.database_url.get_secret_value())
    return fleet.broker_url is None


def trouble(error: Exception) -> str:
    """Return what *error* means, in words that anybody may read."""
    if isinstance(error, Unavailable) and error.what == "the fleet":
        return "no fleet is known here; start one with `ion up` or set ION_BROKER_URL"
    for kind, words in _TROUBLE.items():
        if isinstance(error, kind):
            return words
    return "it cannot be looked at; see the log"


_TROUBLE: dict[type[Exception], str] = {  # the first that fits counts
    AccessDenied: "it refuses our user, its rights or a certificate",
    NotWritable: "it takes no writes",
    Overloaded: "its memory is full",
    ProducerError: "it does not answer",
    StoreError: "it gives and takes nothing",
}


class _Closable(Protocol):
    def close(self) -> None:
        """Give connections back."""


LinkT = TypeVar("LinkT", bound=_Closable)


class _Link(Generic[LinkT]):
    """What *make* makes of an address, and makes anew when the address is another one."""

    def __init__(self, make: Callable[[str], LinkT]) -> None:
        self._make = make
        self._made: tuple[str, LinkT] | None = None

    def to(self, address: str) -> LinkT:
        """Return the link to *address*."""
        if self._made is None or self._made[0] != address:
            self.close()
            self._made = address, self._make(address)
        return self._made[1]

    def close(self) -> None:
        """Give connections back."""
        made, self._made = self._made, None
        if made is not None:
            with contextlib.suppress(redis.RedisError, OSError):  # we are done with it either way
                made[1].close()


class BrokerLook:
    """Asks the broker how full its queues are."""

    def __init__(self, fleet: "ClientSettings") -> None:
        self._fleet = fleet
        self._limits = fleet.queue_limits(names.INTERACTIVE)
        self._link = _Link(_publisher(fleet))

    def look(self) -> Finding:
        """Return the state of every queue; degraded if the one that callers wait for is at its limits."""
        publisher = self._link.to(self._fleet.urls()[0])
        queues = tuple((name, publisher.queue_state(name)) for name in names.QUEUES)
        full = refusal(names.INTERACTIVE, dict(queues)[names.INTERACTIVE], self._limits, None)
        return Finding(queues=queues) if full is None else Finding("degraded", full.why, queues)

    def close(self) -> None:
        """Give the connection back."""
        self._link.close()


class WorkersLook:
    """Asks the broker for workers or, where it does not tell, the workers themselves, now and then."""

    def __init__(self, fleet: "ClientSettings") -> None:
        self._fleet = fleet
        self._link = _Link(_publisher(fleet))
        self._pinged: tuple[float, Finding] | None = None

    def look(self) -> Finding:
        """Return how many there are, as far as the broker lets one know."""
        try:
            publisher = self._link.to(self._fleet.urls()[0])
            count = publisher.workers(names.INTERACTIVE)
            return self._ping(publisher) if count is None else _staffed(count)
        except ProducerError:  # what is wrong with the broker is told by the look at it
            return Finding("down", "nobody tells while the broker is away")

    def _ping(self, publisher: BrokerPublisher) -> Finding:
        now = time.monotonic()
        if self._pinged is None or now - self._pinged[0] >= PING_EVERY_S:
            try:
                self._pinged = now, _staffed(publisher.ping_workers(_PING_S))
            except AccessDenied:  # a user that may only produce hears no answers: do not ask again
                self._pinged = math.inf, Finding(detail="this broker does not tell of workers")
        return self._pinged[1]

    def close(self) -> None:
        """Give the connection back."""
        self._link.close()


class ServerLook:
    """Pings the Redis or Valkey at *address*, if there is one; *what* names it in errors."""

    def __init__(self, what: str, address: Callable[[], str | None], fleet: "ClientSettings") -> None:
        self._what, self._address = what, address
        patience = (fleet.connect_timeout_s, fleet.publish_timeout_s)
        self._link: _Link[redis.Redis] = _Link(lambda url: open_reply_store(url, *patience))

    def look(self) -> Finding:
        """Return that it answers, or that there is none; raise a ProducerError."""
        url = self._address()
        if url is None:
            return Finding(detail="there is none")
        try:
            self._link.to(url).ping()
        except (redis.RedisError, OSError) as error:
            raise fault_of(error, self._what) from None
        return Finding()

    def close(self) -> None:
        """Give the connections back."""
        self._link.close()


class DatabaseLook:
    """Reads from the database."""

    def __init__(self, fleet: "ClientSettings") -> None:
        self._fleet = fleet
        self._link = _Link(_store)

    def look(self) -> Finding:
        """Return that it can be read; raise StoreUnavailable or UnusableUrl."""
        with self._link.to(self._fleet.database_address()).reading() as connection:
            connection.exec_driver_sql("SELECT 1")
        return Finding()

    def close(self) -> None:
        """Give the connections back."""
        self._link.close()


class AlertsLook:
    """Reads when the alert rules were last judged; long ago degrades the service: nobody would be told."""

    def __init__(self, fleet: "ClientSettings", now_s: Callable[[], float] = time.time) -> None:
        self._fleet, self._now_s = fleet, now_s
        self._link = _Link(_store)

    def look(self) -> Finding:
        """Return how old the latest judgement is; raise StoreUnavailable or UnusableUrl."""
        from workers.monitoring.alerts.deadman import LATE_S, STOPPED_S  # noqa: PLC0415 - these load SQLAlchemy
        from workers.store.alerts import AlertStore  # noqa: PLC0415 - likewise

        evaluated_s = AlertStore(self._link.to(self._fleet.database_address())).evaluated_s()
        if evaluated_s is None:
            return Finding(detail="no worker has judged the alert rules yet")
        silent_s = self._now_s() - evaluated_s
        if silent_s <= LATE_S:
            return Finding()
        said = f"the alert rules were last judged {silent_s:.0f} s ago"
        return Finding("degraded" if silent_s > STOPPED_S else "operational", said)

    def close(self) -> None:
        """Give the connections back."""
        self._link.close()


def _store(url: str) -> "Store":
    from workers.store.engine import open_store  # noqa: PLC0415 - many a gateway needs no database

    return open_store(url, _DATABASE_S)


def _publisher(fleet: "ClientSettings") -> Callable[[str], BrokerPublisher]:
    return lambda url: BrokerPublisher(url, fleet.connect_timeout_s, fleet.publish_timeout_s)


def _staffed(count: int) -> Finding:
    return Finding(workers=count) if count else Finding("down", "no worker is there", workers=0)
