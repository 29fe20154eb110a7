"""Counts tasks by what became of them, from Celery's signals: a microsecond each.

A message is counted where it happens: sent by beat, received in a worker's main process, started and ended in
the process that runs it.  What producers send, and what our own tasks put back, is counted there
(``producers.dispatch``, ``workers.requeue``, ``workers.base``), since Celery does not hear of it.
"""

from collections.abc import Callable
from typing import Any

from celery import signals

from workers.contract.names import TASK_NAMES
from workers.monitoring.metrics import OTHER, TASKS
from workers.operations.measuring import Measuring

_OF_TASKS = (
    (signals.task_prerun, "started"),
    (signals.task_success, "succeeded"),
    (signals.task_failure, "failed"),
    (signals.task_retry, "retried"),
    (signals.task_revoked, "revoked"),
)
_OF_MESSAGES = ((signals.task_rejected, "rejected"), (signals.task_unknown, "rejected"))


def connect(held: Callable[[], Measuring | None]) -> None:
    """Count into what *held* returns; None: this process does not measure."""

    def count(name: object, state: str) -> None:
        measuring = held()
        if measuring is not None:
            known = name if isinstance(name, str) and name in TASK_NAMES else OTHER
            measuring.recorder.count(TASKS, 1, (known, state))

    def of_task(state: str) -> Callable[..., None]:
        return lambda sender=None, **_: count(getattr(sender, "name", None), state)

    def of_message(state: str) -> Callable[..., None]:
        return lambda name=None, **_: count(name, state)

    def received(request: Any = None, **_: Any) -> None:
        count(getattr(request, "name", None), "received")

    def sent(sender: Any = None, **_: Any) -> None:
        count(sender, "sent")

    for signal, state in _OF_TASKS:
        signal.connect(of_task(state), weak=False, dispatch_uid="ion-counts")
    for signal, state in _OF_MESSAGES:
        signal.connect(of_message(state), weak=False, dispatch_uid="ion-counts")
    signals.task_received.connect(received, weak=False, dispatch_uid="ion-counts")
    signals.after_task_publish.connect(sent, weak=False, dispatch_uid="ion-counts")
