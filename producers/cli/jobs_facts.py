"""Look for what is known of one job: in the reply store, on its queue, and in the database."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import redis

from producers.cli.jobs_timeline import Facts
from producers.errors import ProducerError
from producers.faults import fault_of
from workers.contract import names
from workers.contract.payloads import Outcome
from workers.contract.trail import (
    Accepted,
    BatchTrail,
    client_of,
    covers,
    decode_accepted,
    decode_trail,
)

if TYPE_CHECKING:
    from producers.settings import ClientSettings
    from workers.store.bulk_runs import BulkRun
    from workers.store.letters import KeptLetter

_PATIENCE_S = 2.0
_RUN = re.compile(r"\brun ([0-9a-z]{2,40})\b")  # in what operators see of a pipeline's batch
_MOST_LETTERS = 10

_decode_outcome = msgspec.msgpack.Decoder(Outcome).decode


class _Kept(NamedTuple):
    claimed: bool
    accepted: Accepted | None
    outcome: Outcome | None
    trails: list[BatchTrail]
    at_work: bool


def look_for(job_id: str, settings: "ClientSettings", database_url: str | None) -> Facts:
    """Return what is known of *job_id*; raise Unavailable when the reply store cannot be asked.

    The other places may be away: what they would have told is named as missing.
    """
    from producers.replies import open_reply_store  # noqa: PLC0415

    broker_url, reply_url = settings.urls()
    store = open_reply_store(reply_url, _PATIENCE_S, _PATIENCE_S)
    try:
        kept = _kept(store, job_id)
    except (redis.RedisError, OSError) as error:
        raise fault_of(error, "the reply store") from None
    finally:
        store.close()
    missing: list[str] = []
    letters, run = _of_database(job_id, kept.trails, database_url, missing)
    waiting = None
    if kept.accepted is not None and kept.outcome is None:
        waiting = _waiting(broker_url, kept.accepted.queue, missing)
    return Facts(
        job_id,
        kept.claimed,
        kept.accepted,
        kept.outcome,
        kept.trails,
        letters,
        run,
        waiting,
        kept.at_work,
        missing,
    )


def _kept(store: redis.Redis, job_id: str) -> _Kept:
    digest, noted, outcome, trail = store.hmget(names.outcome_key(job_id), "d", "a", "o", "t")
    accepted = _read(decode_accepted, noted)
    made = client_of(job_id)
    client = made[0] if made is not None else None if accepted is None else accepted.client
    found: dict[str, BatchTrail] = {}
    if client is not None:
        for packed in store.lrange(names.trail_key(client), 0, -1):
            one = _read(decode_trail, packed)
            if one is not None and _concerns(one, job_id, accepted):
                found[one.batch_id] = one
    own = _read(decode_trail, trail)
    if own is not None:
        found[own.batch_id] = own
    at_work = accepted is not None and bool(store.exists(names.work_key(accepted.batch_id)))
    trails = sorted(found.values(), key=lambda one: (one.sent_ms + one.queued_ms, one.batch_id))
    return _Kept(digest is not None, accepted, _read(_decode_outcome, outcome), trails, at_work)


def _concerns(trail: BatchTrail, job_id: str, accepted: Accepted | None) -> bool:
    if covers(trail, job_id):
        return True
    if accepted is None:
        return False
    batch = trail.batch_id
    return batch == accepted.batch_id or batch.startswith(f"{accepted.batch_id}.")


def _read(decode: Any, packed: object) -> Any:
    """Return what *packed* holds; None for nothing, and for what a newer version wrote in another shape."""
    if packed is None:
        return None
    try:
        return decode(packed)
    except msgspec.MsgspecError:
        return None


def _of_database(
    job_id: str, trails: Sequence[BatchTrail], url: str | None, missing: list[str]
) -> "tuple[list[KeptLetter], BulkRun | None]":
    if url is None:
        missing.append("dead letters and bulk runs: this fleet has no database; set ION_DATABASE_URL")
        return [], None
    from workers.store.bulk_runs import BulkRuns  # noqa: PLC0415 - takes 0.3 s to load
    from workers.store.dead_letters import DeadLetterStore  # noqa: PLC0415 - likewise
    from workers.store.engine import open_store  # noqa: PLC0415 - likewise
    from workers.store.errors import StoreError  # noqa: PLC0415 - likewise

    try:
        with open_store(url, create=False) as store:
            letters = DeadLetterStore(store).of_job(job_id, _MOST_LETTERS)
            runs = BulkRuns(store)
            return letters, next((run for run_id in _runs(trails) if (run := runs.get(run_id))), None)
    except StoreError as error:
        missing.append(f"dead letters and bulk runs: {error}")
        return [], None


def _runs(trails: Sequence[BatchTrail]) -> Iterator[str]:
    for trail in trails:
        if (named := _RUN.search(trail.shown)) is not None:
            yield named[1]


def _waiting(broker_url: str, queue: str, missing: list[str]) -> tuple[int, float | None] | None:
    from producers.broker import BrokerPublisher  # noqa: PLC0415 - celery

    publisher = BrokerPublisher(broker_url, _PATIENCE_S, _PATIENCE_S)
    try:
        state = publisher.queue_state(queue)
    except ProducerError as error:
        missing.append(f"the queue: {error}")
        return None
    finally:
        with contextlib.suppress(ProducerError):
            publisher.close()
    return state.length, state.oldest_age_s
