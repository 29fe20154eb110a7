"""The events of a batch: how it ended, what the router decided, what the cache had.  Once a batch.

They are told when the reply is out, so no caller waits for them.
"""

from collections import Counter
from collections.abc import Sequence

from workers.cache.answers import Plan
from workers.contract.glance import decisions_in, personas_in
from workers.contract.payloads import Batch, Outcome, Status, shown_ends
from workers.delivery import Delivery
from workers.monitoring.events import (
    CachePerformanceEvent,
    PersonaProcessEvent,
    RoutingDecisionEvent,
    tell_nobody,
)
from workers.monitoring.telling import endpoint_of
from workers.runtime import Runtime

_OK = Status.OK  # looking it up for each job takes longer than the rest
_Times = tuple[float, float]  # in the queue, at work; ms


def tell_batch(
    batch: Batch,
    delivery: Delivery,
    runtime: Runtime,
    endpoint: str,
    ends: Sequence[Outcome],
    again: int,
    times_ms: _Times,
) -> str:
    """Tell that the jobs of *batch* ended as *ends*, but for those that are tried *again*.

    Returns what operators see of it.
    """
    if runtime.tell is tell_nobody or not (ends or again):
        return shown_ends(Counter([end.status for end in ends]))
    answered = [end for end in ends if end.status is _OK]
    computed = [end.result for end in answered if not end.cached]
    at_ms = int(runtime.now_ms())
    if endpoint == "recommend":
        personas = personas_in(computed)
    else:
        decisions = decisions_in(computed)
        personas = decisions.personas.copy()
        if sure := decisions.confidences:
            runtime.tell(
                RoutingDecisionEvent(
                    at_ms=at_ms,
                    region=runtime.region,
                    batch_id=batch.id,
                    jobs=len(sure),
                    analysed=decisions.analysed,
                    personas=dict(decisions.personas),
                    mean_confidence=round(sum(sure) / len(sure), 4),
                    lowest_confidence=round(min(sure), 4),
                )
            )
    if len(computed) < len(answered):
        personas += personas_in([end.result for end in answered if end.cached])
    bad = [end for end in ends if end.status is not _OK] if len(answered) < len(ends) else []
    ended = Counter(str(end.status) for end in bad)
    if answered:
        ended[str(_OK)] = len(answered)
    runtime.tell(
        PersonaProcessEvent(
            at_ms=at_ms,
            region=runtime.region,
            task=delivery.task,
            queue=delivery.queue,
            endpoint=endpoint_of(endpoint),
            batch_id=batch.id,
            jobs=len(ends) + again,
            ended=dict(ended),
            personas=dict(personas),
            errors=dict(Counter(end.problem.code for end in bad if end.problem is not None)),
            cached=len(answered) - len(computed),
            again=again,
            queued_ms=round(times_ms[0], 3),
            worked_ms=round(times_ms[1], 3),
        )
    )
    return shown_ends(ended, len(answered) - len(computed), personas)


def tell_cache(batch: Batch, runtime: Runtime, plan: Plan) -> None:
    """Tell what the cache had for *batch*, as *plan* says at its end."""
    if runtime.tell is tell_nobody or not plan.jobs:
        return
    runtime.tell(
        CachePerformanceEvent(
            at_ms=int(runtime.now_ms()),
            region=runtime.region,
            endpoint=endpoint_of(plan.policy.endpoint),
            look="only" if plan.asked_store else "again",
            local=plan.local + plan.repeated,
            shared=plan.shared + plan.received,
            missed=plan.missing - plan.repeated - plan.received,
            bypassed=plan.bypassed,
            batch_id=batch.id,
        )
    )
