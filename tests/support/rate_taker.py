"""A process that takes from a rate limit: ``python -m tests.support.rate_taker URL NOTATION CALLERS ROUNDS``.

It says ``ready`` when it is connected, begins when it gets a line, and then says how many were let in.
"""

import asyncio
import sys

from pydantic import SecretStr

from producers.gateway.access.rates import Rates
from producers.gateway.errors import RateLimited
from producers.gateway.settings import GatewaySettings
from producers.settings import ClientSettings


async def take(url: str, notation: str, callers: int, rounds: int) -> None:
    """Have *callers* ask at once, *rounds* times."""
    fleet = ClientSettings(broker_url=SecretStr(url))
    rates = Rates(GatewaySettings(rate_limit_key=notation), fleet, patience_s=30.0)
    await rates.address("connects")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    taken = 0
    for _ in range(rounds):
        taken += sum(await asyncio.gather(*(_let_in(rates) for _ in range(callers))))
    await rates.close()
    print(taken, flush=True)


async def _let_in(rates: Rates) -> bool:
    try:
        await rates.caller("shared")
    except RateLimited:
        return False
    return True


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
