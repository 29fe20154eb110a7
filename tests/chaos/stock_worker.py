"""Bare Celery with its own Redis transport, set up with care: what our figures are compared with.

Late acknowledgement, tasks given back when a child dies, and a visibility timeout of 5 s with a sweep a
second (the defaults are an hour, and 100 s), so that what is merely late is not counted as lost.
"""

import os
from pathlib import Path
from typing import Any

from celery import Celery, signals

from tests.chaos.deeds import do
from tests.support.oracle import Witness

TASK, QUEUE, VISIBILITY_S = "stock.work", "stock", 5


def create_stock_app(broker_url: str, prefetch: int = 4) -> Celery:
    """Return the app, for a worker or for a producer."""
    app = Celery("stock", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_time_limit=20,
        worker_prefetch_multiplier=prefetch,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        },
    )
    return app


def add_task(app: Celery, witness: Witness) -> Celery:
    """Register the one task."""

    def work(job_id: str) -> None:
        do(job_id, witness)
        witness.ends(job_id)

    app.task(work, shared=False, name=TASK)
    return app


def _ready(**_: Any) -> None:
    Path(os.environ["ION_READY_FILE"]).touch()


if "CHAOS_STOCK_URL" in os.environ:  # this is a worker's process, not the harness
    os.environ["CHAOS_MAIN_PID"] = str(os.getpid())  # its children inherit it
    signals.worker_ready.connect(_ready, weak=False)
    app = add_task(
        create_stock_app(os.environ["CHAOS_STOCK_URL"], int(os.environ["CHAOS_PREFETCH"])),
        Witness(os.environ["CHAOS_WITNESS_URL"], os.environ["CHAOS_WORKER"]),
    )
