"""The batch path with the cache and without it, on two fleets of one machine that take turns.

One fleet has a cache, the other none; otherwise they are the same.  Units: jobs a second, microseconds.
"""

import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from infra.bench.measure import count_ok
from infra.demo.messages import load_messages
from infra.figures import percentile
from infra.local.settings import LocalSettings
from infra.local.stack import LocalStack
from persona_system.cache.gate import GatePolicy
from persona_system.vocabulary import ALL_KEYS
from producers import JobOutcome, PersonaClient, PersonaRequest
from producers.settings import ClientSettings

_BATCH, _WINDOW = 500, 8
_DISTINCT = 1_000  # texts of the loads that ask again
LOADS = 10
_AT_REST = 3 * GatePolicy().window  # look-ups after which a cache that does not pay has got out of the way

Ask = Callable[[int], PersonaRequest]
Progress = Callable[[], None]


def batch_path(rounds: int, seconds: float, progress: Progress) -> dict[str, Any]:
    """Return jobs/s of every load, and the ratios that matter, each the median of its rounds' ratios."""
    texts = [message.text for message in load_messages()]
    numbers = count()

    def unique(_: int) -> PersonaRequest:
        number = next(numbers)
        return PersonaRequest(f"{texts[number % len(texts)]} {number}")

    def unique_with_key(_: int) -> PersonaRequest:
        number = next(numbers)
        key = ALL_KEYS[number % len(ALL_KEYS)]
        return PersonaRequest(f"{texts[number % len(texts)]} {number}", str(key))

    def again(number: int) -> PersonaRequest:
        return PersonaRequest(texts[number % _DISTINCT])

    def again_with_key(number: int) -> PersonaRequest:
        place = number % _DISTINCT
        return PersonaRequest(texts[place], str(ALL_KEYS[place % len(ALL_KEYS)]))

    with ExitStack() as open_:
        cached, plain = open_.enter_context(_fleet(cache=True)), open_.enter_context(_fleet(cache=False))
        off = open_.enter_context(PersonaClient(plain))
        on = open_.enter_context(PersonaClient(cached))
        # a client without a part in the cache, so that its jobs reach workers that have one
        through = open_.enter_context(PersonaClient(cached.model_copy(update={"cache_url": SecretStr("")})))
        loads: dict[str, tuple[PersonaClient, Ask]] = {
            "unique_off": (off, unique),
            "unique_on": (on, unique),
            "unique_with_key_off": (off, unique_with_key),
            "unique_with_key_on": (on, unique_with_key),
            "again_off": (off, again),
            "again_workers": (through, again),
            "again_on": (on, again),
            "again_with_key_off": (off, again_with_key),
            "again_with_key_workers": (through, again_with_key),
            "again_with_key_on": (on, again_with_key),
        }
        speeds: dict[str, list[float]] = {name: [] for name in loads}
        for phase in ("unique", "again"):  # a cache that does not pay takes some time to pay again
            of_phase = {name: load for name, load in loads.items() if name.startswith(phase)}
            for client, ask in of_phase.values():  # connect, fill, and let the gates come to rest
                _run(client, ask, jobs=_AT_REST)
            for _ in range(rounds):
                for name, (client, ask) in of_phase.items():
                    speeds[name].append(_run(client, ask, seconds=seconds))
                    progress()
        hits = _hits(on, texts[0])
    return {
        "jobs_per_s": {name: round(statistics.median(values)) for name, values in speeds.items()},
        "ratios": {
            "nothing_cached": _ratio(speeds, "unique_on", "unique_off"),
            "nothing_cached_with_key": _ratio(speeds, "unique_with_key_on", "unique_with_key_off"),
            "all_cached": _ratio(speeds, "again_on", "again_off"),
            "all_cached_in_workers": _ratio(speeds, "again_workers", "again_off"),
            "all_cached_with_key": _ratio(speeds, "again_with_key_on", "again_with_key_off"),
            "all_cached_in_workers_with_key": _ratio(speeds, "again_with_key_workers", "again_with_key_off"),
        },
        "producer_hit": hits,
    }


def _ratio(speeds: dict[str, list[float]], one: str, other: str) -> float:
    """Return the median of the ratios within each round: a slow minute hits both."""
    return round(statistics.median(a / b for a, b in zip(speeds[one], speeds[other], strict=True)), 3)


def _run(client: PersonaClient, ask: Ask, *, seconds: float = 1e9, jobs: int = 10**12) -> float:
    """Keep a window of batches under way for *seconds* or *jobs*; return jobs/s."""
    started, sent, done = time.perf_counter(), 0, 0
    under_way: deque[Future[list[JobOutcome[Any]]]] = deque()
    while time.perf_counter() - started < seconds and sent < jobs:
        if len(under_way) >= _WINDOW:
            done += count_ok(under_way.popleft())
        under_way.append(client.submit_batch([ask(sent + place) for place in range(_BATCH)]))
        sent += _BATCH
    while under_way:
        done += count_ok(under_way.popleft())
    return done / (time.perf_counter() - started)


def _hits(client: PersonaClient, text: str) -> dict[str, float]:
    """Time lone callers whose answer this process has, from the call to the Response."""
    while not client.submit(PersonaRequest(text)).outcome().cached:
        time.sleep(0.01)
    client.process(text)
    times = []
    for _ in range(5_000):
        started = time.perf_counter()
        client.process(text)
        times.append((time.perf_counter() - started) * 1e6)
    return {f"p{percent}_us": round(percentile(times, percent), 1) for percent in (50, 95, 99)}


@contextmanager
def _fleet(*, cache: bool) -> Iterator[ClientSettings]:
    with tempfile.TemporaryDirectory(prefix="ion-bench-") as directory:
        local = LocalSettings(
            state_dir=Path(directory),
            broker_url=None,
            reply_url=None,
            cache=cache,
            cache_url=None,
            beat=False,
            log_level="WARNING",
        )
        with LocalStack(local) as stack:
            urls = stack.urls
            yield ClientSettings.model_validate(
                {
                    "broker_url": urls.broker_url,
                    "reply_url": urls.reply_url,
                    "cache_url": urls.cache_url or "",
                }
            )
