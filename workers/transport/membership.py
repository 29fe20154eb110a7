"""A worker's place in the fleet: its id, its heartbeat, and its care for what dead workers left.

One daemon thread per consuming channel, with a connection of its own, so that neither a long task nor a
full socket stops it.  Claims are refused without a heartbeat, so a worker that was frozen or cut off asks
here first: either nobody has noticed, or it goes on under a new id, and what it held belongs to others.

Units:  seconds.
"""

import logging
import os
import threading
import uuid
from collections.abc import Callable
from time import monotonic

import redis

from workers.transport import scripts
from workers.transport.scripts import Keys

BEAT_S = 1.5
TIMEOUT_S = 2.0  # with the server: longer than any script takes, shorter than the heartbeat's life
_HOLD_BACK_S = 2.5 * BEAT_S  # after an outage the others get time to show that they live
_FAREWELL_S = 60.0  # how long one that could not take leave goes on trying
_MOST_MOVED = 100  # in one run of a script

_log = logging.getLogger(__name__)


class Membership:
    """Joins, beats, sweeps and leaves, over the client that *connect* opens; safe to use from any thread.

    *name* tells people which worker it was; it must need no escaping in JSON.
    """

    def __init__(self, connect: Callable[[], redis.Redis], keys: Keys, name: str) -> None:
        self._connect, self._keys, self._name = connect, keys, name
        self._client: redis.Redis | None = None
        self._using = threading.Lock()  # the client: it is closed between two scripts, not within one
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._left = False
        self._pid = os.getpid()
        self._sweep_from = 0.0
        self.id = ""
        self.lowest = 0  # the lowest claim number that is valid

    def confirm(self) -> None:
        """Return when this worker is a member: the one it was, or a new one.  Raises redis-py's errors."""
        if not self.id or not self._tend(0)[0]:
            fresh = uuid.uuid4().hex
            self._run(
                scripts.JOIN,
                [self._keys.workers, self._keys.heartbeat(fresh)],
                [fresh, self._name, scripts.HEARTBEAT_TTL_MS],
            )
            self.id, self.lowest = fresh, 0
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._live, name="ion-heartbeat", daemon=True)
            self._thread.start()

    def leave(self) -> None:
        """Give everything in flight back and be no member any more; if that fails, go on trying behind.

        A process that was forked off the member's does nothing.
        """
        if os.getpid() != self._pid or self._left:
            return
        self._left = True
        self._stop.set()
        if not self.id or self._take_leave() or self._thread is None:
            self._end()  # else the thread tries again

    def _live(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                _, moved, more = self._tend(_MOST_MOVED if monotonic() >= self._sweep_from else 0)
                while more and not self._stop.is_set():
                    _, again, more = self._tend(_MOST_MOVED)
                    moved += again
                if moved:
                    _log.warning("gave back %d messages of workers that are gone", moved)
            except (redis.RedisError, OSError):  # the consumer says so, and reconnects; here we just go on
                self._sweep_from = monotonic() + _HOLD_BACK_S
        deadline = monotonic() + _FAREWELL_S
        pause = threading.Event()
        while self._client is not None and monotonic() < deadline:
            if self._take_leave():
                self._end()
            else:
                pause.wait(BEAT_S / 2)

    def _take_leave(self) -> bool:
        keys = self._keys
        try:
            self._run(
                scripts.LEAVE,
                [keys.workers, keys.heartbeat(self.id), keys.inflight(self.id)],
                [keys.prefix, self.id],
            )
        except (redis.RedisError, OSError):  # whoever is left sweeps it up, at the latest
            return False
        return True

    def _tend(self, most: int) -> tuple[bool, int, bool]:
        keys, me = self._keys, self.id
        listed, moved, more = self._run(
            scripts.TEND,
            [keys.workers, keys.heartbeat(me)],
            [keys.prefix, me, scripts.HEARTBEAT_TTL_MS, self.lowest, most],
        )
        return bool(listed), int(moved), bool(more)

    def _run(self, script: str, keys: list[str], values: list[str | int]) -> list[int]:
        with self._using:
            if self._client is None:
                self._client = self._connect()
            answer: list[int] = self._client.eval(script, len(keys), *keys, *values)
            return answer

    def _end(self) -> None:
        with self._using:
            client, self._client = self._client, None
            if client is not None:
                client.close()
