"""A worker's batches as Sentry's transactions: a share of them, and those that a producer traces.

A batch that is not sampled costs one random number.

Source:  sentry_sdk/tracing.py and scope.py of 2.75 (``continue_trace``, ``Transaction(sampled=...)``).
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sentry_sdk
from sentry_sdk.tracing import Span

from workers.contract.payloads import Batch, Job
from workers.delivery import Delivery
from workers.observability.sentry import stop_sentry
from workers.observability.tracing import (
    BAGGAGE,
    MOST_JOB_SPANS,
    NO_SPAN,
    SENTRY_TRACE,
    BatchSpan,
    carried,
    told_of,
)

T = TypeVar("T")


class SentryTracing:
    """Makes transactions of batches; *share* of those that carry no decision."""

    def __init__(self, share: float, chance: Callable[[], float] = random.random) -> None:
        self._share, self._chance = share, chance

    @contextmanager
    def batch(self, batch: Batch, delivery: Delivery) -> Iterator[BatchSpan]:
        """Be the transaction of *batch*, if it is sampled."""
        headers = carried(batch)
        parent = headers.get(SENTRY_TRACE, "")
        if not (parent.endswith("-1") or (not parent and self._chance() < self._share)):
            yield NO_SPAN
            return
        with sentry_sdk.isolation_scope() as scope:
            given = {name: headers[name] for name in (SENTRY_TRACE, BAGGAGE) if name in headers}
            transaction = sentry_sdk.continue_trace(
                given, op="queue.process", name=delivery.task or "batch", source="task", origin="manual.ion"
            )
            transaction.sampled = True  # decided above, once
            with sentry_sdk.start_transaction(transaction):
                transaction.update_data(told_of(batch, delivery))
                scope.set_tag("queue", delivery.queue)
                yield SentryBatch(transaction)

    def close(self) -> None:
        """Send what waits."""
        stop_sentry()


class SentryBatch:
    """The transaction of one batch."""

    def __init__(self, transaction: Span) -> None:
        self.trace_id: str | None = transaction.trace_id

    def around(self, answer: Callable[[Job], T]) -> Callable[[Job], T]:
        """Return *answer* with a span around each of the first calls."""
        left = MOST_JOB_SPANS

        def traced(job: Job) -> T:
            nonlocal left
            if not left:
                return answer(job)
            left -= 1
            with sentry_sdk.start_span(op="persona.answer", name="answer a job") as span:
                span.set_data("ion.job_id", job.id)
                if job.request_id is not None:
                    span.set_data("ion.request_id", job.request_id)
                return answer(job)

        return traced
