"""Note of a batch what is needed to follow one of its jobs afterwards: a few microseconds, once a batch."""

from collections.abc import Sequence

from workers.contract.payloads import Batch, Outcome
from workers.contract.trail import BatchTrail, encode, ends_of, spans_of
from workers.delivery import Delivery
from workers.settling import Mark


def trail_of(
    batch: Batch,
    delivery: Delivery,
    outcomes: Sequence[Outcome],
    mark: Mark,
    times_ms: tuple[float, float],
    trace_id: str | None,
) -> bytes:
    """Return the packed trail of *batch*; *times_ms* are how long it waited and how long it was at work."""
    ended, named = ends_of(outcomes)
    return encode(
        BatchTrail(
            batch_id=batch.id,
            task=delivery.task,
            queue=delivery.queue,
            worker=delivery.worker,
            sent_ms=batch.sent_ms,
            queued_ms=round(times_ms[0], 1),
            worked_ms=round(times_ms[1], 1),
            jobs=len(batch.jobs),
            shown=delivery.shown,
            client=batch.reply_to,
            ended=ended,
            spans=spans_of(batch.reply_to, [outcome.id for outcome in outcomes]),
            named=named,
            left=[part.name for part in mark.parts],
            lost=delivery.lost,
            trace_id=trace_id,
        )
    )
