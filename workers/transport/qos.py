"""What a channel has delivered and not settled."""

from kombu.transport import virtual


class QoS(virtual.QoS):  # type: ignore[misc]
    """What is delivered and not settled; where it is in flight, its tag says."""

    def ack(self, delivery_tag: str) -> None:
        """Take a message out of flight; one that others have by now is not touched."""
        self.channel.settle(delivery_tag)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's
        """Take a message out of flight, and to the front of its queue with *requeue*."""
        if requeue:
            self.channel.give_back([delivery_tag])
        else:
            self.channel.settle(delivery_tag)
        super().ack(delivery_tag)

    def restore_unacked(self) -> None:
        """Give back all that is delivered and not settled."""
        self.channel.give_back(list(self._delivered))
        self._delivered.clear()
