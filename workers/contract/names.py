"""Names that outlive deployments: queues and tasks.

A message may wait on a queue while both ends are redeployed, so a name here is never reused for
something else.
"""

INTERACTIVE = "interactive"  # a person is waiting
BULK = "bulk"  # batch pipelines
MAINTENANCE = "maintenance"  # periodic work
EVENTS = "events"  # monitoring events
DEAD = "dead"  # messages that no worker can answer, kept as they came; nothing consumes it

QUEUES = (INTERACTIVE, BULK, MAINTENANCE, EVENTS, DEAD)
CONSUMED_QUEUES = (INTERACTIVE, BULK, MAINTENANCE, EVENTS)

PERSONA_PROCESS = "persona.process"
PERSONA_RECOMMEND = "persona.recommend"
CACHE_WARM = "cache.warm"
CACHE_PREFETCH = "cache.prefetch"

CACHE_VERSION_NOTE = "version"  # shared note: which answers are the present ones

KEY_PREFIX = "ion:"  # of every key that we write to Redis or Valkey


def reply_key(client_id: str) -> str:
    """Return the list that holds one producer process's replies; every push renews its expiry."""
    return f"{KEY_PREFIX}reply:{client_id}"


REPLY_TTL_S = 120  # replies that nobody has fetched for so long are dropped with their list
