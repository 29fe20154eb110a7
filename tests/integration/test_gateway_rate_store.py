"""Rate limits in a real server: shared, right to the moment, and kept when the server is not there."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from limits import parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from pydantic import SecretStr

from producers.gateway.access.rate_counting import Counting
from producers.gateway.access.rate_counts import PREFIX, Hit, open_shared_counts
from producers.gateway.access.rate_notation import parse_rate
from producers.gateway.access.rates import Rates
from producers.gateway.errors import RateLimited
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings
from tests.support.async_wait import until
from tests.support.valkey import Server, server

ROOT = Path(__file__).parents[2]
PATIENT_S = 30.0  # a busy machine is no store that is away
TAKER = [sys.executable, "-m", "tests.support.rate_taker"]


@pytest.fixture(scope="module")
def shared_valkey() -> Iterator[Server]:
    with server() as made:
        yield made


@pytest.fixture
def valkey(shared_valkey: Server) -> Server:
    """A server of our own, empty."""
    shared_valkey.client.flushall()
    return shared_valkey


class Clock:
    """The time of the process and of the server's windows, moved on by hand."""

    def __init__(self, valkey: Server) -> None:
        self._valkey, self._now_s = valkey, 0.0

    def __call__(self) -> float:
        return self._now_s

    def move(self, seconds: float) -> None:
        """Let time pass: on the server, windows know it by what is left of their keys' lives."""
        self._now_s += seconds
        client = self._valkey.client
        for key in client.scan_iter(f"{PREFIX}:*"):
            client.pexpire(key, max(0, client.pttl(key) - round(seconds * 1000)))


def fleet_of(valkey: Server) -> ClientSettings:
    return ClientSettings(broker_url=SecretStr(valkey.url))


@asynccontextmanager
async def rates_of(
    valkey: Server, notation: str, clock: Callable[[], float] | None = None
) -> AsyncIterator[Rates]:
    settings = GatewaySettings(rate_limit_key=notation)
    given: dict[str, Any] = {} if clock is None else {"clock": clock}
    rates = Rates(settings, fleet_of(valkey), patience_s=PATIENT_S, **given)
    yield rates
    await rates.close()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


async def let_in(asked: Coroutine[Any, Any, None]) -> bool:
    try:
        await asked
    except RateLimited:
        return False
    return True


async def retry_after_s(asked: Coroutine[Any, Any, None]) -> float:
    with pytest.raises(RateLimited) as caught:
        await asked
    return caught.value.retry_after_s


# -- between processes --------------------------------------------------------------------------------


def takers(valkey: Server, notation: str, callers: int, rounds: int) -> list[int]:
    """Have two processes take from one limit at the same time; return what each got."""
    command = [*TAKER, valkey.url, notation, str(callers), str(rounds)]
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=60) for process in both]
    assert [said for _, said in ends] == ["", ""]  # neither has counted by itself
    return [int(taken) for taken, _ in ends]


def test_two_processes_get_no_more_than_the_limit_together_and_no_less(valkey: Server) -> None:
    """Both ask for 2,000 in bursts of 10; within one window the limit is exact."""
    taken = takers(valkey, "777/hour", callers=10, rounds=200)

    assert sum(taken) == 777


def test_the_limit_is_the_same_for_bursts_larger_than_it(valkey: Server) -> None:
    taken = takers(valkey, "50/hour", callers=200, rounds=1)

    assert sum(taken) == 50


def test_the_librarys_own_limiter_sees_the_same_counts(valkey: Server) -> None:
    """We run the library's scripts on the library's keys, only many at a time."""

    async def story() -> None:
        counts, rate = open_shared_counts(fleet_of(valkey)), parse("10/hour")
        pool: dict[str, Any] = {"connection_pool": counts._client.connection_pool}
        theirs = SlidingWindowCounterRateLimiter(
            RedisStorage("redis://", implementation="redispy", key_prefix=PREFIX, **pool)
        )
        assert await counts.count([Hit(rate, "a", 4)]) == [True]
        assert await theirs.hit(rate, "a", cost=3)

        assert (await theirs.get_window_stats(rate, "a")).remaining == 3
        assert (await counts.windows([Hit(rate, "a", 1)]))[0].room(rate) == 3
        assert await counts.count([Hit(rate, "a", 4)]) == [False]
        await counts.close()

    run(story())


# -- time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jobs", "wait_s"),
    [
        pytest.param(1, 60.0, id="one: when the window is over"),
        pytest.param(3, 80.0, id="three of six: when a third of the next one has passed"),
    ],
)
def test_who_was_refused_in_a_full_window_is_let_in_at_the_time_it_was_told(
    valkey: Server, jobs: int, wait_s: float
) -> None:
    """Six a minute, six are there: three fit when less than four of them are left, 6 x 40 / 60."""
    clock = Clock(valkey)

    async def story() -> None:
        async with rates_of(valkey, "6/minute", clock) as rates, rates_of(valkey, "6/minute") as other:
            await rates.caller("a", 6)
            await is_let_in_as_told(rates, other, clock, jobs, wait_s)

    run(story())


@pytest.mark.parametrize(
    ("jobs", "wait_s"),
    [
        pytest.param(1, 5.0, id="one: when less than 3 of the window before are left"),
        pytest.param(3, 25.0, id="three: when less than 1 is"),
        pytest.param(4, 35.0, id="four: when the present one is over"),
    ],
)
def test_who_was_refused_after_a_full_window_is_let_in_at_the_time_it_was_told(
    valkey: Server, jobs: int, wait_s: float
) -> None:
    """25 s after a full window 6 x 35 / 60 = 3.5 of it count, as three; three more make it full again."""
    clock = Clock(valkey)

    async def story() -> None:
        async with rates_of(valkey, "6/minute", clock) as rates, rates_of(valkey, "6/minute") as other:
            await rates.caller("a", 6)
            clock.move(60 + 25)
            await rates.caller("a", 3)
            await is_let_in_as_told(rates, other, clock, jobs, wait_s)

    run(story())


def test_a_period_sees_less_than_twice_the_limit_whatever_is_tried(valkey: Server) -> None:
    """The stated error of a sliding window counter.  Who takes all there is, every second, gets the most."""
    clock, limit, seconds = Clock(valkey), 6, 300

    async def story() -> None:
        async with rates_of(valkey, f"{limit}/minute", clock) as rates:
            await rates.caller("a")  # the first window begins
            clock.move(55)
            taken = []
            for _ in range(seconds):
                taken.append(sum(await asyncio.gather(*(let_in(rates.caller("a")) for _ in range(limit)))))
                clock.move(1)
            minutes = [sum(taken[start : start + 60]) for start in range(seconds - 60)]
            assert limit < max(minutes) < 2 * limit
            assert sum(taken) <= limit * (seconds / 60 + 1)

    run(story())


async def is_let_in_as_told(rates: Rates, other: Rates, clock: Clock, jobs: int, wait_s: float) -> None:
    """Check that *jobs* are let in after *wait_s*; 2 s before, neither memory nor the server lets them."""
    told_s = await retry_after_s(rates.caller("a", jobs))
    assert told_s == pytest.approx(wait_s, abs=1.0)
    clock.move(told_s - 2)
    assert not await let_in(rates.caller("a", jobs))
    assert not await let_in(other.caller("a", jobs))
    clock.move(2)
    assert await let_in(rates.caller("a", jobs))


# -- what the server sees -----------------------------------------------------------------------------


def test_the_server_has_no_names_and_keeps_nothing_for_long(valkey: Server) -> None:
    async def story() -> None:
        async with rates_of(valkey, "10/minute") as rates:
            await rates.caller("user:mina")
            await rates.address("192.0.2.77")
            await rates.refused("192.0.2.77")

    run(story())
    keys = [key.decode() for key in valkey.client.scan_iter("*")]
    assert len(keys) == 3
    for key in keys:
        assert key.startswith("ion:limit:")
        assert "mina" not in key
        assert "192.0.2.77" not in key
        assert 0 < valkey.client.ttl(key) <= 2 * 60


def scripts_of(valkey: Server) -> int:
    """Return how many scripts the server has run so far."""
    stats: Any = valkey.client.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


def test_a_hundred_callers_of_one_name_cost_one_script(valkey: Server) -> None:
    async def story() -> None:
        async with rates_of(valkey, "1000/minute") as rates:
            await rates.caller("a")
            before = scripts_of(valkey)
            await asyncio.gather(*(rates.caller("a") for _ in range(100)))
            assert scripts_of(valkey) == before + 1

    run(story())


def test_who_was_just_refused_costs_the_server_nothing_until_its_time(valkey: Server) -> None:
    clock = Clock(valkey)

    async def story() -> None:
        async with rates_of(valkey, "1/minute", clock) as rates:
            await rates.caller("a")
            wait_s = await retry_after_s(rates.caller("a"))
            before = scripts_of(valkey)
            clock.move(wait_s - 1)
            assert [await let_in(rates.caller("a")) for _ in range(100)] == [False] * 100
            assert scripts_of(valkey) == before
            clock.move(1)
            assert await let_in(rates.caller("a"))

    run(story())


def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(valkey: Server) -> None:
    async def story() -> None:
        async with rates_of(valkey, "3/minute") as rates:
            await rates.caller("a", 2)
            valkey.client.script_flush()
            await rates.caller("a")
            valkey.client.script_flush()
            assert not await let_in(rates.caller("a"))

    run(story())
    assert len(list(valkey.client.scan_iter("*"))) == 1


# -- a server that is not there -----------------------------------------------------------------------


class Alone:
    """One process's counting of a limit of three an hour, on a server of its own."""

    def __init__(self, own: Server, patience_s: float, caplog: pytest.LogCaptureFixture) -> None:
        self.counting = Counting(lambda: open_shared_counts(fleet_of(own)), patience_s, 0.02)
        self._caplog = caplog

    async def let_in(self, times: int) -> int:
        """Return how many of *times* are let in."""
        hit = Hit(parse_rate("3/hour"), "a", 1)
        return (await asyncio.gather(*(self.counting.count(hit) for _ in range(times)))).count(0.0)

    def said(self) -> list[str]:
        """Return the lines of the log, without the reasons."""
        return [record.getMessage().partition(":")[0] for record in self._caplog.records]


ALONE = "rate limits are counted by each process for itself"
TOGETHER = "rate limits are shared again"


def test_while_the_server_is_away_the_limit_holds_in_each_process(caplog: pytest.LogCaptureFixture) -> None:
    """One line when it begins, one when it ends; on a new server counting begins anew."""

    async def story(own: Server) -> None:
        alone = Alone(own, PATIENT_S, caplog)
        assert await alone.let_in(4) == 3
        own.kill()
        assert [await alone.let_in(2) for _ in range(3)] == [2, 1, 0]
        assert alone.said() == [ALONE]
        own.start()
        await until(lambda: TOGETHER in alone.said())
        assert await alone.let_in(4) == 3
        assert alone.said() == [ALONE, TOGETHER]
        await alone.counting.close()

    with server() as own:
        run(story(own))


def test_a_server_that_is_frozen_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    async def story(own: Server) -> None:
        alone = Alone(own, 0.05, caplog)
        own.freeze()
        assert await alone.let_in(4) == 3
        assert await alone.let_in(4) == 0
        own.thaw()
        await until(lambda: TOGETHER in alone.said())
        await alone.counting.close()

    with server() as own:
        run(story(own))


def test_a_server_that_denies_the_scripts_is_named_with_the_fix(caplog: pytest.LogCaptureFixture) -> None:
    async def story(own: Server) -> None:
        alone = Alone(own, PATIENT_S, caplog)
        own.client.execute_command("ACL", "SETUSER", "default", "-evalsha")
        assert await alone.let_in(4) == 3
        await alone.counting.close()

    with server() as own:
        run(story(own))
    assert "docs/brokers.md" in caplog.text


@pytest.mark.parametrize(
    "url", ["amqp://localhost", "sentinel://localhost", "redis://:hunter2@localhost:port", "nothing"]
)
def test_an_address_that_is_none_is_said_without_its_password(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Requests go on; jobs will tell who sends them that there is no fleet."""

    async def story() -> None:
        fleet = ClientSettings(broker_url=SecretStr("redis://localhost"), reply_url=SecretStr(url))
        rates = Rates(GatewaySettings(rate_limit_key="2/hour"), fleet)
        assert [await let_in(rates.caller("a")) for _ in range(3)] == [True, True, False]
        await rates.close()

    run(story())
    assert len(caplog.records) == 1
    assert "the reply store" in caplog.text
    assert "hunter2" not in caplog.text
