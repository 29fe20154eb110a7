"""Rate limits that all gateway processes share, counted for many requests at once.

Requests that come in the same turn of the event loop, or while the store is being asked, are counted by one
question, those under the same name by their sum.  What was just refused is refused from memory until it may
be let in, so that an attack costs no questions.  Names are hashed; the store has no subject and no address.

Units: jobs; seconds.
"""

import hashlib
import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from limits import RateLimitItem

from producers.gateway.access.rate_counting import PATIENCE_S, Counting
from producers.gateway.access.rate_counts import Hit, open_shared_counts
from producers.gateway.access.rate_notation import parse_rate
from producers.gateway.errors import RateLimited
from producers.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from producers.settings import ClientSettings

_REFUSALS = 10_000  # names that are remembered as refused
_HOST_PREFIX = 64  # bits of an IPv6 address that name a network; whoever has one has all of its addresses


class Rates:
    """The limits of *settings*, counted in the reply store of *fleet*.

    It belongs to the event loop it is first used in, and connects then.  While the store does not answer
    within *patience_s*, each process counts by itself.  Every method raises RateLimited, and nothing for the
    store's sake.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        fleet: "ClientSettings",
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._caller = _Limit.of("caller", settings.rate_limit_key)
        self._address = _Limit.of("address", settings.rate_limit_address)
        self._refused = _Limit.of("refused", settings.rate_limit_refused)
        self._counting = Counting(partial(open_shared_counts, fleet), patience_s)
        self._refusals = Refusals(clock)

    async def caller(self, identity: str, jobs: int = 1) -> None:
        """Count *jobs* of a caller who is known."""
        await self._count(self._caller, identity, jobs)

    async def address(self, address: str, jobs: int = 1) -> None:
        """Count *jobs* of whoever calls from *address* without credentials."""
        await self._count(self._address, network_of(address), jobs)

    async def refused(self, address: str) -> None:
        """Count credentials from *address* that were refused."""
        await self._count(self._refused, network_of(address), 1)

    async def close(self) -> None:
        """Give connections back; nobody may be waiting any more."""
        await self._counting.close()

    async def _count(self, limit: "_Limit", name: str, jobs: int) -> None:
        if jobs < 1:
            return
        if jobs > limit.rate.amount:
            raise RateLimited(
                f"{jobs:,} jobs together are more than {limit.notation} ever lets in; send fewer at once",
                limit.rate.get_expiry(),
            )
        key = limit.key_of(name)
        wait_s = self._refusals.wait_s(key, jobs)
        if not wait_s:
            wait_s = await self._counting.count(Hit(limit.rate, key, jobs))
            if not wait_s:
                return
            self._refusals.add(key, jobs, wait_s)
        raise RateLimited(
            f"over the limit of {limit.notation}; try again in {max(1, math.ceil(wait_s)):,} s", wait_s
        )


@dataclass(frozen=True, slots=True)
class _Limit:
    """A limit, how it was written, and what sets its names apart from those of the others."""

    rate: RateLimitItem
    notation: str
    kind: bytes

    @classmethod
    def of(cls, kind: str, notation: str) -> "_Limit":
        return cls(parse_rate(notation), notation.strip(), kind.encode())

    def key_of(self, name: str) -> str:
        raw = name.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(raw, digest_size=16, person=self.kind).hexdigest()


class Refusals:
    """Who was refused lately, how much, and until when; the oldest of too many are forgotten."""

    def __init__(self, clock: Callable[[], float], most: int = _REFUSALS) -> None:
        self._clock, self._most = clock, most
        self._known: dict[str, tuple[float, int]] = {}

    def wait_s(self, key: str, jobs: int) -> float:
        """Return how long *jobs* of *key* are still refused; 0: they may be asked about.

        Fewer than were refused may still fit.
        """
        known = self._known.get(key)
        if known is None:
            return 0.0
        until, refused = known
        left_s = until - self._clock()
        if left_s <= 0:
            del self._known[key]
            return 0.0
        return left_s if jobs >= refused else 0.0

    def add(self, key: str, jobs: int, wait_s: float) -> None:
        """Remember that *jobs* of *key* were refused for *wait_s*, unless fewer were already."""
        if self.wait_s(key, jobs):
            return
        self._known.pop(key, None)
        self._known[key] = (self._clock() + wait_s, jobs)
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]


def network_of(address: str) -> str:
    """Return what its owner calls from: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        ip = ipaddress.IPv6Address(address.partition("%")[0]) if ":" in address else None
    except ValueError:
        return address
    if ip is None:
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, _HOST_PREFIX), strict=False))
