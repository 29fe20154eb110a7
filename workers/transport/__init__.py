"""A broker on Redis or Valkey that loses nothing: kombu's transport, with atomic claims in place of BRPOP.

A message is always in one place: in its queue, or in the hash of what one worker has in flight.  One script
moves it there, one command removes it when it is acknowledged.  A worker shows that it lives by a key that
expires; whoever finds that key gone gives the worker's messages back to the front of their queues and
counts them as lost once more.

Celery finds it behind URLs that begin with ``ion+``, see ``celeryconfig.broker_settings``.
"""

from kombu.transport import TRANSPORT_ALIASES

SCHEME = "ion"


def register() -> None:
    """Make the scheme ``ion+`` known to kombu; doing so again changes nothing."""
    TRANSPORT_ALIASES[SCHEME] = "workers.transport.channel:Transport"
