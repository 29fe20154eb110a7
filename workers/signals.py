"""What happens when a worker process starts, becomes ready and ends."""

from pathlib import Path
from typing import Any

from celery import signals

from workers.observability import logs
from workers.operations import task_counts
from workers.operations.measuring import Measuring
from workers.process_slot import ProcessSlot
from workers.runtime import RuntimeSlot
from workers.settings import WorkerSettings


def connect(settings: WorkerSettings, slot: RuntimeSlot, measuring: ProcessSlot[Measuring]) -> None:
    """Connect this process's life to *settings*, *slot* and *measuring*; the latest call wins.

    The runtime is built before the first message: at ``worker_process_init`` in a prefork child and in
    the solo pool, and at ``worker_ready`` where threads of the main process do the work.
    """

    def setup_logging(**_: Any) -> None:
        logs.configure(settings.log_level, settings.log_format, settings.region)

    def named(sender: str, conf: Any, **_: Any) -> None:
        if "worker_name" in conf.broker_transport_options:
            conf.broker_transport_options["worker_name"] = sender

    def process_init(**_: Any) -> None:
        slot.get()

    def ready(sender: Any = None, **_: Any) -> None:
        if not getattr(sender.controller.pool, "uses_semaphore", False):  # prefork children build their own
            slot.get()
        measuring.get()  # the main process of a pool receives messages
        _mark_ready(settings.ready_file)

    def shutdown(**_: Any) -> None:
        _mark_not_ready(settings.ready_file)
        slot.close()
        measuring.close()

    def beat_init(**_: Any) -> None:
        measuring.get()

    task_counts.connect(measuring.held)
    for signal, receiver in (
        (signals.setup_logging, setup_logging),
        (signals.celeryd_after_setup, named),
        (signals.worker_process_init, process_init),
        (signals.worker_ready, ready),
        (signals.worker_process_shutdown, shutdown),
        (signals.worker_shutdown, shutdown),
        (signals.beat_init, beat_init),
    ):
        signal.connect(receiver, weak=False, dispatch_uid="ion")


def _mark_ready(path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _mark_not_ready(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
