"""A fleet without processes: what a client publishes is answered here, by the real task, at once.

For tests of the client's own behaviour; everything about delivery is tested with real processes.
"""

import queue
from collections.abc import Callable, Sequence

from persona_system.pipeline import PersonaPipeline
from producers.admission import QueueState
from producers.errors import Overloaded, Unavailable
from producers.ports import Claim, Fleet, NoLimit, Rations
from workers.contract.dead_letters import DeadLetter
from workers.contract.payloads import FINAL, Outcome
from workers.runtime import Runtime
from workers.settling import NO_JOURNAL, Journal, Mark
from workers.tasks import persona


class KeptDeadLetters:
    """Keeps dead letters in a list."""

    def __init__(self) -> None:
        self.kept: list[DeadLetter] = []

    def keep(self, letter: DeadLetter) -> None:
        """Keep *letter*."""
        self.kept.append(letter)


class Loopback:
    """Publisher, reply sender, reply reader and the outcomes of durable jobs in one.

    *holding* keeps what is published unanswered until ``release``; *broken* refuses to publish, and *full*
    refuses for want of memory.  Outcomes are in *ended*.
    """

    def __init__(self, pipeline: PersonaPipeline, now_ms: Callable[[], float]) -> None:
        self.published: list[tuple[str, str, int]] = []  # task, queue, jobs
        self.dead_letters = KeptDeadLetters()
        self.holding = False
        self.broken = False
        self.full = False
        self.deliveries = 1
        self.state = QueueState(0)
        self.looks = 0  # how often the broker was asked how full it is
        self.claimed: dict[str, bytes] = {}
        self.ended: dict[str, Outcome] = {}
        self.marks: dict[str, Mark] = {}  # of settled batches
        self.store_broken = False
        self.notes: list[str] = []
        self._held: list[tuple[str, bytes]] = []
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._runtime = Runtime(pipeline, self, self.dead_letters, now_ms)

    def fleet(self, rations: Rations | None = None) -> Fleet:
        """Return the ways to this fleet; without *rations* there is no rate limit."""
        return Fleet(self, self, self, NoLimit() if rations is None else rations)

    def publish(
        self, task: str, queue: str, batch_id: str, payload: bytes, jobs: int, note: str = ""
    ) -> None:
        """Take a batch, and answer it unless told to hold it."""
        _ = batch_id
        if self.broken:
            raise Unavailable("the broker", "told to be away")
        if self.full:
            raise Overloaded("the memory of the broker is full", 2.0)
        self.notes.append(note)
        self.published.append((task, queue, jobs))
        self._held.append((task, payload))
        if not self.holding:
            self.release()

    def release(self) -> None:
        """Answer what is held."""
        held, self._held = self._held, []
        for task, payload in held:
            for _ in range(self.deliveries):
                {"persona.process": persona.process, "persona.recommend": persona.recommend}[task](
                    payload, self._runtime
                )

    def lose(self) -> None:
        """Drop what is held, as a server does that is restarted without its file."""
        self._held.clear()

    def queue_state(self, queue: str) -> QueueState:
        """Return the state that the test set."""
        _ = queue
        self.looks += 1
        return self.state

    def claim(self, jobs: Sequence[tuple[str, bytes]], notes: Sequence[bytes] = ()) -> list[Claim | Outcome]:
        """Claim ids as the reply store does."""
        _ = notes
        if self.store_broken:
            raise Unavailable("the reply store", "told to be away")
        return [self._claim(job_id, digest) for job_id, digest in jobs]

    def _claim(self, job_id: str, digest: bytes) -> Claim | Outcome:
        if self.claimed.setdefault(job_id, digest) != digest:
            return Claim.CONFLICT
        ended = self.ended.get(job_id)
        return ended if ended is not None and ended.status in FINAL else Claim.OURS

    def find(self, job_id: str) -> Outcome | None:
        """Return the outcome that the test set."""
        return self.ended.get(job_id)

    def find_all(self, job_ids: Sequence[str]) -> list[Outcome | None]:
        """Return the outcomes that the test set."""
        return [self.ended.get(job_id) for job_id in job_ids]

    def knows(self, job_id: str) -> bool:
        """Tell whether the id was claimed."""
        return job_id in self.claimed

    def send(self, reply_to: str, packed: bytes) -> None:
        """Take a reply from the task."""
        _ = reply_to
        self._replies.put(packed)

    def settle(
        self, reply_to: str, batch_id: str, mark: Mark, reply: bytes | None, trail: bytes = b""
    ) -> Mark | None:
        """Take a batch's one reply."""
        _ = reply_to, trail
        if batch_id in self.marks:
            return self.marks[batch_id]
        self.marks[batch_id] = mark
        if reply is not None:
            self._replies.put(reply)
        return None

    def record(self, outcomes: Sequence[Outcome], trail: bytes = b"") -> list[Outcome]:
        """Keep outcomes of durable jobs, as the reply store does."""
        _ = trail
        for outcome in outcomes:
            held = self.ended.get(outcome.id)
            if held is None or held.status not in FINAL:
                self.ended[outcome.id] = outcome
        return [self.ended[outcome.id] for outcome in outcomes]

    def look(self, reply_to: str, batch_id: str) -> tuple[Mark | None, Journal]:
        """Return a batch's mark; nobody writes journals here."""
        _ = reply_to
        return self.marks.get(batch_id), NO_JOURNAL

    def at_work(self, batch_id: str, at: int, lost: int) -> None:
        """Nothing crashes here."""

    def hangs(self, batch_id: str) -> None:
        """Nothing hangs here."""

    def connect(self) -> None:
        """Nothing to connect to."""

    def poll(self, patience_s: float) -> list[bytes]:
        """Return the next reply, if there is one in time."""
        try:
            return [self._replies.get(timeout=patience_s)]
        except queue.Empty:
            return []

    def close(self) -> None:
        """Nothing to close."""
