"""What a channel has delivered and not settled.

Celery only logs that a message could not be settled, and waits for ever for the slot that it takes.  So a
failure to settle is kept for the channel's next claim, which raises it: the worker reconnects, and all that
it held goes back.  What was answered by then is known by its mark, and only acknowledged.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from kombu.transport import virtual


class QoS(virtual.QoS):  # type: ignore[misc]
    """What is delivered and not settled; where it is in flight, its tag says."""

    def ack(self, delivery_tag: str) -> None:
        """Take a message out of flight; one that others have by now is not touched."""
        with self._failing_later():
            self.channel.settle(delivery_tag)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's
        """Take a message out of flight, and to the front of its queue with *requeue*."""
        with self._failing_later():
            if requeue:
                self.channel.give_back([delivery_tag])
            else:
                self.channel.settle(delivery_tag)
        super().ack(delivery_tag)

    @contextmanager
    def _failing_later(self) -> Iterator[None]:
        try:
            yield
        except self.channel.connection_errors as error:
            self.channel.failure = error

    def restore_unacked(self) -> None:
        """Give back all that is delivered and not settled."""
        self.channel.give_back(list(self._delivered))
        self._delivered.clear()
