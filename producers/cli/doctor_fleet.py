"""What the doctor checks of a running fleet: the servers, the queues, and a real job there and back.

Units: latencies in milliseconds, skew in seconds.
"""

import time
from collections.abc import Generator, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from producers.cli.collaborators import Check, Fleet
from producers.cli.doctor_beat import beat_checks
from producers.cli.doctor_cache import cache_checks
from producers.errors import Unavailable

if TYPE_CHECKING:
    from producers.settings import ClientSettings

LONG_QUEUE = 1_000  # messages
SKEW_S = 1.0  # more shifts deadlines and waiting times visibly
_JOB_DEADLINE = timedelta(seconds=5)
_START = "start a stack with `ion up`, or set ION_BROKER_URL"


def fleet_checks(fleet: Fleet) -> Iterator[Check]:
    """Yield the checks of the fleet that a command would use; one remark if there is none."""
    settings = fleet.find()
    if settings is None:
        yield Check(
            "fleet",
            "warn",
            "none is running; commands start one for their own length",
            "keep one with `ion up`",
        )
        return
    broker_url, reply_url = settings.urls()
    depths = yield from _broker_checks(settings, broker_url)
    yield from _reply_checks(settings, reply_url)
    yield from beat_checks(settings, reply_url)
    yield from cache_checks(settings, broker_url)
    if depths is not None:
        yield from queue_checks(depths)
        yield _job_check(settings)


def _broker_checks(
    settings: "ClientSettings", broker_url: str
) -> Generator[Check, None, dict[str, int] | None]:
    from producers.broker import BrokerPublisher  # noqa: PLC0415
    from workers.contract import names  # noqa: PLC0415

    publisher = BrokerPublisher(broker_url, settings.connect_timeout_s, settings.publish_timeout_s)
    try:
        publisher.queue_length(names.INTERACTIVE)  # connects
        started = time.perf_counter()
        depths = {queue: publisher.queue_length(queue) for queue in names.QUEUES}
        each_ms = (time.perf_counter() - started) * 1000 / len(depths)
    except Unavailable as error:
        yield Check("broker", "fail", str(error), f"check the address and that it runs; {_START}")
        return None
    finally:
        publisher.close()
    yield Check("broker", "ok", f"answers in {each_ms:.1f} ms")
    return depths


def _reply_checks(settings: "ClientSettings", reply_url: str) -> Iterator[Check]:
    import redis  # noqa: PLC0415

    from workers.contract.names import DUPLICATES_KEY  # noqa: PLC0415
    from workers.transport.servers import open_redis  # noqa: PLC0415

    timeout_s = settings.connect_timeout_s
    server = open_redis(reply_url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s)
    try:
        server.ping()
        started = time.perf_counter()
        seconds, microseconds = server.time()
        took_s = time.perf_counter() - started
        duplicates = int(server.get(DUPLICATES_KEY) or 0)
    except (redis.RedisError, OSError) as error:
        yield Check("reply store", "fail", type(error).__name__, "check ION_REPLY_URL and that it runs")
        return
    finally:
        server.close()
    suppressed = f"; {duplicates:,} repeated deliveries so far changed nothing" if duplicates else ""
    yield Check("reply store", "ok", f"answers in {took_s * 1000:.1f} ms{suppressed}")
    yield clock_check(time.time() - took_s / 2 - (seconds + microseconds / 1e6))


def clock_check(skew_s: float) -> Check:
    """Check how far this machine's clock is ahead of the server's."""
    if abs(skew_s) <= SKEW_S:
        return Check("clock", "ok", f"{abs(skew_s):.3f} s off the server's")
    side = "ahead of" if skew_s > 0 else "behind"
    return Check(
        "clock", "warn", f"{abs(skew_s):.1f} s {side} the server's, which shifts deadlines", "run NTP on both"
    )


def queue_checks(depths: dict[str, int]) -> Iterator[Check]:
    """Yield the check of the queues' lengths, and that of dead letters on their way."""
    waiting = {queue: depth for queue, depth in depths.items() if queue != "dead"}
    found = ", ".join(f"{queue} {depth:,}" for queue, depth in waiting.items())
    if max(waiting.values(), default=0) > LONG_QUEUE:
        yield Check("queues", "warn", f"long: {found}", "add workers, or wait; see ION_WORKERS")
    else:
        yield Check("queues", "ok", found)
    dead = depths.get("dead", 0)
    if dead:
        found = f"{dead:,} dead letters wait for the database"
        yield Check("queue dead", "warn", found, "see the workers' log, and ION_DATABASE_URL in `ion config`")


def _job_check(settings: "ClientSettings") -> Check:
    from producers.client import PersonaClient  # noqa: PLC0415
    from producers.requests import PersonaRequest  # noqa: PLC0415

    with PersonaClient(settings) as client:
        started = time.perf_counter()
        request = PersonaRequest(
            "ion doctor: 안녕하세요",
            "calm-medium-learning",
            deadline=_JOB_DEADLINE,
            use_cache=False,  # a cached answer would say nothing about the workers
        )
        handle = client.submit(request)
        outcome = handle.outcome()
        took_ms = (time.perf_counter() - started) * 1000
    if outcome.status == "ok":
        return Check("workers", "ok", f"a job there and back took {took_ms:.0f} ms, connecting included")
    if outcome.status == "expired":
        return Check(
            "workers",
            "fail",
            f"no worker answered within {_JOB_DEADLINE.seconds} s",
            f"are any running?  {_START}",
        )
    return Check(
        "workers", "fail", f"a job ended as {outcome.status}: {outcome.error}", "look at the workers' log"
    )
