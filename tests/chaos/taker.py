"""A process that takes as much of a shared rate limit as it gets, and notes when on the server's clock."""

import os
import sys
import time
from typing import Any

import redis

from producers.rate_limit import RateLimit, RateLimiter

GRANTS = "grants"


class Noting(redis.Redis):
    """Tells the server's time of the last script, taken in the same transaction."""

    at_us = 0

    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run *script* and note when."""
        with self.pipeline(transaction=True) as pipe:
            pipe.eval(script, numkeys, *keys_and_args)
            pipe.time()
            answer, (seconds, micros) = pipe.execute()
        self.at_us = int(seconds) * 1_000_000 + int(micros)
        return answer


def main() -> None:
    """Take for ever."""
    url, per_s, burst = sys.argv[1:]
    client = Noting(unix_socket_path=url.removeprefix("unix://"))
    limiter = RateLimiter(client, RateLimit(float(per_s), int(burst)))
    client.sadd("takers", os.getpid())
    while True:
        wait_s = limiter.take("shared")
        if wait_s is None:
            client.rpush(GRANTS, client.at_us)
        else:
            time.sleep(wait_s)


if __name__ == "__main__":
    main()
