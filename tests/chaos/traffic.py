"""Steady work for a system while it is harmed: one thread publishes, one reads what has ended.

Units: seconds; *window* is how many jobs may be unanswered before the publisher waits.
"""

import itertools
import threading
import time
from types import TracebackType
from typing import Self

import redis

from tests.chaos.systems import System
from tests.support.oracle import Oracle

_READ_PAUSE_S = 0.005
_AFTER_FAILURE_S = 0.1


class Traffic:
    """Publishes batches of *size* jobs of one *deed* until it is told to stop, and reads outcomes.

    Jobs whose publishing failed are noted as unsure; any other error of the two threads fails ``close``.
    """

    def __init__(
        self, system: System, oracle: Oracle, *, size: int, window: int, deed: str = "n", pause_s: float = 0.0
    ) -> None:
        self._system, self._oracle = system, oracle
        self._size, self._window, self._deed, self._pause_s = size, window, deed, pause_s
        self._numbers = itertools.count()
        self._flowing, self._ended = threading.Event(), threading.Event()
        self._publishing = threading.Lock()
        self._failure: BaseException | None = None
        self.refusals: list[str] = []  # what publishing failed with, by type
        self.last_publish_at = 0.0
        self.longest_gap_s = 0.0  # between two batches that were taken, while jobs were wanted
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"traffic {work.__name__}", daemon=True)
            for work in (self._publish, self._read)
        ]
        for thread in self._threads:
            thread.start()

    def flow(self) -> None:
        """Begin, or go on, to publish."""
        self.last_publish_at = 0.0
        self._flowing.set()

    def pause(self) -> None:
        """Publish no more for now; return when nothing is being published."""
        self._flowing.clear()
        with self._publishing:
            pass

    def send(self, *job_ids: str) -> None:
        """Publish one batch of these jobs, beside the steady work."""
        with self._publishing:
            self._put(list(job_ids))

    def message_of(self, job_id: str) -> int:
        """Return the number of the message that a job of the steady work travelled in."""
        return int(job_id.rpartition("-")[2], 16) // self._size

    def settle(self, patience_s: float) -> None:
        """Publish no more; return when all accepted jobs have ended, or nothing has for *patience_s*."""
        self.pause()
        seen, since = -1, time.monotonic()
        while self._oracle.missing():
            self._check()
            endings = self._oracle.endings()
            if endings != seen:
                seen, since = endings, time.monotonic()
            if time.monotonic() - since > patience_s:
                return
            self._ended.wait(0.05)

    def linger(self, seconds: float) -> None:
        """Go on reading for *seconds*: a second outcome would come late."""
        self._ended.wait(seconds)

    def close(self) -> None:
        """End both threads; raise what broke one of them."""
        self._ended.set()
        self._flowing.set()
        for thread in self._threads:
            thread.join(30)
        self._check()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception:
            if error is None:  # else the first error is the one to tell
                raise

    def _check(self) -> None:
        if self._failure is not None:
            raise RuntimeError("the traffic broke down") from self._failure

    def _guarded(self, work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - handed to the harness's thread
            self._failure = error

    def _publish(self) -> None:
        while not self._ended.is_set():
            self._flowing.wait()
            if self._oracle.open_jobs() >= self._window:
                self._ended.wait(0.002)
                continue
            with self._publishing:
                if self._ended.is_set() or not self._flowing.is_set():
                    continue
                self._put([f"{self._deed}-{next(self._numbers):x}" for _ in range(self._size)])
            if self._pause_s:
                self._ended.wait(self._pause_s)

    def _put(self, job_ids: list[str]) -> None:
        try:
            self._system.publish(job_ids)
        except Exception as error:  # noqa: BLE001 - whatever a broken server makes of it
            self._oracle.doubt(job_ids)
            self.refusals.append(type(error).__name__)
            self._ended.wait(_AFTER_FAILURE_S)
            return
        self._oracle.accept(job_ids)
        now = time.monotonic()
        if self.last_publish_at:
            self.longest_gap_s = max(self.longest_gap_s, now - self.last_publish_at)
        self.last_publish_at = now

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                ended = self._system.ended()
            except (redis.RedisError, OSError):  # the server is down: read on when it is back
                self._ended.wait(0.02)
                continue
            if ended:
                self._oracle.end(ended)
            else:
                self._ended.wait(_READ_PAUSE_S)
