"""Step 3: items become chunks, each of which travels as one message.

A chunk closes at so many lines, good or bad, or so many bytes, so a file of rejects moves on as well.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from producers.bulk.records import Accepted, CallersId, Item, Reject
from producers.requests import PersonaRequest

BATCH_JOBS = 500  # of 3 kB prompts: eight batches in flight keep the producer near 110 MB
BATCH_BYTES = 1 << 20


@dataclass(slots=True)
class Chunk:
    """Neighbouring records: what to submit (*requests*, with *origins* beside them) and what not to."""

    requests: list[PersonaRequest] = field(default_factory=list)
    origins: list[tuple[int, CallersId]] = field(default_factory=list)  # line, the caller's id
    rejects: list[Reject] = field(default_factory=list)
    blank: int = 0
    first_line: int = 0
    last_line: int = 0

    @property
    def read(self) -> int:
        """How many records the chunk stands for."""
        return len(self.requests) + len(self.rejects) + self.blank


def chunks(items: Iterable[Item], jobs: int = BATCH_JOBS, size_bytes: int = BATCH_BYTES) -> Iterator[Chunk]:
    """Yield the items in chunks of at most *jobs* records and about *size_bytes* (at least one record)."""
    chunk, records, size = Chunk(), 0, 0
    for item in items:
        if isinstance(item, Accepted):
            if size and size + item.size > size_bytes:
                yield chunk
                chunk, records, size = Chunk(), 0, 0
            chunk.requests.append(item.request)
            chunk.origins.append((item.line, item.callers_id))
            size += item.size
            chunk.last_line = item.end
        elif isinstance(item, Reject):
            chunk.rejects.append(item)
            chunk.last_line = item.line
        else:
            chunk.blank += 1
            chunk.last_line = item.line
        if not records:
            chunk.first_line = item.line
        records += 1
        if records >= jobs:
            yield chunk
            chunk, records, size = Chunk(), 0, 0
    if records:
        yield chunk
