"""A whole system to harm: its server, a witness's server that no fault touches, workers, traffic."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.urls import socket_urls
from tests.chaos.scenario import NotHere, Stage
from tests.chaos.systems import Ours, Stock, System, Way
from tests.chaos.traffic import Traffic
from tests.support.fleet import Fleet
from tests.support.oracle import Oracle, Witness
from tests.support.rabbit import RabbitNode, rabbit_node, rabbitmq_scripts
from tests.support.valkey import Server, server
from tests.support.wait import wait_until

SERVED_S = 120.0  # within which a fleet that was started has answered something, on a busy machine

OUR_BATCH, OUR_WINDOW = 20, 1_200
STOCK_WINDOW = 600


@dataclass(frozen=True, slots=True)
class Arena:
    """All that a scenario handles.  *valkey* is the broker, unless *rabbit* is, and keeps our replies."""

    system: System
    valkey: Server
    rabbit: RabbitNode | None
    fleet: Fleet
    traffic: Traffic
    oracle: Oracle
    witness: Witness

    def open_up(self) -> None:
        """Start the workers and the traffic; return when work is done."""
        self.fleet.start()
        self.fleet.wait_ready()
        self.traffic.flow()
        wait_until(lambda: self.oracle.endings() >= 10, SERVED_S, "the first jobs are answered")


@contextlib.contextmanager
def arena(
    stage: Stage,
    *,
    workers: int = 2,
    size: int = OUR_BATCH,
    window: int | None = None,
    deed: str = "n",
    pause_s: float = 0.0,
    prefetch: int = 4,
    pool: str | None = None,
    settings: Mapping[str, str] | None = None,
    way: Callable[[Path], Way] | None = None,
    worker_env: Callable[[str], Mapping[str, str]] | None = None,
    server_options: Mapping[str, str] | None = None,
    elsewhere: str | None = None,
) -> Iterator[Arena]:
    """Make the arena of *stage*; nothing runs yet but the servers.  All is gone afterwards.

    *way* is given the server's socket and returns each worker's way to it, such as a proxy's URL;
    *worker_env* adds to a worker's environment; *elsewhere* is the URL of another broker and reply store.
    """
    with contextlib.ExitStack() as stack:
        options = {"appendonly": "yes", "appendfsync": "no", **(server_options or {})}  # as in the stack
        valkey = stack.enter_context(server(**options))
        notes = stack.enter_context(server())
        rabbit = _rabbit(stack) if stage.system == "rabbitmq" else None
        witness = stack.enter_context(contextlib.closing(Witness(notes.url)))
        socket = Path(valkey.url.removeprefix("unix://"))
        urls = socket_urls(socket)
        other_way = None if way is None else way(socket)
        system: System
        if stage.system == "stock":
            system = Stock(
                urls.broker_url,
                notes.url,
                prefetch=prefetch,
                way=other_way,
                pool=pool or "prefork",
            )
            size, window = 1, window or STOCK_WINDOW
        else:
            system = Ours(
                elsewhere or (urls.broker_url if rabbit is None else rabbit.url),
                elsewhere or urls.reply_url,
                notes.url,
                stage.directory,
                way=other_way,
                pool=pool or "solo",
                settings=settings,
            )
        stack.callback(system.close)
        fleet = Fleet(
            stage.directory,
            [f"worker{number}" for number in range(1, workers + 1)],
            system.worker_command,
            lambda worker: {
                **system.worker_env(worker),
                **({} if worker_env is None else worker_env(worker)),
            },
        )
        stack.callback(fleet.stop)
        oracle = Oracle()
        traffic = stack.enter_context(
            Traffic(system, oracle, size=size, window=window or OUR_WINDOW, deed=deed, pause_s=pause_s)
        )
        yield Arena(system, valkey, rabbit, fleet, traffic, oracle, witness)


def _rabbit(stack: contextlib.ExitStack) -> RabbitNode:
    if rabbitmq_scripts() is None:
        raise NotHere("RabbitMQ is not installed")
    return stack.enter_context(rabbit_node())
