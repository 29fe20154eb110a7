"""A fleet without processes: what a client publishes is answered here, by the real task, at once.

For tests of the client's own behaviour; everything about delivery is tested with real processes.
"""

import queue
from collections.abc import Callable

from persona_system.pipeline import PersonaPipeline
from producers.errors import Unavailable
from workers.contract.dead_letters import DeadLetter
from workers.runtime import Runtime
from workers.tasks import persona


class KeptDeadLetters:
    """Keeps dead letters in a list."""

    def __init__(self) -> None:
        self.kept: list[DeadLetter] = []

    def keep(self, letter: DeadLetter) -> None:
        """Keep *letter*."""
        self.kept.append(letter)


class Loopback:
    """Publisher, reply sender and reply reader in one.

    *holding* keeps what is published unanswered until ``release``; *broken* refuses to publish.
    """

    def __init__(self, pipeline: PersonaPipeline, now_ms: Callable[[], float]) -> None:
        self.published: list[tuple[str, str, int]] = []  # task, queue, jobs
        self.dead_letters = KeptDeadLetters()
        self.holding = False
        self.broken = False
        self.deliveries = 1
        self.length = 0
        self._held: list[tuple[str, bytes]] = []
        self._replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._runtime = Runtime(pipeline, self, self.dead_letters, now_ms)

    def publish(self, task: str, queue: str, batch_id: str, payload: bytes, jobs: int) -> None:
        """Take a batch, and answer it unless told to hold it."""
        _ = batch_id
        if self.broken:
            raise Unavailable("the broker", "told to be away")
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

    def queue_length(self, queue: str) -> int:
        """Return the length that the test set."""
        _ = queue
        return self.length

    def send(self, reply_to: str, packed: bytes) -> None:
        """Take a reply from the task."""
        _ = reply_to
        self._replies.put(packed)

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
