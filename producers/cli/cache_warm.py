"""``ion cache warm``: ask the fleet to have its most popular answers at hand.

One worker does it, for itself and for the store; see the task of that name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from producers.cache.place import Place
from workers.contract import names

SCOPE = "warm"  # of the counts that tell what came of it
EXPIRES_S = 60  # a worker that comes later warms itself anyway
_POLL_S = 0.2
_QUIET_S = 3.0  # processes hand on their counts once a second; after this long, there was nothing to do


@dataclass(frozen=True, slots=True)
class Warmed:
    """What came of it: *taken* by a worker or not, and what workers have counted since it was asked for."""

    taken: bool
    counts: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return {"asked": True, "taken": self.taken, **self.counts}

    def __str__(self) -> str:
        if not self.taken:
            return f"asked; no worker has taken it up yet, and it lapses after {EXPIRES_S} s"
        if not self.counts:
            return "a worker took it up; it had all popular answers already"
        return f"warmed: {', '.join(f'{count:,} {name}' for name, count in sorted(self.counts.items()))}"


def warm(
    place: Place, patience_s: float, clock: Callable[[], float], pause: Callable[[float], None]
) -> Warmed:
    """Ask a worker to warm up, and wait up to *patience_s* for what comes of it; raise Unavailable."""
    from producers.broker import BrokerPublisher  # noqa: PLC0415

    settings = place.settings
    broker_url, _ = settings.urls()
    before = _counts(place)
    broker = BrokerPublisher(broker_url, settings.connect_timeout_s, settings.publish_timeout_s)
    try:
        broker.ask(names.CACHE_WARM, names.MAINTENANCE, EXPIRES_S)
        asked_at, taken_at = clock(), None
        while clock() < asked_at + patience_s:
            if taken_at is None and broker.queue_length(names.MAINTENANCE) == 0:
                taken_at = clock()
            counts = _since(before, _counts(place))
            if counts or (taken_at is not None and clock() >= taken_at + _QUIET_S):
                return Warmed(taken=True, counts=counts)
            pause(_POLL_S)
    finally:
        broker.close()
    return Warmed(taken=taken_at is not None, counts={})


def _counts(place: Place) -> dict[str, int]:
    return place.cache.stats().get(SCOPE, {})


def _since(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in now.items() if count > before.get(name, 0)}
