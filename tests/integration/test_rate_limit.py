"""One rate limit for all processes, on the server's clock."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from infra.local.stack import LocalStack
from persona_system.errors import InvalidInput
from producers import AccessDenied, Overloaded, PersonaClient, PersonaRequest, Unavailable
from producers.rate_limit import RateLimit, RateLimiter
from producers.settings import ClientSettings
from tests.support.stack import client_settings_for
from tests.support.valkey import Server, server
from tests.support.wait import wait_until
from workers.contract import names

MakeLimiter = Callable[[float, int], RateLimiter]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Server]:
    with server() as made:
        yield made


@pytest.fixture
def make(valkey: Server) -> Iterator[MakeLimiter]:
    """Make limiters of (jobs a second, burst) on an empty server."""
    valkey.client.flushall()
    made: list[RateLimiter] = []

    def make(per_s: float, burst: int) -> RateLimiter:
        made.append(RateLimiter(redis.Redis.from_url(valkey.url), RateLimit(per_s, burst)))
        return made[-1]

    yield make
    for limiter in made:
        limiter.close()


def test_a_burst_passes_and_then_it_is_told_when_the_next_may(make: MakeLimiter) -> None:
    """At 0.01 jobs a second the next token is there after 100 s."""
    limiter = make(0.01, 3)

    assert [limiter.take("key") for _ in range(3)] == [None] * 3
    wait_s = limiter.take("key")
    assert wait_s is not None
    assert 90 < wait_s <= 100


def test_the_bucket_fills_again(make: MakeLimiter) -> None:
    limiter = make(50.0, 5)
    assert limiter.take("key", 5) is None

    wait_until(lambda: limiter.take("key", 5) is None)


def test_keys_do_not_share_a_bucket(make: MakeLimiter) -> None:
    limiter = make(0.01, 1)

    assert limiter.take("one") is None
    assert limiter.take("other") is None
    assert limiter.take("one") is not None


def test_some_of_many_pass(make: MakeLimiter) -> None:
    grant = make(0.01, 5).take_some("key", 8)

    assert grant.jobs == 5
    assert 90 < grant.wait_s <= 100  # until the next one may
    assert grant.each_s == pytest.approx(100)  # and each after it


def test_all_or_none_pass_and_none_costs_nothing(make: MakeLimiter) -> None:
    limiter = make(0.01, 5)
    assert limiter.take("key", 2) is None
    wait_s = limiter.take("key", 4)  # 3 are left; one is missing

    assert wait_s is not None
    assert 90 < wait_s <= 100
    assert limiter.take("key", 3) is None


def test_more_together_than_the_burst_could_never_pass(make: MakeLimiter) -> None:
    with pytest.raises(InvalidInput, match="6 together, over the burst of 5"):
        make(1.0, 5).take("key", 6)


@pytest.mark.parametrize(("per_s", "burst"), [(0, 5), (-1, 5), (1, 0)])
def test_a_limit_lets_something_through(per_s: float, burst: int) -> None:
    with pytest.raises(InvalidInput):
        RateLimit(per_s, burst)


def test_a_bucket_goes_when_it_would_be_full_and_its_key_is_no_secret(
    make: MakeLimiter, valkey: Server
) -> None:
    make(10.0, 20).take("sk-secret-key")

    assert valkey.client.keys("*") == [names.rate_key("sk-secret-key").encode()]
    assert "secret" not in names.rate_key("sk-secret-key")
    assert 0 < valkey.client.pttl(names.rate_key("sk-secret-key")) <= 3_000  # 2 s to fill, and one more


_TAKER = """
import sys, time
import redis
from producers.rate_limit import RateLimit, RateLimiter

class Stamped(redis.Redis):
    "Runs each script together with TIME, so that the stamp is the server's and of the same moment."
    def eval(self, *args):
        with self.pipeline(transaction=True) as pipe:
            pipe.eval(*args)
            pipe.time()
            answer, (s, us) = pipe.execute()
        if answer[0]:
            print(s * 1_000_000 + us, answer[0])
        return answer

client = Stamped.from_url(sys.argv[1])
limiter = RateLimiter(client, RateLimit(100.0, 20))
end = time.monotonic() + 2.5
while time.monotonic() < end:
    limiter.take_some("shared", 3)
    limiter.take("shared", 2)
limiter.close()
"""


def test_no_second_sees_more_than_the_rate_and_the_burst_whoever_asks(valkey: Server) -> None:
    """Three processes ask without pause, 100 a second and 20 at once: at most 120 in any 1 s window."""
    valkey.client.flushall()

    def take(_: int) -> str:
        command = [sys.executable, "-c", _TAKER, valkey.url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(3) as pool:
        lines = [line.split() for said in pool.map(take, range(3)) for line in said.splitlines()]
    granted = sorted((int(at_us), int(jobs)) for at_us, jobs in lines)
    windows = [sum(n for t, n in granted if at <= t < at + 1_000_000) for at, _ in granted]

    assert max(windows) <= 120
    elapsed_s = (granted[-1][0] - granted[0][0]) / 1_000_000
    total = sum(jobs for _, jobs in granted)
    assert 20 < total <= 20 + 100 * elapsed_s + 1


def test_nothing_passes_while_the_store_is_away() -> None:
    with server() as own:
        limiter = RateLimiter(redis.Redis.from_url(own.url), RateLimit(1.0, 5))
        own.client.execute_command("ACL", "SETUSER", "default", "-eval")
        with pytest.raises(AccessDenied, match="the reply store"):
            limiter.take("key")
        own.stop()
        with pytest.raises(Unavailable, match="the reply store"):
            limiter.take("key")
        limiter.close()


def test_clients_with_the_same_key_share_the_limit(
    client_settings: ClientSettings, stack: LocalStack
) -> None:
    """Five at once, and the next in 1,000 s: two clients get five jobs through between them."""
    key = uuid.uuid4().hex
    limit = {"rate_limit_per_s": 0.001, "rate_limit_burst": 5, "rate_limit_key": key}
    settings = client_settings_for(stack, cache_url="", **limit)
    asks = [PersonaRequest(f"question {n}", "calm-medium-learning") for n in range(4)]
    with (
        PersonaClient(settings) as one,
        PersonaClient(settings) as other,
        PersonaClient(client_settings) as free,
    ):
        ends = [*one.process_many(asks), *other.process_many(asks)]
        assert [end.status for end in ends] == ["ok"] * 5 + ["unsent"] * 3
        assert all(isinstance(end.error, Overloaded) for end in ends[5:])
        with pytest.raises(Overloaded, match="the rate limit is reached"):
            other.submit(asks[0])
        assert [end.status for end in free.process_many(asks)] == ["ok"] * 4
