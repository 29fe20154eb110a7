"""A process that takes one message, says so, and keeps it until it is killed: ``hold_message URL QUEUE``."""

import sys

from tests.support.brokers import Broker

if __name__ == "__main__":
    with Broker("held", sys.argv[1]).client(worker_name="holder@test") as client:
        client.consume(sys.argv[2], prefetch=1)
        client.take()
        sys.stdout.write("holding\n")
        sys.stdout.flush()
        while True:
            client.idle()
