"""What there is on the server: queues, living workers, what they have in flight, memory."""

import redis
from kombu.utils.encoding import bytes_to_str

from workers.transport import scripts
from workers.transport.scripts import Keys


def queue_state(client: redis.Redis, keys: Keys, queue: str) -> tuple[int, float | None]:
    """Return how many messages wait on *queue*, and for how many seconds the next one has, if known."""
    length, age_ms = client.eval(scripts.STATE, 1, keys.queue(queue))
    return int(length), None if age_ms < 0 else age_ms / 1000


def memory(client: redis.Redis) -> tuple[int, int] | None:
    """Return the server's memory in bytes, used and allowed (0: no limit); None: it may not tell."""
    try:
        said = client.info("memory")
    except redis.exceptions.NoPermissionError:
        return None
    return int(said["used_memory"]), int(said.get("maxmemory", 0))


def in_flight(client: redis.Redis, keys: Keys) -> dict[str, int]:
    """Return how many messages each worker has in flight, by the worker's name."""
    held: dict[str, int] = {}
    for worker, name in client.hgetall(keys.workers).items():
        count = client.hlen(keys.inflight(bytes_to_str(worker)))
        held[bytes_to_str(name)] = held.get(bytes_to_str(name), 0) + count
    return held


def living(client: redis.Redis, keys: Keys) -> int:
    """Return how many workers have a heartbeat: they live, and take messages or are about to."""
    listed = client.hkeys(keys.workers)
    return int(client.exists(*(keys.heartbeat(bytes_to_str(worker)) for worker in listed))) if listed else 0


def living_names(client: redis.Redis, keys: Keys) -> list[str]:
    """Return the names of those workers; one that several have is there as often."""
    listed = client.hgetall(keys.workers)
    if not listed:
        return []
    beats = client.mget([keys.heartbeat(bytes_to_str(worker)) for worker in listed])
    return [bytes_to_str(name) for name, beat in zip(listed.values(), beats, strict=True) if beat is not None]
