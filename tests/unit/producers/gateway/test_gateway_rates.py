"""Who is counted under which name, and what those are told who are over the limit.  No store is there."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pydantic import SecretStr

from producers.gateway.access.rates import Rates, Refusals, network_of
from producers.gateway.errors import RateLimited, refusal_of
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings

NOWHERE = ClientSettings(broker_url=SecretStr("unix:///nowhere/at.all"))
FEW = GatewaySettings(rate_limit_key="3/hour", rate_limit_address="2/hour", rate_limit_refused="1/hour")


def run(story: Callable[[Rates], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        rates = Rates(FEW, NOWHERE)
        await story(rates)
        await rates.close()

    asyncio.run(whole())


async def refusal(asked: Coroutine[Any, Any, None]) -> str | None:
    """Return what the caller is told; None: it was let in."""
    try:
        await asked
    except RateLimited as error:
        return error.message
    return None


def test_each_has_its_own_limit() -> None:
    async def story(rates: Rates) -> None:
        assert [await refusal(rates.caller("key:a")) for _ in range(3)] == [None] * 3
        assert await refusal(rates.caller("key:a")) is not None
        assert await refusal(rates.caller("token:a")) is None

    run(story)


def test_the_three_limits_do_not_share_their_counts() -> None:
    """A caller may be called like an address."""

    async def story(rates: Rates) -> None:
        assert await refusal(rates.refused("192.0.2.1")) is None
        assert await refusal(rates.refused("192.0.2.1")) is not None
        assert [await refusal(rates.address("192.0.2.1")) for _ in range(2)] == [None] * 2
        assert await refusal(rates.address("192.0.2.1")) is not None
        assert await refusal(rates.caller("192.0.2.1")) is None

    run(story)


def test_a_bulk_request_counts_with_all_its_jobs() -> None:
    async def story(rates: Rates) -> None:
        assert await refusal(rates.caller("a", 2)) is None
        assert await refusal(rates.caller("a", 2)) is not None
        assert await refusal(rates.caller("a", 1)) is None  # fewer still fit
        assert await refusal(rates.caller("a", 0)) is None  # none count as none

    run(story)


def test_more_than_the_limit_ever_lets_in_is_said_so() -> None:
    async def story(rates: Rates) -> None:
        assert await refusal(rates.caller("a", 4)) == (
            "4 jobs together are more than 3/hour ever lets in; send fewer at once"
        )
        assert await refusal(rates.caller("a", 3)) is None

    run(story)


def test_the_refusal_says_the_limit_and_when_to_come_again() -> None:
    """The seconds of the message are those of the header Retry-After."""

    async def story(rates: Rates) -> None:
        await rates.refused("192.0.2.1")
        with pytest.raises(RateLimited) as caught:
            await rates.refused("192.0.2.1")
        told = refusal_of(caught.value)
        seconds = dict(told.headers)["retry-after"]

        assert (told.status, told.code) == (429, "RATE_LIMITED")
        assert told.message == f"over the limit of 1/hour; try again in {int(seconds):,} s"

    run(story)


def test_nobody_is_named_in_a_refusal() -> None:
    async def story(rates: Rates) -> None:
        await rates.caller("user:mina", 3)
        message = await refusal(rates.caller("user:mina"))
        assert message is not None
        assert "mina" not in message

    run(story)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("local", "local"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no:address", "no:address"),
    ],
)
def test_an_owner_of_a_network_is_one_caller(address: str, network: str) -> None:
    """A /64 is what one household gets; it has 18 quintillion addresses to go round a limit with."""
    assert network_of(address) == network


# -- refusals in memory -------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_refusal_counts_until_its_time_has_come() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    refusals.add("a", 1, 5.0)

    clock.now_s = 3.0
    assert refusals.wait_s("a", 1) == pytest.approx(2.0)
    assert refusals.wait_s("b", 1) == 0
    clock.now_s = 5.0
    assert refusals.wait_s("a", 1) == 0


def test_what_is_smaller_than_what_was_refused_may_be_asked_about() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    refusals.add("a", 50, 9.0)
    assert refusals.wait_s("a", 49) == 0
    assert refusals.wait_s("a", 51) == pytest.approx(9.0)

    refusals.add("a", 1, 2.0)  # the smaller one counts from here on
    refusals.add("a", 50, 9.0)
    assert refusals.wait_s("a", 50) == pytest.approx(2.0)


def test_an_attack_with_many_names_takes_little_memory() -> None:
    refusals = Refusals(Clock(), most=3)
    for name in "abcde":
        refusals.add(name, 1, 5.0)

    assert [refusals.wait_s(name, 1) for name in "abcde"] == [0, 0, 5.0, 5.0, 5.0]
