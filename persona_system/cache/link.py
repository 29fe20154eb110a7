"""The link to the shared store: one thread that keeps it up, hears the news, and says when it is down.

The cache serves only while the link is up, that is, while news of invalidations reach this process and
the server answers in time.  Whoever meets a failure reports it with ``lost``; from then on every look-up
is a miss that costs nothing, and this thread, not a caller, finds out when the server is back.

Units:   seconds of a monotonic clock.
"""

import logging
import threading
import time
from typing import Protocol

from persona_system.errors import Unavailable

logger = logging.getLogger(__name__)

POLL_S = 0.2  # half of a lease's life, which is renewed as often
PING_EVERY_S = 1.0  # a server that is silent from one ping to the next is taken for dead
PONG = b"pong"
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.1, 2.0


class Channel(Protocol):
    """What the link listens on."""

    def poll(self, patience_s: float) -> list[tuple[bytes, bytes]]:
        """Return (channel, payload) of what came; raise Unavailable."""

    def ping(self) -> None:
        """Ask for a message from PONG; raise Unavailable."""

    def close(self) -> None:
        """Drop the connection."""


class Listener(Protocol):
    """Whoever the link works for; called from its thread."""

    def connect(self) -> Channel:
        """Open the channel and try the store; raise Unavailable."""

    def hear(self, payload: bytes) -> None:
        """Take in one message."""

    def forget(self) -> None:
        """Drop what depends on news: some may have been missed.  Also called from the thread that lost it."""

    def broke(self) -> None:
        """Count that the link, which was up, is down."""

    def arrived(self) -> None:
        """Do what waited for the link to come up; raise Unavailable."""

    def tick(self) -> None:
        """Do what is due a few times a second while the link is up; raise Unavailable."""


class Link:
    """Up or down, and the thread that changes it.  ``start`` is idempotent; ``close`` ends the thread."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.up = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def start(self) -> None:
        """Start the thread, unless it runs or the link was closed."""
        with self._changed:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="ion-cache", daemon=True)
                self._thread.start()

    def wait_until_up(self, patience_s: float) -> bool:
        """Start, and return whether the link came up within *patience_s*."""
        self.start()
        with self._changed:
            return self._changed.wait_for(lambda: self.up or self._closing, patience_s) and self.up

    def lost(self, why: Unavailable) -> None:
        """Note that the store failed a caller: nothing is served until the thread has it back."""
        if not self.up:
            return
        with self._changed:
            if not self.up:
                return
            self.up = False
            self._changed.notify_all()
        self._listener.broke()
        self._listener.forget()
        logger.warning("the cache is off: %s", why)

    def close(self) -> None:
        """End the thread; the link stays down."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2 * PING_EVERY_S)
        self.up = False

    def _run(self) -> None:
        backoff_s, told = FIRST_BACKOFF_S, False
        while not self._closing:
            try:
                channel = self._listener.connect()
            except Exception as error:  # noqa: BLE001 - nobody else would try again
                if not told:
                    logger.warning("the cache is off: %s", _why(error))
                told = True
            else:
                if told:
                    logger.warning("the cache is on again")
                backoff_s, told = FIRST_BACKOFF_S, True
                self._serve(channel)
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, backoff_s):
                    return
            backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)

    def _serve(self, channel: Channel) -> None:
        """Keep the link up until something fails."""
        try:
            self._listener.forget()
            with self._changed:
                self.up = True
                self._changed.notify_all()
            self._listener.arrived()
            self._listen(channel)
        except Exception as error:  # noqa: BLE001 - a bug here must not leave the link up without news
            self.lost(_why(error))
        finally:
            channel.close()

    def _listen(self, channel: Channel) -> None:
        heard = asked = time.monotonic()
        while self.up and not self._closing:
            messages = channel.poll(POLL_S)
            now = time.monotonic()
            if messages:
                heard = now
            for source, payload in messages:
                if source != PONG:
                    self._listener.hear(payload)
            if now - asked >= PING_EVERY_S:
                if heard < asked:
                    raise Unavailable("the cache store", "it has gone silent")
                channel.ping()
                asked = now
            self._listener.tick()


def _why(error: Exception) -> Unavailable:
    return error if isinstance(error, Unavailable) else Unavailable("the cache link", type(error).__name__)
