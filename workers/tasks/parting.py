"""Send the parts of a batch on their own way.

A part is a batch of its own, with an id made from its parent's: so it may be sent twice, by whoever comes
upon the parent's mark, and is settled once.
"""

import dataclasses
from typing import Any

import msgspec

from workers.contract.dead_letters import Sighting
from workers.contract.payloads import Batch, shown
from workers.contract.wire import compress
from workers.delivery import Delivery
from workers.isolation import part_id
from workers.runtime import Runtime
from workers.settling import Mark

_encode = msgspec.msgpack.Encoder().encode
_decode_map = msgspec.msgpack.Decoder(dict[str, Any]).decode


def send_parts(batch: Batch, mark: Mark, delivery: Delivery, runtime: Runtime) -> None:
    """Put what *mark* leaves to others on the batch's queue; raise Unavailable when the broker refuses."""
    story = story_of(batch, delivery)
    for part in mark.parts:
        seen = Sighting(int(runtime.now_ms()), f"went on in a part: {part.name}", delivery.worker)
        jobs = [batch.jobs[place] for place in part.jobs]
        made = Batch(
            id=part_id(batch.id, part.name),
            reply_to=batch.reply_to,
            sent_ms=batch.sent_ms,
            jobs=[_once_more(job) for job in jobs] if part.again else jobs,
            bulk=batch.bulk,
            looked_up=batch.looked_up,
            lost=part.lost or msgspec.UNSET,
            story=[*story, seen] if part.lost else msgspec.UNSET,
            trace=batch.trace,
        )
        fresh = dataclasses.replace(delivery, lost=0, story=())  # its history stands in the batch
        payload = compress(_encode(made))
        told = shown(len(jobs), delivery.queue)
        runtime.queues.put(fresh, made.id, payload, told, wait_s=part.wait_ms / 1000)


def story_of(batch: Batch, delivery: Delivery) -> list[Sighting]:
    """Return what happened to a batch, and to those that it was a part of."""
    return [*(() if batch.story is msgspec.UNSET else batch.story), *delivery.story]


def _once_more(packed: msgspec.Raw) -> msgspec.Raw:
    """Return a packed job that was tried once more, with whatever else is in it."""
    job = _decode_map(packed)
    job["tries"] = job.get("tries", 0) + 1
    return msgspec.Raw(_encode(job))
