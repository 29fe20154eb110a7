"""Seeded request traces: ten families, each a mixture of what real traffic shows.

A trace is a list of requests in the order of their time, at a steady rate.  Popularity follows Zipf's law:
the text of rank r is asked with weight 1 / r ** alpha.  On top of that, each family adds what it is named
after; ``FAMILIES`` holds every number, and nothing else decides what a trace looks like.

Units:   seconds of simulated time from 0; shares lie in [0, 1].
Errors:  KeyError for a family without a row.
"""

import itertools
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

_BLOCK = 500  # requests between two steps of drift
_REACTION = 8  # requests of others between a request and its follow-up
_FOLLOWED = 0.95  # share of the cases in which a text that has a follow-up is followed up
_BULK_DENSITY = 0.75  # share of the requests that are a bulk run's own while it lasts


class Request(NamedTuple):
    """One look-up: when, for which answer, from where and by whom."""

    time_s: float
    key: bytes
    endpoint: str
    user: int


@dataclass(frozen=True, slots=True)
class Family:
    """The numbers that shape a trace; a share is one of all requests unless it says otherwise."""

    texts: int
    alpha: float
    rate_per_s: float = 150.0
    users: int = 500
    personal: float = 0.0  # share whose answer depends on the user
    drift: int = 0  # texts that lose their rank to a new one, in each block of 500 requests
    bulk: float = 0.0  # share that belongs to bulk runs
    bulk_run: int = 2_000  # items of a run, which come one after the other between the others
    bulk_repeats: float = 0.3  # share of a run's items that an earlier run had, too
    crowds: float = 0.0  # share of the few texts that everybody asks for during a minute
    crowd_texts: int = 40
    follow: float = 0.0  # share of the texts that nearly everybody follows up with the same other one
    loop: float = 0.0  # share that walks round the same keys in the same order
    loop_keys: int = 0


FAMILIES: Final = {
    "base": Family(texts=4_000, alpha=1.1, personal=0.03, drift=3, bulk=0.03, bulk_repeats=0.5),
    "wide": Family(texts=200_000, alpha=0.92, drift=2),
    "flat": Family(texts=3_500, alpha=0.65, drift=2),
    "skewed": Family(texts=30_000, alpha=1.2, personal=0.05, drift=4),
    "drift": Family(texts=6_000, alpha=1.1, personal=0.03, drift=60),
    "flash": Family(texts=20_000, alpha=1.1, personal=0.05, drift=2, crowds=0.2, crowd_texts=80),
    "scan": Family(texts=9_000, alpha=1.2, drift=2, bulk=0.37, bulk_repeats=0.05),
    "follow": Family(texts=6_000, alpha=1.1, personal=0.03, drift=2, follow=0.3),
    "peruser": Family(texts=3_000, alpha=1.2, users=200, personal=0.33, drift=2),
    "quiet": Family(texts=4_000, alpha=1.1, personal=0.03, drift=3),  # base without its bulk
    "loop": Family(texts=6_000, alpha=1.2, drift=2, loop=0.3, loop_keys=2_000),
}


TEN: Final = tuple(name for name in FAMILIES if name != "quiet")


def trace(family: str, requests: int, seed: int) -> list[Request]:
    """Return *requests* requests of *family*; the same arguments give the same trace."""
    shape = FAMILIES[family]
    rng = random.Random(f"{family} {seed}")  # noqa: S311  a simulation must repeat itself
    source = _Traffic(shape, rng)
    step_s = 1 / shape.rate_per_s
    return [
        Request(index * step_s, identity.to_bytes(8, "big"), endpoint, user)
        for index, (identity, endpoint, user) in enumerate(itertools.islice(source.asked(), requests))
    ]


Asked = tuple[int, str, int]  # identity of the answer, endpoint, user


class _Traffic:
    """The sources that a family mixes, with their state."""

    def __init__(self, shape: Family, rng: random.Random) -> None:
        self._shape, self._rng = shape, rng
        self._fresh = itertools.count(1)  # identities, none used twice
        self._ranks = [next(self._fresh) for _ in range(shape.texts)]
        self._weights = list(itertools.accumulate(r**-shape.alpha for r in range(1, shape.texts + 1)))
        self._users = list(itertools.accumulate(r**-0.7 for r in range(1, shape.users + 1)))
        self._personal: dict[tuple[int, int], int] = {}
        self._follower: dict[int, int] = {}
        self._follow_ups: deque[tuple[int, Asked]] = deque()  # with the number of the request to come before
        self._loop = itertools.cycle([next(self._fresh) for _ in range(max(1, shape.loop_keys))])
        self._bulk = self._bulk_items()
        self._crowd: list[int] = []

    def asked(self) -> Iterator[Asked]:
        """Give what is asked, without an end."""
        shape, rng = self._shape, self._rng
        blocks_a_minute = max(1, round(60 * shape.rate_per_s / _BLOCK))
        number = itertools.count()
        for block in itertools.count():
            self._drift()
            if block % blocks_a_minute == 0:
                self._crowd = [next(self._fresh) for _ in range(shape.crowd_texts)]
            texts = rng.choices(self._ranks, cum_weights=self._weights, k=_BLOCK)
            users = rng.choices(range(shape.users), cum_weights=self._users, k=_BLOCK)
            for text, user in zip(texts, users, strict=True):
                now = next(number)
                while self._follow_ups and self._follow_ups[0][0] <= now:
                    yield self._follow_ups.popleft()[1]
                bulk = next(self._bulk)
                yield self._interactive(text, user, now) if bulk is None else (bulk, "bulk", user)

    def _interactive(self, text: int, user: int, now: int) -> Asked:
        shape, draw = self._shape, self._rng.random()
        if draw < shape.loop:
            return next(self._loop), "recommend", user
        if draw < shape.loop + shape.crowds:
            return self._rng.choice(self._crowd), "process", user
        if self._rng.random() < shape.personal:
            text = self._known(self._personal, (text, user))
        if text % 100 < 100 * shape.follow and self._rng.random() < _FOLLOWED:
            follow_up = (self._known(self._follower, text), "process", user)
            self._follow_ups.append((now + _REACTION, follow_up))
        return text, "recommend" if text % 5 == 0 else "process", user

    def _known(self, identities: dict[Any, int], name: Any) -> int:
        if name not in identities:
            identities[name] = next(self._fresh)
        return identities[name]

    def _drift(self) -> None:
        """Give some ranks to new texts: as many among the first ten as among the next ninety, and so on."""
        for _ in range(self._shape.drift):
            rank = int(self._shape.texts ** self._rng.random()) - 1
            self._ranks[rank] = next(self._fresh)

    def _bulk_items(self) -> Iterator[int | None]:
        """Give the next bulk item, or None when it is the others' turn.

        While a run lasts, three requests in four are its own; pauses between runs make up the share.
        """
        shape, rng = self._shape, self._rng
        if not shape.bulk:
            yield from itertools.repeat(None)
        pause = round(shape.bulk_run * (1 / shape.bulk - 1 / _BULK_DENSITY))
        earlier: list[int] = []
        yield from itertools.repeat(None, pause // 2)
        while True:
            run: list[int] = []
            while len(run) < shape.bulk_run:
                if rng.random() > _BULK_DENSITY:
                    yield None
                    continue
                again = bool(earlier) and rng.random() < shape.bulk_repeats
                run.append(rng.choice(earlier) if again else next(self._fresh))
                yield run[-1]
            earlier = run
            yield from itertools.repeat(None, pause)
